from .band import BAND_KINDS, Band, get_band_kind
from .band_kind import BandEncoding, BandKind, Sinusoid
from .band_kinds import check_radar_fields, encode_frequency
from .description import load_sensor, sensor_from_dict, sensor_to_dict
from .inspection import BandReport, RasterReport, inspect_raster
from .lookup import catalogue, get_sensor
from .matching import BandMatch, match_bands
from .names import find_band
from .sensor import Encoding, Sensor
from .sensor_matching import SensorMatch, match_sensors

__all__ = [
    "BAND_KINDS",
    "Band",
    "BandEncoding",
    "BandKind",
    "BandMatch",
    "BandReport",
    "Encoding",
    "RasterReport",
    "Sensor",
    "SensorMatch",
    "Sinusoid",
    "catalogue",
    "check_radar_fields",
    "encode_frequency",
    "find_band",
    "get_band_kind",
    "get_sensor",
    "inspect_raster",
    "load_sensor",
    "match_bands",
    "match_sensors",
    "sensor_from_dict",
    "sensor_to_dict",
]
