"""Where things are: frames, cameras, the map grid, the ground, geodesy, boxes. NumPy only."""
