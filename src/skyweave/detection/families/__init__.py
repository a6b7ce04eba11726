"""Families of detectors: how their inputs are made and their outputs are read."""
