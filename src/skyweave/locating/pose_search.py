"""Hypotheses of an error of a pose, scored by how well a view fits a reference with it."""

import numpy as np

from skyweave.locating.block_correlation import BLURS, Blocks, look_up
from skyweave.locating.placed_view import longer

ELITES, CHILDREN, ROUNDS = 100, 10, 5
SCANS, PLACES = 80, 5  # heights and turns at which all places are tried, and how many of them are kept
JITTER_CELLS, JITTER, NARROWING = 2.0, 0.3, 0.4  # about the best: of places, of the rest as a share, and round by round
POSTERIOR_SAMPLES, POSTERIOR_ROUNDS = 1500, 4
LIKELIHOOD_SHARE = 0.6  # of the matched filter: neighbouring cells share noise, and what stands up is seen elsewhere
MIN_MATCH_CELLS = 0.4  # likewise: reference and view are blurred by their pixels
RIVAL_DISTANCE_M = 4.0  # of blocks, beyond which another pose is a rival
AROUND = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if (down, right) != (0, 0)]
MIN_MATCH_STD = np.array([0.1, 0.1, 0.1, *np.radians([0.1, 0.1, 0.1])])  # what no single match is better than


class PoseSearch:
    """Scores of hypotheses, and the best of them.

    Args:
        blocks: of the view.
        centre: (6,) error about which hypotheses are.
        precision: (6, 6) of what is known before, about no error.
    """

    def __init__(self, blocks: Blocks, centre: np.ndarray, precision: np.ndarray) -> None:
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
        values = look_up(surface, row, column)
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

    def scan(self, search_covariance: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Return (t, 6) the best places at each of several heights and turns: every whole cell is tried.

        Args:
            search_covariance: (6, 6) of what is looked for.
            generator: draws heights and turns.
        """
        surface, resolution = self.blocks.surfaces[0], self.blocks.resolution
        headings = np.zeros((SCANS, 6))
        headings[1:, 2:] = generator.multivariate_normal(np.zeros(4), search_covariance[2:, 2:], SCANS - 1)
        cells = np.nan_to_num(self.shifts(headings) / resolution).round().astype(int)
        side, reach = surface.shape[1], surface.shape[1] // 2
        cells = np.clip(cells, -reach, reach)
        padded = np.pad(surface, ((0, 0), (reach, reach), (reach, reach)))
        matches = []
        for heading, moved in zip(headings, cells, strict=True):
            total = np.zeros((side, side), np.float32)
            for block, (right, up) in zip(padded, moved, strict=True):
                total += block[reach - up : reach - up + side, reach + right : reach + right + side]
            for row, column in _largest(total, PLACES):
                place = np.array([column - side // 2, side // 2 - row]) * resolution
                matches.append(np.concatenate([place, heading[2:]]))
        return np.array(matches)

    def anneal(self, draws: np.ndarray, jitter: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Return (6,) the best hypothesis.

        Args:
            draws: (t, 6) hypotheses from the centre.
            jitter: (6, 6) covariance of hypotheses about the best, in the first round.
            generator: draws more.
        """
        for number in range(ROUNDS):
            blur = max(len(BLURS) - 1 - number, 0)
            scores = self.scores(draws, blur)
            self.tried.append((draws, scores))
            order = np.argsort(-self.log_posterior(draws, scores, float(scores.max())))[:ELITES]
            elites = draws[order]
            if number < ROUNDS - 1:
                narrow = jitter * NARROWING ** (2 * number)
                more = generator.multivariate_normal(np.zeros(6), narrow, (len(elites), CHILDREN))
                draws = np.concatenate([elites, (elites[:, None] + more).reshape(-1, 6)])
        return np.asarray(elites[0])

    def jitter(self, search_covariance: np.ndarray) -> np.ndarray:
        """Return the (6, 6) covariance of hypotheses about places that were scanned.

        Args:
            search_covariance: (6, 6) of what is looked for.
        """
        place = np.minimum(np.diag(search_covariance)[:2], (JITTER_CELLS * self.blocks.resolution) ** 2)
        return np.diag(np.concatenate([place, np.diag(search_covariance)[2:] * JITTER**2]))

    def posterior(
        self, start: np.ndarray, jitter: np.ndarray, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return mean (6,) and covariance (6, 6) about the best hypothesis, of the error itself.

        Args:
            start: (6,) the best hypothesis, from the centre.
            jitter: (6, 6) covariance of the first samples.
            generator: draws samples.
        """
        mean, covariance = start, jitter + np.diag((MIN_MATCH_STD / 2) ** 2)
        for _ in range(POSTERIOR_ROUNDS):
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
            covariance = np.einsum("t,ti,tj->ij", weight, away, away) + np.diag((MIN_MATCH_STD / 2) ** 2)
        return mean + self.centre, covariance + self.minimum_covariance()

    def minimum_covariance(self) -> np.ndarray:
        """Return the (6, 6) covariance that no match is better than."""
        east_north = (MIN_MATCH_CELLS * self.blocks.resolution) ** 2
        return np.diag(MIN_MATCH_STD**2 + np.array([east_north, east_north, 0, 0, 0, 0]))

    def rival(self, best: np.ndarray) -> tuple[np.ndarray | None, float]:
        """Return the likeliest pose that lies elsewhere, and by how much the best is likelier, as a natural logarithm.

        Args:
            best: (6,) from the centre.
        """
        draws = np.concatenate([draws for draws, _ in self.tried])
        away = np.nanmean(np.linalg.norm(self.shifts(draws) - self.shifts(best[None]), axis=-1), 1)
        draws = np.concatenate([best[None], draws[away > longer(RIVAL_DISTANCE_M, self.blocks.resolution)]])
        if len(draws) == 1:
            return None, np.inf
        scores = self.scores(draws, 1)
        likelihood = self.log_posterior(draws, scores, float(scores.max()))
        top = 1 + int(likelihood[1:].argmax())
        return draws[top], float(likelihood[0] - likelihood[top])


def _largest(values: np.ndarray, count: int) -> np.ndarray:
    """Return (count, 2) row and column of the largest of values that are larger than their neighbours."""
    inner = values[1:-1, 1:-1]
    rows, columns = inner.shape
    around = [values[1 + down : 1 + down + rows, 1 + right : 1 + right + columns] for down, right in AROUND]
    top = np.where(np.all([inner >= other for other in around], axis=0), inner, -np.inf)
    chosen = np.argsort(-top, axis=None)[:count]
    return np.stack(np.unravel_index(chosen, top.shape), -1) + 1
