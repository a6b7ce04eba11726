"""Where a peer's things really lie: errors of its pose are found from what both see, and undone.

A pose that is wrong by metres and degrees moves what a camera tells along its rays over the ground: by little near the
camera, by much far from it. That is no shift and turn of the map, so what is looked for is the error of the pose
itself, six numbers that hardly change during a flight. Its likelihood counts, for each box that the peer tells, how
much better the boxes of one's own explain it than chance does; the error is that of the largest posterior, found by
expectation and maximisation from many starts (as iterative closest points with soft pairs: Granger and Pennec,
ECCV 2002). Where nothing speaks against the pose it is believed, and where several errors explain what is seen about
as well, the peer is not trusted for now. CoAlign (arXiv 2211.07214) has the same aim and optimises a graph of boxes
near the told poses.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from skyweave.core.geometry.frames import rotation_from_vector
from skyweave.core.geometry.grid import MapGrid
from skyweave.wire import BoxList, FrameContent

PRIOR_STD = np.array([1.5, 1.5, 0.75, *np.deg2rad([3.0, 3.0, 3.0])])  # spread of an error: metres, then radians
SIGMA_M = 0.7  # metres by which two platforms place one object apart although their poses are right
MAX_PAIR_DISTANCE_M = 14.0  # metres: pairs of boxes farther apart are not looked at
CLUTTER_DENSITY = 0.004  # boxes a square metre that come about anywhere
FRAME_WEIGHT = 0.25  # of a frame: the next ones see the same objects again
WINDOW_FRAMES = 8  # frames that are remembered
PRIOR_LOG_ODDS = 6.0  # logarithm of how much likelier a right pose is than any one wrong one before anything is seen
MIN_LOG_ODDS = 3.0  # logarithm of how much likelier an error must be than others that say something else
DISTINCT_M = 1.5  # metres from which two errors say something else
ANNEALING_M = (2.5, 1.8, 1.2, SIGMA_M, SIGMA_M, SIGMA_M)  # metres: how far pairs attract each other, step by step
NUM_HYPOTHESES = 16  # of the starts: the likeliest
MIN_PAIR_SCORE = 0.02  # certainty of a pair, the product of both boxes'
FORGET_AFTER_S = 10.0  # seconds after which the errors of a silent peer count as unknown
MIN_DEPRESSION_RAD = np.deg2rad(3.0)  # of a ray below the horizon: flatter ones say nothing of places

_TILTS, _TURNS = np.deg2rad([-5.0, -2.5, 0.0, 2.5, 5.0]), np.deg2rad([-2.5, 0.0, 2.5])
_STARTS = np.concatenate([
    np.zeros((1, 6)),
    np.stack([np.zeros((75, 3)), np.stack(np.meshgrid(_TILTS, _TILTS, _TURNS), -1).reshape(-1, 3)], 1).reshape(75, 6),
])  # fmt: skip


@dataclass(frozen=True)
class PoseError:
    """What is to be added to the poses that a peer tells.

    Attributes:
        vector: (6,) metres east, north and up, and a rotation about these axes as a vector in radians.
        trusted: whether it is known well enough to use what the peer tells.
    """

    vector: np.ndarray = field(default_factory=lambda: np.zeros(6))
    trusted: bool = True

    @property
    def translation_m(self) -> float:
        """By which the place is wrong."""
        return float(np.linalg.norm(self.vector[:3]))

    @property
    def rotation_rad(self) -> float:
        """Radians by which the attitude is wrong."""
        return float(np.linalg.norm(self.vector[3:]))

    def at(self, camera: np.ndarray | None) -> "PoseCorrection | None":
        """For what is told from ``camera`` (3,), east, north and up in metres; None where all stays as it is."""
        return PoseCorrection(np.asarray(camera), self.vector) if camera is not None and self.vector.any() else None


@dataclass(frozen=True)
class PoseCorrection:
    """Of things told from one place: ``camera`` (3,) and ``error`` (6,) as in `PoseError`."""

    camera: np.ndarray
    error: np.ndarray

    def points(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) where they belong: on the same ray from the camera as it really stands, at their height."""
        rays = (points - self.camera) @ self._rotation.T
        return _at_height(self.camera + self.error[:3], rays, points[..., 2])

    def boxes(self, boxes: BoxList) -> BoxList:
        """Boxes where they belong."""
        turn = float(self.error[5])
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        velocities = None if boxes.velocities is None else boxes.velocities @ rotation.T
        return replace(boxes, centres=self.points(boxes.centres), yaws=boxes.yaws + turn, velocities=velocities)

    def maps(self, maps: Tensor, grid: MapGrid, heights: np.ndarray) -> Tensor:
        """A map (..., rows, columns) on ``grid`` with each cell taken from where it is told; zero from beyond.

        Args:
            heights: (rows, columns) of the ground, metres.
        """
        places = np.concatenate([grid.cell_centres(), heights[..., None]], -1)
        rays = (places - self.camera - self.error[:3]) @ self._rotation
        told = _at_height(self.camera, rays, places[..., 2])
        cells = torch.from_numpy(grid.index(told[..., :2]))
        return maps.flatten(-2)[..., cells.clamp(min=0)] * (cells >= 0)

    @property
    def _rotation(self) -> np.ndarray:
        return rotation_from_vector(self.error[3:])


def _at_height(origin: np.ndarray, rays: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """Where rays (..., 3) meet a height below their origin; far away where they hardly go down."""
    down = np.maximum(-rays[..., 2:], np.tan(MIN_DEPRESSION_RAD) * np.hypot(rays[..., :1], rays[..., 1:2]))
    found: np.ndarray = origin + rays * (np.maximum(origin[2] - heights, 1e-3)[..., None] / np.maximum(down, 1e-9))
    found[..., 2] = heights
    return found


@dataclass(frozen=True)
class _Pairs:
    """Boxes of one frame that may be one object: where an own one lies from the told one (n, 2), how the told one moves
    with the error of the pose (n, 2, 6), how certain both are (n,), and which told one it is (n,).
    """

    apart: np.ndarray
    moves: np.ndarray
    certain: np.ndarray
    told: np.ndarray


@dataclass
class PoseAligner:
    """What is known of one peer's error."""

    frames: deque[_Pairs] = field(default_factory=lambda: deque(maxlen=WINDOW_FRAMES))

    def see(self, own: BoxList, theirs: BoxList, camera: np.ndarray) -> None:
        """Count a frame of both; ``theirs`` as they came, from a camera said to be at ``camera`` (3,)."""
        offsets = theirs.centres - camera
        below = -offsets[:, 2] > np.tan(MIN_DEPRESSION_RAD) * np.hypot(offsets[:, 0], offsets[:, 1])
        apart = own.centres[None, :, :2] - theirs.centres[:, None, :2]
        certain = theirs.scores[:, None] * own.scores[None]
        fits = (theirs.classes[:, None] == own.classes[None]) & (certain > MIN_PAIR_SCORE) & below[:, None]
        told, mine = np.nonzero(fits & (np.hypot(apart[..., 0], apart[..., 1]) < MAX_PAIR_DISTANCE_M))
        if len(told):
            self.frames.append(_Pairs(apart[told, mine], _moves(offsets[told]), certain[told, mine], told))

    def error(self) -> PoseError:
        """What is most likely by now."""
        if not self.frames:
            return PoseError()
        pairs = _joined(self.frames)
        errors = _STARTS[np.argsort(-_posterior(pairs, _STARTS, ANNEALING_M[0])[0])[:NUM_HYPOTHESES]]
        for width in ANNEALING_M:
            errors = _nearer(pairs, errors, width)
        errors = np.concatenate([np.zeros((1, 6)), errors])
        score = _posterior(pairs, errors, SIGMA_M)[0]
        score[0] += PRIOR_LOG_ODDS
        best = int(score.argmax())
        moved = np.einsum("pij,tj->tpi", pairs.moves, errors - errors[best])
        other = np.sqrt(np.square(moved).sum(-1).mean(1)) > DISTINCT_M
        return PoseError(errors[best], not other.any() or bool(score[best] - score[other].max() >= MIN_LOG_ODDS))


@dataclass
class PoseAligners:
    """One for each peer, by its number; what is known of one that is silent for long is forgotten.

    Attributes:
        peers: and when each was heard, and which moment it then told of: from a peer that is slower than oneself a
            frame comes again, and counts once.
        known: what is most likely of each, by now.
    """

    peers: dict[int, tuple[PoseAligner, int, int | None]] = field(default_factory=dict)
    known: dict[int, PoseError] = field(default_factory=dict)

    def errors(self, own: BoxList, received: Sequence[FrameContent], time: int) -> list[PoseError]:
        """Of the poses of what came by ``time``, UTC nanoseconds, where ``own`` are the boxes found alone then."""
        self.peers = {peer: known for peer, known in self.peers.items() if time - known[1] <= FORGET_AFTER_S * 1e9}
        found = []
        for frame in received:
            aligner, _, seen = self.peers.get(frame.platform, (PoseAligner(), time, None))
            if frame.boxes is not None and frame.pose is not None and frame.time != seen:
                aligner.see(own, frame.boxes, frame.pose.position)
                seen = frame.time
            self.peers[frame.platform] = aligner, time, seen
            found.append(aligner.error())
        names = [frame.platform for frame in received]
        kept = {peer: error for peer, error in self.known.items() if peer in self.peers}
        self.known = kept | dict(zip(names, found, strict=True))  # whole at any time, for readers in other threads
        return found


def _moves(offsets: np.ndarray) -> np.ndarray:
    """(n, 2, 6) how points on the ground, ``offsets`` (n, 3) from the camera, move with the camera's place and turn."""
    x, y, h = offsets[:, 0], offsets[:, 1], -offsets[:, 2]
    one, none = np.ones_like(x), np.zeros_like(x)
    east = [one, none, x / h, x * y / h, -h - x * x / h, -y]
    north = [none, one, y / h, h + y * y / h, -x * y / h, x]
    return np.stack([np.stack(east, -1), np.stack(north, -1)], 1)


def _joined(frames: deque[_Pairs]) -> _Pairs:
    """All frames' pairs, the told boxes numbered through."""
    first = np.cumsum([0, *(int(frame.told.max()) + 1 for frame in frames)])[:-1]
    told = np.concatenate([frame.told + start for frame, start in zip(frames, first, strict=True)])
    return _Pairs(
        np.concatenate([frame.apart for frame in frames]),
        np.concatenate([frame.moves for frame in frames]),
        np.concatenate([frame.certain for frame in frames]),
        np.unique(told, return_inverse=True)[1],  # ascending: boxes and frames are in order
    )


def _posterior(pairs: _Pairs, errors: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    """(t,) logarithms of the posterior of errors (t, 6) but for a constant, and (t, n) the share of each pair in it."""
    left = pairs.apart - np.einsum("te,pie->tpi", errors, pairs.moves)
    density = np.exp(-np.square(left).sum(-1) / (2 * width**2)) / (2 * np.pi * width**2)
    ratio = pairs.certain * density / CLUTTER_DENSITY
    starts = np.flatnonzero(np.diff(pairs.told, prepend=-1))
    explained = 1 + np.add.reduceat(ratio, starts, axis=1)
    prior = -np.square(errors / PRIOR_STD).sum(1) / 2
    return FRAME_WEIGHT * np.log(explained).sum(1) + prior, ratio / explained[:, pairs.told]


def _nearer(pairs: _Pairs, errors: np.ndarray, width: float) -> np.ndarray:
    """The errors after one step of expectation and maximisation."""
    shares = FRAME_WEIGHT / width**2 * _posterior(pairs, errors, width)[1]
    products = np.einsum("pia,pib->pab", pairs.moves, pairs.moves)
    pulls = np.einsum("pia,pi->pa", pairs.moves, pairs.apart)
    # No matrix products: their threads would wait for a core that another platform's process has.
    information = np.einsum("tp,pab->tab", shares, products) + np.diag(PRIOR_STD**-2.0)
    found: np.ndarray = np.linalg.solve(information, np.einsum("tp,pa->ta", shares, pulls)[..., None])[..., 0]
    return found
