"""Bands and sensors: what a channel measures, a catalogue of sensors, and matching by name, alias and wavelength."""

from skyweave.sensors.band import Band
from skyweave.sensors.description import load_sensor, sensor_from_dict, sensor_to_dict
from skyweave.sensors.lookup import catalogue, get_sensor
from skyweave.sensors.matching import BandMatch, UnknownNameError, find_band, match_bands
from skyweave.sensors.sensor import Encoding, Sensor

__all__ = [
    "Band",
    "BandMatch",
    "Encoding",
    "Sensor",
    "UnknownNameError",
    "catalogue",
    "find_band",
    "get_sensor",
    "load_sensor",
    "match_bands",
    "sensor_from_dict",
    "sensor_to_dict",
]
