from .band import Band
from .description import load_sensor, sensor_from_dict, sensor_to_dict
from .lookup import catalogue, get_sensor
from .matching import BandMatch, find_band, match_bands
from .sensor import Encoding, Sensor

__all__ = [
    "Band",
    "BandMatch",
    "Encoding",
    "Sensor",
    "catalogue",
    "find_band",
    "get_sensor",
    "load_sensor",
    "match_bands",
    "sensor_from_dict",
    "sensor_to_dict",
]
