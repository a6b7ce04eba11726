"""Writers of tracks, one file a format."""
