"""Boxes in images that cannot be meant: shares of the image, pixels of a larger one, corners in another order."""

from collections.abc import Mapping

import numpy as np

from skyweave.core.errors import DataError


def check_image_boxes(boxes: Mapping[str, np.ndarray], size: tuple[int, int], source: str) -> None:
    """Refuse boxes of images of another size, and those in other units.

    Args:
        boxes: (n, 4) left, top, right, bottom in pixels, by how their image is called in messages.
        size: rows and columns of the images, pixels.
        source: where the boxes stand, for messages.

    Raises:
        DataError: all are shares of the image, or the middle of one lies outside of it.
    """
    rows, columns = size
    known = {name: np.asarray(values, np.float64).reshape(-1, 4) for name, values in boxes.items() if len(values)}
    if not known:
        return
    if max(float(values.max()) for values in known.values()) <= 1:
        raise DataError(
            f"{source}: no box reaches beyond 1, so they are shares of the image; multiply them by its {columns} "
            f"columns and {rows} rows"
        )
    for name, values in known.items():
        middles = (values[:, :2] + values[:, 2:]) / 2
        outside = ((middles < 0) | (middles > [columns, rows])).any(1)
        if outside.any():
            box = ", ".join(f"{value:g}" for value in values[outside][0])
            raise DataError(
                f"{source}: the box {box} (left, top, right, bottom) of {name} lies outside of its {columns} x {rows} "
                "pixels: it is of an image of another size, or its last numbers were a right and a bottom side where "
                "width and height are read; scale the boxes to these images, or correct the sides"
            )


def check_stated_size(stated: tuple[int, int], size: tuple[int, int], source: str) -> None:
    """Refuse boxes that were drawn in images of another size.

    Args:
        stated: rows and columns that the file of boxes gives for an image; 0 for unknown.
        size: of the images, rows and columns.
        source: where the size stands, for messages.

    Raises:
        DataError: they differ.
    """
    if all(stated) and stated != size:
        raise DataError(
            f"{source} is of {stated[1]} x {stated[0]} pixels, the images have {size[1]} x {size[0]}; scale the boxes, "
            "or give the images that they were drawn in"
        )
