"""The simulator: a world of our own that gives recordings of several platforms, with exact truth."""
