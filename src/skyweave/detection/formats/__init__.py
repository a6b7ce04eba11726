"""Files of boxes that other programs wrote."""
