"""What every room stands on: observations, sensors, geometry, configuration, files, errors."""
