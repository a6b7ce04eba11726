"""Whatever a file's fields hold, reading them ends in values or in nothing, never in a fault."""

import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from PIL.TiffImagePlugin import IFDRational

from skyweave.telemetry.image_metadata.attitude import read_attitude, read_maker_note
from skyweave.telemetry.image_metadata.capture_time import read_time
from skyweave.telemetry.image_metadata.gps import read_accuracy, read_altitude, read_position
from skyweave.telemetry.image_metadata.lens import read_lens

NUMBERS = st.one_of(st.floats(), st.integers(-400, 400), st.builds(IFDRational, st.integers(0, 9), st.integers(0, 3)))
TEXT = st.one_of(
    st.text(max_size=12), st.sampled_from(["", "N", "s", "+39.8", "1/0", "0/0", "46,30.5N", "nan", "1,2,3"])
)
VALUES = st.one_of(st.none(), NUMBERS, TEXT, st.binary(max_size=40), st.lists(NUMBERS, max_size=4).map(tuple))
XMP_NAMES = [
    *("drone-dji:GimbalYawDegree", "drone-dji:GimbalPitchDegree", "camera:Yaw", "camera:Pitch", "camera:Roll"),
    *("drone-dji:DewarpData", "camera:PrincipalPoint", "camera:PerspectiveFocalLength", "camera:PerspectiveDistortion"),
    *("drone-dji:AbsoluteAltitude", "drone-dji:GpsLatitude", "drone-dji:GpsLongtitude", "exif:GPSAltitude"),
    *("drone-dji:RtkFlag", "drone-dji:RtkStdLon", "drone-dji:RtkStdLat", "camera:ModelType"),
]
CAMERA = [36867, 36881, 37386, 37521, 37500, 41486, 41488, 41988, 41989, 306]


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.integers(0, 31), VALUES),
    st.dictionaries(st.sampled_from(CAMERA), VALUES),
    st.dictionaries(st.sampled_from(XMP_NAMES), TEXT),
)
def test_any_values(gps: dict[int, Any], camera: dict[int, Any], xmp: dict[str, str]) -> None:
    fields = {key.split(":", 1)[-1]: value for key, value in xmp.items()}
    position = read_position(gps, fields)
    if position.latitude is not None and position.longitude is not None:
        assert abs(position.latitude) <= 90 and abs(position.longitude) <= 180
    for number in (read_altitude(gps, fields).metres, read_accuracy(gps, fields)):
        assert number is None or math.isfinite(number)
    lens = read_lens(xmp, camera, 60, 40)
    assert lens.digital_zoom > 0 and all(map(math.isfinite, (*lens.distortion, *lens.centre_offset)))
    attitude, _ = read_attitude(xmp, read_maker_note(camera.get(37500)), "DJI")
    assert attitude is None or all(map(math.isfinite, (attitude.yaw, attitude.pitch, attitude.roll)))
    read_time(camera, camera)
