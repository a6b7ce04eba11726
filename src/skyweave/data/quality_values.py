"""Values of bands of qualities that mean no clear ground: cloud, its shadow, a damaged pixel."""

MASK_CLASSES = {"scl": (0, 1, 3, 8, 9, 10), "fmask_classes": (1, 2, 3)}
"""Values that mean no clear ground, where a band of that name does not say what its classes are."""
MASK_BITS = {"qa_pixel": (0, 1, 2, 3, 4), "fmask": (0, 1, 2, 3)}
"""Bits that do: fill, dilated cloud, cirrus, cloud, shadow (Landsat); cirrus, cloud, adjacent, shadow (HLS)."""
