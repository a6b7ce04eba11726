"""Where a camera really was, from an orthorectified image of the place: other season, other sensor.

What the camera shows of the ground is laid on the map by its stated pose and cut into blocks. Each block's edge
directions are correlated with those of the reference at every shift (`skyweave.core.images.edge_directions`). An error
of the pose shifts every block in its way. At each of several heights and turns, drawn from what is known of the pose,
all places are tried; hypotheses are drawn anew around the best ones at finer and finer scale (an annealed particle
search: Deutscher et al., CVPR 2000), by the sum of the blocks' correlations. Where parts of the view stand out for
themselves, the estimate is the least-squares fit to their shifts (`skyweave.locating.pose_adjustment`); where only all
of them together do, it is the posterior around the best, by importance sampling, the correlation being the matched
filter of a signal in noise as large as the correlation elsewhere.

Nothing is known where the best stands out too little of what chance reaches, or where a pose that puts the view
elsewhere is nearly as likely.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.frames import make_transform, rotation_from_vector
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground
from skyweave.locating.block_correlation import correlate_blocks
from skyweave.locating.placed_view import viewed_grid
from skyweave.locating.pose_adjustment import PoseAdjustment
from skyweave.locating.pose_search import MIN_MATCH_STD, NARROWING, ROUNDS, PoseSearch
from skyweave.locating.reference_image import Reference

COARSE_CELLS = 160  # across a view, of the first of two matches: edges are lost in large cells
MIN_SIGNIFICANCE = 6.5  # standard deviations of the correlation at other shifts
MIN_ODDS = 6.0  # natural logarithm, by which the best is likelier than any pose elsewhere


@dataclass(frozen=True)
class PoseEstimate:
    """How wrong a stated pose is.

    Attributes:
        error: (6,) metres east, north and up, and rotation vector in radians about the world's axes, that take the
            stated pose to the true one; what was assumed before where nothing is known.
        covariance: (6, 6) of it.
        significance: of the match, in standard deviations of the correlation at other shifts.
        odds: natural logarithm, by which it is likelier than any pose that puts the view elsewhere.
        reason: why the match is not to be believed; None where it is.
    """

    error: np.ndarray
    covariance: np.ndarray
    significance: float = 0.0
    odds: float = 0.0
    reason: str | None = None

    @property
    def known(self) -> bool:
        """Whether the match is to be believed."""
        return self.reason is None

    def correct(self, geometry: CameraGeometry) -> CameraGeometry:
        """Return a camera with its pose corrected.

        Args:
            geometry: as stated.
        """
        return apply_pose_error(geometry, self.error)


def match_pose(
    image: np.ndarray,
    geometry: CameraGeometry,
    ground: Ground,
    reference: Reference,
    covariance: np.ndarray,
    seed: int = 0,
) -> PoseEstimate:
    """Find how wrong the stated pose of an image is.

    Args:
        image: (rows, columns) grey values, NaN where unknown.
        geometry: camera and stated pose, in the reference system of the reference.
        ground: under it.
        reference: image of the place.
        covariance: (6, 6) of what may be wrong with the pose, as of `PoseEstimate`.
        seed: of the hypotheses.
    """
    unknown = PoseEstimate(np.zeros(6), covariance)
    generator = np.random.default_rng(seed)
    coarse = reference.coarser(_coarse_factor(geometry, ground, reference.grid))
    first = _match(image, geometry, ground, coarse, np.zeros(6), covariance, covariance, generator)
    if isinstance(first, str):
        return replace(unknown, reason=first)
    proposal = 4 * first.covariance + np.diag(MIN_MATCH_STD**2)
    second = _match(image, geometry, ground, reference, first.error, covariance, proposal, generator)
    if isinstance(second, str):
        return replace(unknown, reason=second)
    matched = PoseEstimate(second.error, second.covariance, second.significance, first.odds)
    doubt = _doubt(matched)
    return replace(unknown, significance=matched.significance, odds=matched.odds, reason=doubt) if doubt else matched


def apply_pose_error(geometry: CameraGeometry, error: np.ndarray) -> CameraGeometry:
    """Return a camera moved and turned by an error of its pose.

    Args:
        geometry: as stated.
        error: (6,) as of `PoseEstimate`.
    """
    pose = geometry.world_from_camera
    rotation = rotation_from_vector(error[3:]) @ pose[:3, :3]
    return replace(geometry, world_from_camera=make_transform(rotation, pose[:3, 3] + error[:3]))


def prior_covariance(stds: Sequence[float]) -> np.ndarray:
    """Return (6, 6) of independent errors.

    Args:
        stds: metres horizontally and up, degrees of heading and of tilt.
    """
    horizontal, up, heading, tilt = stds
    angles = np.radians([tilt, tilt, heading])
    return np.diag(np.square([horizontal, horizontal, up, *angles]))


def _coarse_factor(geometry: CameraGeometry, ground: Ground, grid: MapGrid) -> int:
    """Return how many cells a side become one, so that a view is about `COARSE_CELLS` wide."""
    viewed = viewed_grid(geometry, ground, grid.resolution, grid.crs)
    return 1 if viewed is None else max(1, round(max(viewed.shape) / COARSE_CELLS))


def _doubt(estimate: PoseEstimate) -> str | None:
    """Return why a match is not to be believed, if it is not."""
    if estimate.significance < MIN_SIGNIFICANCE:
        return (
            f"the best pose stands out by {estimate.significance:.1f} standard deviations, {MIN_SIGNIFICANCE:g} are "
            "needed"
        )
    if estimate.odds < MIN_ODDS:
        return f"a pose elsewhere is almost as likely: log odds of {estimate.odds:.1f}, {MIN_ODDS:g} are needed"
    return None


def _match(
    image: np.ndarray,
    geometry: CameraGeometry,
    ground: Ground,
    reference: Reference,
    centre: np.ndarray,
    prior: np.ndarray,
    search_covariance: np.ndarray,
    generator: np.random.Generator,
) -> PoseEstimate | str:
    """Return the estimate about a centre of hypotheses, or why there is none."""
    moved = apply_pose_error(geometry, centre)
    blocks = correlate_blocks(image, moved, ground, reference, search_covariance)
    if isinstance(blocks, str):
        return blocks
    search = PoseSearch(blocks, centre, np.linalg.inv(prior))
    draws = np.concatenate([np.zeros((1, 6)), search.scan(search_covariance, generator)])
    jitter = search.jitter(search_covariance)
    best = search.anneal(draws, jitter, generator)
    mean, covariance = _fit_best(search, [best, search.rival(best)[0]], jitter * NARROWING**ROUNDS, generator)
    significance = float(search.scores(mean[None] - centre, 0)[0])
    return PoseEstimate(mean, covariance, significance, search.rival(mean - centre)[1])


def _fit_best(
    search: PoseSearch, hypotheses: Sequence[np.ndarray | None], jitter: np.ndarray, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return error and covariance of the hypothesis that fits best once it is refined."""
    adjustment = PoseAdjustment(search)
    fits = []
    for start in (one for one in hypotheses if one is not None):
        mean, covariance = search.posterior(start, jitter, generator)
        fits.append(adjustment.solve(mean - search.centre) or (mean, covariance))
    poses = np.array([error - search.centre for error, _ in fits])
    scores = search.scores(poses, 1)
    search.tried.append((poses, scores))
    return fits[int(scores.argmax())]
