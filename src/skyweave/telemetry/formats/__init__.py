"""Readers of telemetry, one file a format."""
