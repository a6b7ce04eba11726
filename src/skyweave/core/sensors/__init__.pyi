from .band import BAND_KINDS, Band, get_band_kind
from .band_kind import BandEncoding, BandKind, Sinusoid
from .band_kinds import check_radar_fields, encode_frequency
from .description import load_sensor, sensor_from_dict, sensor_to_dict
from .lookup import catalogue, get_sensor
from .matching import BandMatch, match_bands
from .names import find_band
from .sensor import Encoding, Sensor

__all__ = [
    "BAND_KINDS",
    "Band",
    "BandEncoding",
    "BandKind",
    "BandMatch",
    "Encoding",
    "Sensor",
    "Sinusoid",
    "catalogue",
    "check_radar_fields",
    "encode_frequency",
    "find_band",
    "get_band_kind",
    "get_sensor",
    "load_sensor",
    "match_bands",
    "sensor_from_dict",
    "sensor_to_dict",
]
