"""The pose that fits a view best, by least squares over its parts, and its covariance as the parts disagree.

Every part of the view (`PARTS` a side) is correlated with the reference around where a hypothesis puts it; the shifts
of the peaks are what is measured. How far they scatter about the best pose says how good they are: relief, objects that
stand and images of another year move parts in ways that no pose explains, and count as noise here.
"""

import numpy as np

from skyweave.locating.block_correlation import Blocks, look_up
from skyweave.locating.pose_search import PoseSearch

PARTS = 6  # a side of the view
WINDOW_CELLS = 6  # by which a peak may lie from where the hypothesis puts it
MIN_PEAK = 4.0  # standard deviations of the correlation at other shifts
MIN_PEAKS = 8
MIN_SHIFT_STD_CELLS = 0.35  # of a peak, however well peaks agree
ROUNDS = 5
BLUR = 1  # number of the surface, from the end
STEP = np.array([0.01, 0.01, 0.01, 1e-4, 1e-4, 1e-4])  # of the derivatives: metres, radians


class PoseAdjustment:
    """Least squares about hypotheses.

    Args:
        search: blocks, and what is known before.
    """

    def __init__(self, search: PoseSearch) -> None:
        self.search, self.blocks = search, search.blocks
        self.part_of_block = _parts(self.blocks)
        self.surfaces = self.blocks.surfaces[-1 - BLUR]
        self.variance = self.surfaces.var((1, 2))

    def solve(self, start: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Return (6,) error and (6, 6) covariance; None where too few parts stand out for themselves.

        Args:
            start: (6,) hypothesis, from the centre of the search.
        """
        pose, centre, precision = start, self.search.centre, self.search.precision
        covariance = np.linalg.inv(precision)
        for _ in range(ROUNDS):
            shift, jacobian = self._peaks(pose)
            if len(shift) < MIN_PEAKS:
                return None
            std = self._std(shift)
            weight = 1 / (1 + (shift**2).sum(1) / (3 * std) ** 2)  # Cauchy's
            weighted = np.einsum("p,pki->pki", weight, jacobian) / std**2
            information = np.einsum("pki,pkj->ij", weighted, jacobian) + precision
            slope = np.einsum("pki,pk->i", weighted, shift) - precision @ (pose + centre)
            covariance = np.linalg.inv(information)
            pose = pose + covariance @ slope
        return pose + centre, covariance + self.search.minimum_covariance()

    def _std(self, shift: np.ndarray) -> float:
        """Return the standard deviation of (p, 2) shifts, metres, whatever a few do."""
        freedom = 2 * len(shift) / max(2 * len(shift) - 6, 1)  # six numbers were fitted
        middle = float(np.median((shift**2).sum(1))) / (2 * np.log(2))  # of a Rayleigh distribution
        return max(float(np.sqrt(middle * freedom)), MIN_SHIFT_STD_CELLS * self.blocks.resolution)

    def _peaks(self, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (p, 2) metres east and north from hypothesis to peak of each part, and (p, 2, 6) derivatives."""
        poses = np.concatenate([pose[None], pose + np.diag(STEP)])
        moved = self.search.shifts(poses)
        derivative = (moved[1:] - moved[:1]) / STEP[:, None, None]  # (6, n, 2)
        steps = np.arange(-WINDOW_CELLS, WINDOW_CELLS + 1)
        down, right = (axis.ravel()[:, None] for axis in np.meshgrid(steps, steps, indexing="ij"))
        middle = self.surfaces.shape[1] // 2
        row, column = middle - moved[0, :, 1] / self.blocks.resolution, middle + moved[0, :, 0] / self.blocks.resolution
        values = look_up(self.surfaces, row[None] + down, column[None] + right)  # (w * w, n)
        shifts, jacobians = [], []
        for part in np.unique(self.part_of_block):
            members = self.part_of_block == part
            noise = np.sqrt(self.variance[members].sum())
            peak = _find_peak(values[:, members].sum(1).reshape(len(steps), -1), MIN_PEAK * noise)
            if peak is not None:
                shifts.append(np.array([peak[1], -peak[0]]) * self.blocks.resolution)
                share = self.variance[members] / self.variance[members].sum()
                jacobians.append(np.einsum("n,ink->ki", share, derivative[:, members]))
        return np.array(shifts).reshape(-1, 2), np.array(jacobians).reshape(-1, 2, 6)


def _parts(blocks: Blocks) -> np.ndarray:
    """Return (n,) the part of the view that each block is in."""
    place = blocks.offsets[:, :2]
    low, high = place.min(0), place.max(0)
    cell = np.clip((place - low) / np.maximum(high - low, 1e-9) * PARTS, 0, PARTS - 1).astype(int)
    return np.asarray(cell[:, 0] * PARTS + cell[:, 1])


def _find_peak(values: np.ndarray, threshold: float) -> tuple[float, float] | None:
    """Return rows and columns from the middle to the peak of (w, w) values; None at the border or below a threshold."""
    row, column = (int(index) for index in np.unravel_index(int(values.argmax()), values.shape))
    last = len(values) - 1
    if values[row, column] < threshold or min(row, column) == 0 or max(row, column) == last:
        return None
    down = _vertex(*values[row - 1 : row + 2, column])
    right = _vertex(*values[row, column - 1 : column + 2])
    return row + down - last / 2, column + right - last / 2


def _vertex(before: float, at: float, after: float) -> float:
    """Return where a parabola through three values, the middle one the largest, has its vertex."""
    bend = before - 2 * at + after
    return float((before - after) / (2 * bend)) if bend < 0 else 0.0
