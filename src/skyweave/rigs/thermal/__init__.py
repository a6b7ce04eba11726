"""Thermal images of drones, by format: raw values to kelvin."""
