"""What STAC and its extension for embeddings say of a finished raster."""
