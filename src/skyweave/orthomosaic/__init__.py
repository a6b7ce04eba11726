"""Photographs from the air to one georeferenced mosaic: by their poses alone, or with poses refined on the map."""
