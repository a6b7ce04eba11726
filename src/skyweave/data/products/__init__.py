"""Products of one file a band, as agencies publish them: what their metadata say becomes one raster like any other."""
