"""Where the images of a node come from."""
