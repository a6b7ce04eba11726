"""Where a peer's map really lies: what both see is brought together, for poses are wrong by metres and degrees.

An error of pose moves all that a platform tells by much the same shift and turn, and lasts. Every pair of an own and a
received box of one class votes for the shifts that bring them together, under each of some turns (a Hough transform);
votes add up over frames and fade. Moving objects make them unambiguous. Where one shift wins clearly over none, what
the peer tells is moved by it; without common objects, poses are believed. CoAlign (arXiv 2211.07214) has the same aim
and optimises a graph of boxes; votes need no first guess and survive boxes that have no partner.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from skyweave.geometry.grid import MapGrid
from skyweave.wire import BoxList

REACH, STEP = 10.0, 0.5  # metres: shifts that are looked at, and how finely
TURNS = np.deg2rad(np.arange(-6.0, 6.1, 1.5))
SPREAD = 0.7  # metres by which two platforms place one object apart although their poses are right
LIKELY_SHIFT, LIKELY_TURN = 6.0, np.deg2rad(4.0)  # spread of what is expected before anything is seen
FLOOR = 0.3  # votes that come about by chance
CLEAR = 1.0  # how much likelier, as a logarithm, a shift must be than none
KEPT = 0.9  # of the votes from frame to frame

_SIDE = 2 * round(REACH / STEP) + 1
_SHIFTS = (np.arange(_SIDE) - _SIDE // 2) * STEP
_BLUR = np.exp(-((_SHIFTS[:, None] - _SHIFTS[None]) ** 2) / (2 * SPREAD**2))
_PRIOR = (
    -(_SHIFTS[:, None] ** 2 + _SHIFTS[None] ** 2)[None] / (2 * LIKELY_SHIFT**2)
    - (TURNS**2 / (2 * LIKELY_TURN**2))[:, None, None]
)


@dataclass(frozen=True)
class Correction:
    """Turn by ``turn`` radians about ``middle`` (east, north), then move by ``shift`` metres east and north."""

    shift: tuple[float, float] = (0.0, 0.0)
    turn: float = 0.0
    middle: tuple[float, float] = (0.0, 0.0)

    @property
    def nothing(self) -> bool:
        """Whether all stays as it is."""
        return not (self.turn or any(self.shift))

    def points(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 2 or 3) where they belong."""
        moved = np.array(points, np.float64)
        moved[..., :2] = (moved[..., :2] - self.middle) @ self._rotation.T + self.middle + self.shift
        return moved

    def boxes(self, boxes: BoxList) -> BoxList:
        """Boxes where they belong."""
        velocities = None if boxes.velocities is None else boxes.velocities @ self._rotation.T
        return replace(boxes, centres=self.points(boxes.centres), yaws=boxes.yaws + self.turn, velocities=velocities)

    def maps(self, maps: Tensor, grid: MapGrid) -> Tensor:
        """A map (..., rows, columns) on ``grid`` with each cell taken from where it is told; zero from beyond."""
        rows, columns = grid.shape
        row, column = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
        places = np.stack([grid.west + column + 0.5, grid.north - row - 0.5], -1) * grid.resolution
        told = (places - self.middle - self.shift) @ self._rotation + self.middle
        r = np.floor(grid.north - told[..., 1] / grid.resolution).astype(int)
        c = np.floor(told[..., 0] / grid.resolution - grid.west).astype(int)
        inside = torch.from_numpy((r >= 0) & (r < rows) & (c >= 0) & (c < columns))
        return maps[..., r.clip(0, rows - 1), c.clip(0, columns - 1)] * inside

    @property
    def _rotation(self) -> np.ndarray:
        cosine, sine = np.cos(self.turn), np.sin(self.turn)
        return np.array([[cosine, -sine], [sine, cosine]])


@dataclass
class Aligner:
    """What is known of one peer's error."""

    votes: np.ndarray = field(default_factory=lambda: np.zeros((len(TURNS), _SIDE, _SIDE)))

    def see(self, own: BoxList, theirs: BoxList, middle: tuple[float, float]) -> None:
        """Count a frame of both; ``theirs`` as they came, turned about ``middle``, which moves slowly if at all."""
        self.votes *= KEPT
        if not len(own) or not len(theirs):
            return
        weights = np.outer(own.scores, theirs.scores) * (own.classes[:, None] == theirs.classes[None])
        mine, other = own.centres[:, None, :2] - middle, theirs.centres[None, :, :2] - middle
        for number, turn in enumerate(TURNS):
            cosine, sine = np.cos(turn), np.sin(turn)
            turned = other @ np.array([[cosine, sine], [-sine, cosine]])
            cells = np.rint((mine - turned + REACH) / STEP).astype(int)
            inside = ((cells >= 0) & (cells < _SIDE)).all(-1) & (weights > 0.01)
            np.add.at(self.votes[number], (cells[..., 1][inside], cells[..., 0][inside]), weights[inside])

    def correction(self, middle: tuple[float, float]) -> Correction:
        """What brings the peer's things to one's own, about ``middle``."""
        score = np.log(_BLUR @ self.votes @ _BLUR + FLOOR) + _PRIOR
        turn, north, east = np.unravel_index(int(score.argmax()), score.shape)
        centre = _SIDE // 2
        if score[turn, north, east] - score[len(TURNS) // 2, centre, centre] < CLEAR:
            return Correction(middle=middle)
        shift = (float((east - centre) * STEP), float((north - centre) * STEP))
        return Correction(shift, float(TURNS[turn]), middle)


def middle_of(grid: MapGrid) -> tuple[float, float]:
    """A map's, east and north."""
    return (grid.west + grid.columns / 2) * grid.resolution, (grid.north - grid.rows / 2) * grid.resolution
