"""Where a camera really was, from an orthorectified image of the place: other season, other sensor.

What the camera shows of the ground is laid on the map by its stated pose and cut into blocks. Each block's edge
directions are correlated with those of the reference at every shift (`skyweave.core.images.edge_directions`). An error
of the pose shifts every block in its way, so hypotheses of the six numbers are drawn from what is known of the pose,
scored by the sum of the blocks' correlations there, and drawn anew around the best ones at finer and finer scale (an
annealed particle search: Deutscher et al., CVPR 2000). The estimate is the posterior around the best, by importance
sampling; the correlation counts as the matched filter of a signal in noise as large as the correlation elsewhere.

Nothing is known where the best stands out too little of what chance reaches, or where another place is nearly as good.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.frames import make_transform, rotation_from_vector
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground
from skyweave.core.images.edge_directions import edge_directions
from skyweave.core.observation import Observation

MAX_RANGE_HEIGHTS = 6.0  # horizontal distance, in heights above the ground, beyond which a view is too flat
MAX_RANGE_M = 150.0
BLOCK_CELLS = 12
COARSE_CELLS = 160  # across a view, of the first of two matches: edges are lost in large cells
MIN_KNOWN = 0.5  # share of a block's cells
MIN_BLOCKS = 6
SEARCH_STDS = 3.0
MAX_SEARCH_M = 45.0
SAMPLES, ELITES, ROUNDS = 6000, 150, 5
POSTERIOR_SAMPLES = 3000
LIKELIHOOD_SHARE = 1.0  # of the matched filter: less where neighbouring cells share more noise than blocks average
MIN_SIGNIFICANCE = 6.5  # standard deviations of the correlation at other shifts
MAX_RIVAL = 0.7  # of the best score, that another place may reach
RIVAL_DISTANCE_M = 4.0  # of blocks, beyond which another pose is a rival
FLOOR_STD = np.array([0.1, 0.1, 0.1, *np.radians([0.1, 0.1, 0.1])])  # what no single match is better than
SUBSAMPLES = 3  # a side, of each cell of a placed view


@dataclass(frozen=True)
class PoseEstimate:
    """How wrong a stated pose is.

    Attributes:
        error: (6,) metres east, north and up, and rotation vector in radians about the world's axes, that take the
            stated pose to the true one; what was assumed before where nothing is known.
        covariance: (6, 6) of it.
        significance: of the match, in standard deviations of the correlation at other shifts.
        rival: best score of another place, as a share of the best.
        reason: why the match is not to be believed; None where it is.
    """

    error: np.ndarray
    covariance: np.ndarray
    significance: float = 0.0
    rival: float = 1.0
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


@dataclass(frozen=True)
class Reference:
    """An orthorectified image to be matched with.

    Attributes:
        grey: (rows, columns), NaN where unknown.
        grid: of it.
        std: standard deviation of its place, metres.
    """

    grey: np.ndarray
    grid: MapGrid
    std: float = 0.0

    @classmethod
    def from_observation(cls, observation: Observation, std: float = 0.0) -> "Reference":
        """Return the reference that an orthorectified image makes: north up, in cells of half a pixel.

        Args:
            observation: with a geotransform in metres, along the axes.
            std: standard deviation of its place, metres.

        Raises:
            DataError: an image without a geotransform, or one whose axes are turned.
        """
        geometry = observation.geotransform
        if geometry is None:
            raise DataError(f"{observation.source} has no geotransform, so no pose can be found on it; georeference it")
        a, b, c, d, e, f = geometry.affine
        if b or d or a < 0 or e > 0:
            raise DataError(f"{observation.source} is not north up; resample it: `gdalwarp IN OUT`")
        rows, columns = observation.shape
        grid = MapGrid.covering((c, f + e * rows, c + a * columns, f), abs(a) / 2, geometry.crs)
        grey = np.where(observation.valid.all(0), observation.pixels[:3].mean(0), np.nan).astype(np.float64)
        centres = grid.cell_centres()
        pixels = np.stack([(centres[..., 1] - f) / e, (centres[..., 0] - c) / a], -1)
        return cls(sample_bilinear(grey, pixels), grid, std)

    def coarser(self, factor: int) -> "Reference":
        """Return it in larger cells, each the mean of what is known of it.

        Args:
            factor: of the cells' side.
        """
        if factor == 1:
            return self
        grid = self.grid.coarser(factor)
        top, left = grid.north * factor - self.grid.north, self.grid.west - grid.west * factor
        shape = grid.rows * factor, grid.columns * factor
        padded = np.full(shape, np.nan)
        padded[top : top + self.grid.rows, left : left + self.grid.columns] = self.grey
        parts = padded.reshape(grid.rows, factor, grid.columns, factor)
        count = np.isfinite(parts).sum((1, 3))
        mean = np.nansum(parts, (1, 3)) / np.maximum(count, 1)
        return Reference(np.where(count * 2 >= factor**2, mean, np.nan), grid, self.std)


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
    proposal = 4 * first.covariance + np.diag(FLOOR_STD**2)
    second = _match(image, geometry, ground, reference, first.error, covariance, proposal, generator)
    if isinstance(second, str):
        return replace(unknown, reason=second)
    found = PoseEstimate(second.error, second.covariance, second.significance, first.rival)
    doubt = _doubt(found)
    return replace(unknown, significance=found.significance, rival=found.rival, reason=doubt) if doubt else found


def apply_pose_error(geometry: CameraGeometry, error: np.ndarray) -> CameraGeometry:
    """Return a camera moved and turned by an error of its pose.

    Args:
        geometry: as stated.
        error: (6,) as of `PoseEstimate`.
    """
    pose = geometry.world_from_camera
    rotation = rotation_from_vector(error[3:]) @ pose[:3, :3]
    return replace(geometry, world_from_camera=make_transform(rotation, pose[:3, 3] + error[:3]))


def _coarse_factor(geometry: CameraGeometry, ground: Ground, grid: MapGrid) -> int:
    """Return how many cells a side become one, so that a view is about `COARSE_CELLS` wide."""
    height = float(geometry.position[2] - ground.height(geometry.position[None])[0])
    viewed = _viewed_grid(geometry, ground, height, grid.resolution, grid.crs) if height > 0 else None
    return 1 if viewed is None else max(1, round(max(viewed.shape) / COARSE_CELLS))


def _doubt(estimate: PoseEstimate) -> str | None:
    """Return why a match is not to be believed, if it is not."""
    if estimate.significance < MIN_SIGNIFICANCE:
        return (
            f"the best pose stands out by {estimate.significance:.1f} standard deviations, {MIN_SIGNIFICANCE:g} are "
            "needed"
        )
    if estimate.rival > MAX_RIVAL:
        return f"another pose is {estimate.rival:.0%} as good as the best"
    return None


def _match(
    image: np.ndarray,
    geometry: CameraGeometry,
    ground: Ground,
    reference: Reference,
    centre: np.ndarray,
    prior: np.ndarray,
    spread: np.ndarray,
    generator: np.random.Generator,
) -> PoseEstimate | str:
    """Return the estimate about a centre of hypotheses, or why there is none."""
    moved = apply_pose_error(geometry, centre)
    blocks = _blocks(image, moved, ground, reference, spread)
    if isinstance(blocks, str):
        return blocks
    search = _Search(blocks, centre, np.linalg.inv(prior))
    draws = generator.multivariate_normal(np.zeros(6), spread, SAMPLES)
    draws[0] = 0
    found = search.anneal(draws, spread, generator)
    mean, covariance = search.posterior(found, generator)
    significance = float(search.scores(mean[None] - centre, 0)[0])
    return PoseEstimate(mean, covariance, significance, search.rival(mean - centre))


@dataclass(frozen=True)
class _Blocks:
    """What correlates where.

    Attributes:
        offsets: (n, 3) metres from the camera to the middle of each block on the ground.
        surfaces: by blur, (n, side, side) correlation at each shift of whole cells, in units of its noise over all
            blocks together; the middle is no shift.
        resolution: metres a cell.
    """

    offsets: np.ndarray
    surfaces: tuple[np.ndarray, ...]
    resolution: float


BLURS = (3.0, 1.5, 0.75, 0.0)
"""Cells by which surfaces are blurred, from the first round of the search to the last."""


def _blocks(
    image: np.ndarray, geometry: CameraGeometry, ground: Ground, reference: Reference, spread: np.ndarray
) -> _Blocks | str:
    """Return the blocks of a view and how they correlate with the reference; or why there are too few."""
    resolution = reference.grid.resolution
    reach = SEARCH_STDS * float(np.sqrt(spread[0, 0] + spread[1, 1])) / np.sqrt(2)
    position = geometry.position
    height = float(position[2] - ground.height(position[None])[0])
    if not height > 0:
        return "the camera is not above the ground"
    grid = _viewed_grid(geometry, ground, height, resolution, reference.grid.crs)
    if grid is None:
        return "the camera does not look at the ground"
    placed = edge_directions(place_view(image, geometry, ground, grid))
    reach += SEARCH_STDS * float(np.sqrt(np.trace(spread[3:, 3:]) / 3)) * 1.5 * height
    radius = int(np.ceil(min(reach, MAX_SEARCH_M) / resolution)) + 2
    target = edge_directions(_crop(reference, grid, radius))
    rows, columns = (side // BLOCK_CELLS for side in grid.shape)
    offsets, surfaces = [], []
    heights = ground.height(np.concatenate([grid.cell_centres(), np.zeros((*grid.shape, 1))], -1))
    for row in range(rows):
        for column in range(columns):
            top, left = row * BLOCK_CELLS, column * BLOCK_CELLS
            block = placed[top : top + BLOCK_CELLS, left : left + BLOCK_CELLS]
            side = BLOCK_CELLS + 2 * radius
            window = target[top : top + side, left : left + side]
            if np.count_nonzero(block) < MIN_KNOWN * block.size or np.count_nonzero(window) < MIN_KNOWN * window.size:
                continue
            middle = grid.world_from_cells(np.array([top, left]) + BLOCK_CELLS / 2)
            z = heights[top + BLOCK_CELLS // 2, left + BLOCK_CELLS // 2]
            offsets.append(np.append(middle, z) - position)
            surfaces.append(_correlate(block, window))
    if len(offsets) < MIN_BLOCKS:
        return f"only {len(offsets)} parts of the view show ground that the reference shows, {MIN_BLOCKS} are needed"
    values = np.array(surfaces)
    values -= values.mean((1, 2), keepdims=True)
    values /= np.sqrt(values.var((1, 2)).sum())
    return _Blocks(np.array(offsets), tuple(_blurred(values, blur) for blur in BLURS), resolution)


class _Search:
    """Scores of hypotheses, and the best of them.

    Args:
        blocks: of the view.
        centre: (6,) error about which hypotheses are.
        precision: (6, 6) of what is known before, about no error.
    """

    def __init__(self, blocks: _Blocks, centre: np.ndarray, precision: np.ndarray) -> None:
        self.blocks, self.centre, self.precision = blocks, centre, precision
        self.tried: list[tuple[np.ndarray, np.ndarray]] = []

    def shifts(self, errors: np.ndarray) -> np.ndarray:
        """Return (t, n, 2) metres by which each block moves east and north.

        Args:
            errors: (t, 6) from the centre.
        """
        rays, turn = self.blocks.offsets[None], errors[:, None, 3:]
        first = np.cross(turn, rays)
        turned = rays + first + np.cross(turn, first) / 2
        down = -rays[..., 2] + errors[:, None, 2]  # metres above the ground of each block
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.where(turned[..., 2] < 0, down / -turned[..., 2], np.nan)
        moved: np.ndarray = errors[:, None, :2] + turned[..., :2] * scale[..., None] - rays[..., :2]
        return moved

    def scores(self, errors: np.ndarray, blur: int) -> np.ndarray:
        """Return (t,) sums of the blocks' correlations, in standard deviations of chance.

        Args:
            errors: (t, 6) from the centre.
            blur: number of the surface, from the end.
        """
        surface = self.blocks.surfaces[-1 - blur]
        middle = surface.shape[1] // 2
        moved = self.shifts(errors) / self.blocks.resolution
        row, column = middle - moved[..., 1], middle + moved[..., 0]
        values = _lookup(surface, row, column)
        total: np.ndarray = values.sum(1)
        return total

    def log_posterior(self, errors: np.ndarray, scores: np.ndarray, best: float) -> np.ndarray:
        """Return (t,) log posteriors but for a constant.

        Args:
            errors: (t, 6) from the centre.
            scores: (t,) of `scores`.
            best: largest score: the strength of the signal.
        """
        whole = errors + self.centre
        prior = np.einsum("ti,ij,tj->t", whole, self.precision, whole)
        return np.asarray(LIKELIHOOD_SHARE * max(best, 1.0) * scores - prior / 2)

    def anneal(self, draws: np.ndarray, spread: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Return (ELITES, 6) the best hypotheses.

        Args:
            draws: (t, 6) hypotheses from the centre.
            spread: (6, 6) that they were drawn with.
            generator: draws more.
        """
        for number in range(ROUNDS):
            blur = max(len(BLURS) - 1 - number, 0)
            scores = self.scores(draws, blur)
            self.tried.append((draws, scores))
            order = np.argsort(-self.log_posterior(draws, scores, float(scores.max())))[:ELITES]
            elites = draws[order]
            if number == ROUNDS - 1:
                break
            jitter = generator.multivariate_normal(np.zeros(6), spread * 0.3 ** (2 * (number + 1)), (ELITES, 20))
            draws = np.concatenate([elites, (elites[:, None] + jitter).reshape(-1, 6)])
        return np.asarray(elites)

    def posterior(self, elites: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return mean (6,) and covariance (6, 6) about the best hypothesis, of the error itself.

        Args:
            elites: of `anneal`.
            generator: draws samples.
        """
        mean, covariance = elites[0], np.cov(elites.T) + np.diag((FLOOR_STD / 2) ** 2)
        for _ in range(3):
            proposal = 2 * covariance
            draws = np.concatenate([mean[None], generator.multivariate_normal(mean, proposal, POSTERIOR_SAMPLES)])
            scores = self.scores(draws, 0)
            logarithm = self.log_posterior(draws, scores, float(scores.max()))
            away = draws - mean
            logarithm += np.einsum("ti,ij,tj->t", away, np.linalg.inv(proposal), away) / 2
            weight = np.exp(logarithm - logarithm.max())
            weight = np.minimum(weight, 0.05 * weight.sum())  # no single sample speaks for all
            weight /= weight.sum()
            mean = weight @ draws
            away = draws - mean
            covariance = np.einsum("t,ti,tj->ij", weight, away, away) + np.diag((FLOOR_STD / 2) ** 2)
        return mean + self.centre, covariance + np.diag(FLOOR_STD**2)

    def rival(self, best: np.ndarray) -> float:
        """Return the best score of a pose that lies elsewhere, as a share of the best's at the same blur.

        Args:
            best: (6,) from the centre.
        """
        draws = np.concatenate([draws for draws, _ in self.tried])
        scores = self.scores(draws, 1)
        here = self.shifts(best[None])
        far = np.nanmean(np.linalg.norm(self.shifts(draws) - here, axis=-1), 1) > RIVAL_DISTANCE_M
        top = float(self.scores(best[None], 1)[0])
        return float(scores[far].max() / max(top, 1e-9)) if far.any() else 0.0


def place_view(image: np.ndarray, geometry: CameraGeometry, ground: Ground, grid: MapGrid) -> np.ndarray:
    """Return (rows, columns) of a grid what an image shows of the ground there, NaN where it shows nothing.

    Args:
        image: (rows, columns) grey values.
        geometry: camera and pose.
        ground: under it.
        grid: the map.
    """
    row, column = np.mgrid[: grid.rows * SUBSAMPLES, : grid.columns * SUBSAMPLES]
    cells = (np.stack([row, column], -1) + 0.5) / SUBSAMPLES
    points = np.concatenate([grid.world_from_cells(cells), np.zeros((*cells.shape[:2], 1))], -1)
    points[..., 2] = ground.height(points)
    pixels, depth = geometry.project(points)
    values = sample_bilinear(image, pixels[..., ::-1])
    values[~(depth > 0)] = np.nan
    fine = values.reshape(grid.rows, SUBSAMPLES, grid.columns, SUBSAMPLES)
    return np.asarray(fine.mean((1, 3)))


def sample_bilinear(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return values between the centres of cells; NaN beyond the border or beside a NaN.

    Args:
        values: (rows, columns).
        places: (..., 2) row and column, of which the first cell's centre is (0.5, 0.5).
    """
    with np.errstate(invalid="ignore"):
        inside = ((places >= 0) & (places <= values.shape)).all(-1)
    at = np.where(inside[..., None], places, 0.5) - 0.5
    low = np.clip(np.floor(at), 0, np.array(values.shape) - 2).astype(np.int64)
    share = np.clip(at - low, 0, 1)
    (row, column), (down, right) = np.moveaxis(low, -1, 0), np.moveaxis(share, -1, 0)
    above = values[row, column] * (1 - right) + values[row, column + 1] * right
    below = values[row + 1, column] * (1 - right) + values[row + 1, column + 1] * right
    return np.where(inside, above * (1 - down) + below * down, np.nan)


def _viewed_grid(
    geometry: CameraGeometry, ground: Ground, height: float, resolution: float, crs: str | None
) -> MapGrid | None:
    """Return the grid over the ground that a camera sees near enough; None where it sees none."""
    camera = geometry.camera
    u, v = np.meshgrid(np.linspace(0, camera.columns, 17), np.linspace(0, camera.rows, 17))
    rays = geometry.world_rays(np.stack([u, v], -1)).reshape(-1, 3)
    depth = np.asarray(ground.depth(geometry.position, rays))
    with np.errstate(invalid="ignore"):
        points = geometry.position + depth[:, None] * rays
        distance = np.linalg.norm(points[:, :2] - geometry.position[:2], axis=1)
        near = np.isfinite(distance) & (distance <= min(MAX_RANGE_HEIGHTS * height, MAX_RANGE_M))
    if near.sum() < 4:
        return None
    (west, south), (east, north) = points[near, :2].min(0), points[near, :2].max(0)
    return MapGrid.covering((west, south, max(east, west + 1), max(north, south + 1)), resolution, crs)


def _crop(reference: Reference, grid: MapGrid, radius: int) -> np.ndarray:
    """Return the reference on a grid that is larger by a radius on each side, NaN where it shows nothing."""
    large = grid.subgrid(-radius, -radius, grid.rows + 2 * radius, grid.columns + 2 * radius)
    row, column = large.offset_to(reference.grid)
    result = np.full(large.shape, np.nan)
    rows, columns = (_overlap(start, *sides) for start, sides in zip(
        (row, column), zip(large.shape, reference.grid.shape, strict=True), strict=True))  # fmt: skip
    result[rows[0], columns[0]] = reference.grey[rows[1], columns[1]]
    return result


def _overlap(start: int, length: int, limit: int) -> tuple[slice, slice]:
    """Return where a span of a length from ``start`` overlaps 0 to ``limit``: in the span, and in the whole."""
    low, high = max(start, 0), max(min(start + length, limit), max(start, 0))
    return slice(low - start, high - start), slice(low, high)


def _correlate(block: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Return (side, side) real correlation of a block with a window at all shifts that keep it inside."""
    spectrum = np.fft.fft2(window) * np.fft.fft2(block, window.shape).conj()
    side = window.shape[0] - block.shape[0] + 1
    return np.asarray(np.fft.ifft2(spectrum).real[:side, :side])


def _blurred(values: np.ndarray, cells: float) -> np.ndarray:
    """Return surfaces blurred by a Gaussian, with the same noise over all of them together."""
    if not cells:
        return values.astype(np.float32)
    size = values.shape[1:]
    row, column = (np.fft.fftfreq(side) for side in size)
    gain = np.exp(-2 * (np.pi * cells) ** 2 * (row[:, None] ** 2 + column[None] ** 2))
    smooth = np.fft.ifft2(np.fft.fft2(values) * gain).real
    return np.asarray(smooth / np.sqrt(smooth.var((1, 2)).sum()), np.float32)


def _lookup(surface: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Return (t, n) values between the cells of (n, side, side) surfaces; 0 beyond them."""
    side = surface.shape[1]
    with np.errstate(invalid="ignore"):
        inside = (row >= 0) & (column >= 0) & (row <= side - 1) & (column <= side - 1)
    row, column = np.where(inside, row, 0), np.where(inside, column, 0)
    low_row, low_column = (np.minimum(axis.astype(np.int64), side - 2) for axis in (row, column))
    down, right = row - low_row, column - low_column
    number = np.arange(len(surface))[None]
    flat, index = surface.reshape(-1), (number * side + low_row) * side + low_column
    above = flat[index] * (1 - right) + flat[index + 1] * right
    below = flat[index + side] * (1 - right) + flat[index + side + 1] * right
    return np.where(inside, above * (1 - down) + below * down, 0)


def grey_values(observation: Observation) -> np.ndarray:
    """Return (rows, columns) mean of the first three bands, NaN where one is not valid.

    Args:
        observation: an image.
    """
    return np.where(observation.valid.all(0), observation.pixels[:3].mean(0), np.nan).astype(np.float64)


def prior_covariance(stds: Sequence[float]) -> np.ndarray:
    """Return (6, 6) of independent errors.

    Args:
        stds: metres horizontally and up, degrees of heading and of tilt.
    """
    horizontal, up, heading, tilt = stds
    angles = np.radians([tilt, tilt, heading])
    return np.diag(np.square([horizontal, horizontal, up, *angles]))
