"""Encoders that others published, behind one protocol."""
