"""Errors of a peer's pose, estimated from what both platforms detect, and undone.

A pose that is wrong by metres and degrees moves what a camera maps along its rays over the ground: by little near the
camera, by much far from it. That is no shift and turn of the map, so what is estimated is the error of the pose itself,
six numbers that hardly change during a flight. Its likelihood counts, for each box that the peer sends, how much better
the ego's boxes explain it than clutter does; the error is that of the largest posterior, by expectation and
maximisation from many starts (as iterative closest points with soft pairs: Granger and Pennec, ECCV 2002). Where
nothing speaks against the pose it is believed, and where several errors explain the boxes about as well, the peer is
not trusted for now. CoAlign (arXiv 2211.07214) has the same aim and optimises a graph of boxes near the sent poses.
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

PRIOR_STD = np.array([1.5, 1.5, 0.75, *np.deg2rad([3.0, 3.0, 3.0])])  # of an error: metres, then radians
SIGMA_M = 0.7  # by which two platforms place one object apart although their poses are right
MAX_PAIR_DISTANCE_M = 14.0  # between two boxes that may be one object
CLUTTER_DENSITY = 0.004  # boxes a square metre that come about anywhere
FRAME_WEIGHT = 0.25  # of a frame's likelihood: the next ones see the same objects again
WINDOW_FRAMES = 8  # that are remembered
PRIOR_LOG_ODDS = 6.0  # of a right pose against any one wrong pose, before anything is seen
MIN_LOG_ODDS = 3.0  # of an error against those that say something else, from which it is trusted
DISTINCT_M = 1.5  # from which two errors say something else
ANNEALING_M = (2.5, 1.8, 1.2, SIGMA_M, SIGMA_M, SIGMA_M)  # standard deviation of pairs, step by step
NUM_HYPOTHESES = 16  # of the starts: the likeliest
MIN_PAIR_SCORE = 0.02  # the product of both boxes' scores
FORGET_AFTER_S = 10.0  # after which the error of a silent peer counts as unknown
MIN_DEPRESSION_RAD = np.deg2rad(3.0)  # of a ray below the horizon: flatter ones say nothing of places

_TILT_STARTS, _HEADING_STARTS = np.deg2rad([-5.0, -2.5, 0.0, 2.5, 5.0]), np.deg2rad([-2.5, 0.0, 2.5])
_STARTS = np.concatenate([
    np.zeros((1, 6)),
    np.concatenate([
        np.zeros((75, 3)), np.stack(np.meshgrid(_TILT_STARTS, _TILT_STARTS, _HEADING_STARTS), -1).reshape(-1, 3)
    ], 1),
])  # fmt: skip


@dataclass(frozen=True)
class PoseError:
    """What is to be added to the poses that a peer sends.

    Attributes:
        vector: (6,) metres east, north and up, and a rotation about these axes as a vector in radians.
        trusted: whether it is known well enough to use what the peer sends.
    """

    vector: np.ndarray = field(default_factory=lambda: np.zeros(6))
    trusted: bool = True

    @property
    def translation_m(self) -> float:
        """Return by how many metres the position is wrong."""
        return float(np.linalg.norm(self.vector[:3]))

    @property
    def rotation_rad(self) -> float:
        """Return by how many radians the attitude is wrong."""
        return float(np.linalg.norm(self.vector[3:]))

    def correction(self, camera: np.ndarray | None) -> "PoseCorrection | None":
        """Return the correction of what was mapped from a camera; None where all stays as it is.

        Args:
            camera: (3,) position that the peer sent, east, north and up in metres; None where it sent none.
        """
        return PoseCorrection(np.asarray(camera), self.vector) if camera is not None and self.vector.any() else None


@dataclass(frozen=True)
class PoseCorrection:
    """Corrects boxes and maps that a camera with a wrong pose gave.

    Attributes:
        camera: (3,) position that the peer sent, metres.
        error: (6,) as in `PoseError`.
    """

    camera: np.ndarray
    error: np.ndarray

    def correct_points(self, points: np.ndarray) -> np.ndarray:
        """Move points to the same rays from the camera as it really stands, at their heights.

        Args:
            points: (..., 3) metres.
        """
        rays = (points - self.camera) @ self._rotation.T
        return _at_height(self.camera + self.error[:3], rays, points[..., 2])

    def correct_boxes(self, boxes: BoxList) -> BoxList:
        """Move and turn boxes, and turn their velocities.

        Args:
            boxes: as the peer sent them.
        """
        turn = float(self.error[5])
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        velocities = None if boxes.velocities is None else boxes.velocities @ rotation.T
        covariances = None if boxes.covariances is None else rotation @ boxes.covariances @ rotation.T
        centres = self.correct_points(boxes.centres)
        return replace(boxes, centres=centres, yaws=boxes.yaws + turn, velocities=velocities, covariances=covariances)

    def correct_map(self, maps: Tensor, grid: MapGrid, heights: np.ndarray) -> Tensor:
        """Take each cell of a map from where the peer placed it; zero from beyond the map.

        Args:
            maps: (..., rows, columns) on ``grid``.
            grid: of the map.
            heights: (rows, columns) of the ground, metres.
        """
        places = np.concatenate([grid.cell_centres(), heights[..., None]], -1)
        rays = (places - self.camera - self.error[:3]) @ self._rotation
        sources = _at_height(self.camera, rays, places[..., 2])
        cells = torch.from_numpy(grid.index(sources[..., :2])).to(maps.device)
        return maps.flatten(-2)[..., cells.clamp(min=0)] * (cells >= 0)

    @property
    def _rotation(self) -> np.ndarray:
        return rotation_from_vector(self.error[3:])


def _at_height(origin: np.ndarray, rays: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """Return where rays (..., 3) meet a height below their origin; far away where they hardly go down."""
    down = np.maximum(-rays[..., 2:], np.tan(MIN_DEPRESSION_RAD) * np.hypot(rays[..., :1], rays[..., 1:2]))
    points: np.ndarray = origin + rays * (np.maximum(origin[2] - heights, 1e-3)[..., None] / np.maximum(down, 1e-9))
    points[..., 2] = heights
    return points


@dataclass(frozen=True)
class _Pairs:
    """Boxes of one frame that may be one object.

    Attributes:
        offsets: (n, 2) from the peer's box to the ego's, metres.
        jacobians: (n, 2, 6) how the peer's box moves with the error of the pose.
        scores: (n,) product of both boxes' scores.
        peer_boxes: (n,) which of the peer's boxes it is.
    """

    offsets: np.ndarray
    jacobians: np.ndarray
    scores: np.ndarray
    peer_boxes: np.ndarray


@dataclass
class PoseAligner:
    """Estimates the error of one peer's pose.

    Attributes:
        frames: pairs of boxes of the last frames.
    """

    frames: deque[_Pairs] = field(default_factory=lambda: deque(maxlen=WINDOW_FRAMES))

    def update(self, ego_boxes: BoxList, peer_boxes: BoxList, camera: np.ndarray) -> None:
        """Count a frame of both platforms.

        Args:
            ego_boxes: that the ego detected without the others.
            peer_boxes: as they came.
            camera: (3,) position that the peer sent, metres.
        """
        offsets = peer_boxes.centres - camera
        below = -offsets[:, 2] > np.tan(MIN_DEPRESSION_RAD) * np.hypot(offsets[:, 0], offsets[:, 1])
        between = ego_boxes.centres[None, :, :2] - peer_boxes.centres[:, None, :2]
        scores = peer_boxes.scores[:, None] * ego_boxes.scores[None]
        same_class = peer_boxes.classes[:, None] == ego_boxes.classes[None]
        fits = same_class & (scores > MIN_PAIR_SCORE) & below[:, None]
        peer, ego = np.nonzero(fits & (np.hypot(between[..., 0], between[..., 1]) < MAX_PAIR_DISTANCE_M))
        if len(peer):
            self.frames.append(_Pairs(between[peer, ego], _jacobians(offsets[peer]), scores[peer, ego], peer))

    def estimate(self) -> PoseError:
        """Return the error that is most likely by now; none before anything was seen by both."""
        if not self.frames:
            return PoseError()
        pairs = _joined(self.frames)
        errors = _STARTS[np.argsort(-_posterior(pairs, _STARTS, ANNEALING_M[0])[0])[:NUM_HYPOTHESES]]
        for sigma in ANNEALING_M:
            errors = _em_step(pairs, errors, sigma)
        errors = np.concatenate([np.zeros((1, 6)), errors])
        score = _posterior(pairs, errors, SIGMA_M)[0]
        score[0] += PRIOR_LOG_ODDS
        best = int(score.argmax())
        moved = np.einsum("pij,tj->tpi", pairs.jacobians, errors - errors[best])
        other = np.sqrt(np.square(moved).sum(-1).mean(1)) > DISTINCT_M
        return PoseError(errors[best], not other.any() or bool(score[best] - score[other].max() >= MIN_LOG_ODDS))


@dataclass
class _Track:
    """The aligner of one peer, when a frame of it last came, and the capture time of the last one that counted."""

    aligner: PoseAligner
    updated: int
    captured: int | None = None


@dataclass
class PoseAligners:
    """Aligners of all peers, by platform number; a peer that is silent for long is forgotten.

    Attributes:
        known: the error that is most likely of each peer, as far as it was asked for; whole at any time, so that other
            threads may read it.
    """

    known: dict[int, PoseError] = field(default_factory=dict)
    _tracks: dict[int, _Track] = field(default_factory=dict)

    def update(self, ego_boxes: BoxList, received: Sequence[FrameContent], time: int) -> None:
        """Count frames that came; from a slow peer the same frame comes again, and counts once.

        Args:
            ego_boxes: that the ego detected without the others at ``time``.
            received: frames of peers, moved to ``time``.
            time: of the ego's frame, UTC nanoseconds.
        """
        self._tracks = {
            peer: track for peer, track in self._tracks.items() if time - track.updated <= FORGET_AFTER_S * 1e9
        }
        for frame in received:
            self._update_track(frame, time, ego_boxes)

    def _update_track(self, frame: FrameContent, time: int, ego_boxes: BoxList) -> None:
        """Update the track of the platform that sent a frame."""
        track = self._tracks.setdefault(frame.platform, _Track(PoseAligner(), time))
        if frame.boxes is not None and frame.pose is not None and frame.time != track.captured:
            track.aligner.update(ego_boxes, frame.boxes, frame.pose.position)
            track.captured = frame.time
        track.updated = time

    def estimate(self, platforms: Sequence[int]) -> list[PoseError]:
        """Return the errors that are most likely by now.

        Args:
            platforms: numbers of peers; none is assumed for those of which nothing came.
        """
        errors = {
            peer: self._tracks[peer].aligner.estimate() if peer in self._tracks else PoseError() for peer in platforms
        }
        self.known = {peer: error for peer, error in self.known.items() if peer in self._tracks} | errors
        return [errors[peer] for peer in platforms]


def _jacobians(offsets: np.ndarray) -> np.ndarray:
    """Return (n, 2, 6) how points on the ground, ``offsets`` (n, 3) from the camera, move with its pose."""
    x, y, h = offsets[:, 0], offsets[:, 1], -offsets[:, 2]
    one, none = np.ones_like(x), np.zeros_like(x)
    east = [one, none, x / h, x * y / h, -h - x * x / h, -y]
    north = [none, one, y / h, h + y * y / h, -x * y / h, x]
    return np.stack([np.stack(east, -1), np.stack(north, -1)], 1)


def _joined(frames: deque[_Pairs]) -> _Pairs:
    """Return the pairs of all frames, the peer's boxes numbered through."""
    first = _first_boxes(frames)
    peer_boxes = np.concatenate([frame.peer_boxes + start for frame, start in zip(frames, first, strict=True)])
    return _Pairs(
        np.concatenate([frame.offsets for frame in frames]),
        np.concatenate([frame.jacobians for frame in frames]),
        np.concatenate([frame.scores for frame in frames]),
        np.unique(peer_boxes, return_inverse=True)[1],  # ascending: boxes and frames are in order
    )


def _first_boxes(frames: deque[_Pairs]) -> np.ndarray:
    """Return the number of the first box of each frame."""
    return np.cumsum([0, *(int(frame.peer_boxes.max()) + 1 for frame in frames)])[:-1]


def _posterior(pairs: _Pairs, errors: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Return (t,) log posteriors of errors (t, 6) but for a constant, and (t, n) the share of each pair in it."""
    left = pairs.offsets - np.einsum("te,pie->tpi", errors, pairs.jacobians)
    density = np.exp(-np.square(left).sum(-1) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
    ratio = pairs.scores * density / CLUTTER_DENSITY
    starts = np.flatnonzero(np.diff(pairs.peer_boxes, prepend=-1))
    explained = 1 + np.add.reduceat(ratio, starts, axis=1)
    prior = -np.square(errors / PRIOR_STD).sum(1) / 2
    return FRAME_WEIGHT * np.log(explained).sum(1) + prior, ratio / explained[:, pairs.peer_boxes]


def _em_step(pairs: _Pairs, errors: np.ndarray, sigma: float) -> np.ndarray:
    """Return the errors (t, 6) after one step of expectation and maximisation."""
    shares = FRAME_WEIGHT / sigma**2 * _posterior(pairs, errors, sigma)[1]
    products = np.einsum("pia,pib->pab", pairs.jacobians, pairs.jacobians)
    pulls = np.einsum("pia,pi->pa", pairs.jacobians, pairs.offsets)
    # No matrix products: their threads would wait for a core that another platform's process has.
    information = np.einsum("tp,pab->tab", shares, products) + np.diag(PRIOR_STD**-2.0)
    refined: np.ndarray = np.linalg.solve(information, np.einsum("tp,pa->ta", shares, pulls)[..., None])[..., 0]
    return refined
