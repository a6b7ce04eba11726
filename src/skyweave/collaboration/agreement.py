"""Whether a peer's map shows the place that one sees oneself: a peer may be useless, but must not be harmful.

A map of another place, of a wrong pose or of a model gone wrong looks as confident as a true one. Where both see the
same cells, true maps correlate more in place than when they are shifted by several metres; others do not.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

TRUSTED = 0.12  # of the correlation in place above that elsewhere; measured in docs/collaboration.md
ENOUGH = 60  # common blocks of 2 x 2 cells, below which nothing can be said
NEAR = tuple((row, column) for row in (-1, 0, 1) for column in (-1, 0, 1))  # blocks: what an error of pose may shift
FAR = ((8, 0), (-8, 0), (0, 8), (0, -8), (6, 6), (-6, -6), (10, -10), (-10, 10))


def agreement(own: Tensor, own_visible: Tensor, features: Tensor, visible: Tensor) -> float | None:
    """How much more two maps correlate in place than elsewhere, about -0.1 to 0.5.

    Args:
        own, features: (channels, rows, columns).
        own_visible, visible: (rows, columns), a cell counts from 0.5.

    Returns:
        None where they have too little in common to tell.
    """
    mine, seen = _halved(own, own_visible)
    theirs, told = _halved(features, visible)
    if int((seen & told).sum()) < ENOUGH:
        return None
    place = [_correlation(mine, seen, *_rolled(theirs, told, shift)) for shift in NEAR]
    elsewhere = [_correlation(mine, seen, *_rolled(theirs, told, shift)) for shift in FAR]
    return float(max(place) - np.mean(elsewhere))


def _halved(maps: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
    seen = (visible > 0.5).float()
    return functional.avg_pool2d(maps * seen, 2), functional.avg_pool2d(seen[None], 2)[0] > 0.9


def _rolled(maps: Tensor, visible: Tensor, shift: tuple[int, int]) -> tuple[Tensor, Tensor]:
    return torch.roll(maps, shift, (1, 2)), torch.roll(visible, shift, (0, 1))


def _correlation(a: Tensor, a_seen: Tensor, b: Tensor, b_seen: Tensor) -> float:
    both = a_seen & b_seen
    if not bool(both.any()):
        return 0.0
    x, y = a[:, both], b[:, both]
    x, y = x - x.mean(1, keepdim=True), y - y.mean(1, keepdim=True)
    return float((x * y).sum() / (x.square().sum() * y.square().sum()).clamp(min=1e-12).sqrt())
