"""Bands and sensors: what a channel measures, a catalogue of sensors, and matching by name, alias and wavelength."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
