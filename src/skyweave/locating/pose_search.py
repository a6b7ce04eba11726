"""Hypotheses of an error of a pose, scored by how well a view fits a reference with it."""

import numpy as np

from skyweave.locating.block_correlation import BLURS, Blocks, look_up

ELITES, ROUNDS = 150, 5
POSTERIOR_SAMPLES = 3000
LIKELIHOOD_SHARE = 1.0  # of the matched filter: less where neighbouring cells share more noise than blocks average
RIVAL_DISTANCE_M = 4.0  # of blocks, beyond which another pose is a rival
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

    def anneal(self, draws: np.ndarray, search_covariance: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Return (ELITES, 6) the best hypotheses.

        Args:
            draws: (t, 6) hypotheses from the centre.
            search_covariance: (6, 6) that they were drawn with.
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
            jitter = generator.multivariate_normal(
                np.zeros(6), search_covariance * 0.3 ** (2 * (number + 1)), (ELITES, 20)
            )
            draws = np.concatenate([elites, (elites[:, None] + jitter).reshape(-1, 6)])
        return np.asarray(elites)

    def posterior(self, elites: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return mean (6,) and covariance (6, 6) about the best hypothesis, of the error itself.

        Args:
            elites: of `anneal`.
            generator: draws samples.
        """
        mean, covariance = elites[0], np.cov(elites.T) + np.diag((MIN_MATCH_STD / 2) ** 2)
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
            covariance = np.einsum("t,ti,tj->ij", weight, away, away) + np.diag((MIN_MATCH_STD / 2) ** 2)
        return mean + self.centre, covariance + np.diag(MIN_MATCH_STD**2)

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
