"""Metrics as functions of sums over samples, so that resampling is one matrix product."""

import numpy as np


def group_totals(target: np.ndarray, predicted: np.ndarray, group: np.ndarray, num_classes: int) -> np.ndarray:
    """Sum by group what a metric needs.

    Args:
        target: (samples,) class index or float.
        predicted: (samples,) the same.
        group: (samples,) int.
        num_classes: 0 for regression.

    Returns:
        (groups, classes * classes) confusion counts, true class first; or (groups, 5) for regression: count, sum and
        sum of squares of the target, sum of squared and of absolute errors.
    """
    index = np.unique(group, return_inverse=True)[1]
    groups = int(index.max()) + 1
    if num_classes:
        flat = (index * num_classes + target) * num_classes + predicted.astype(int)
        counts = np.bincount(flat, minlength=groups * num_classes**2)
        return counts.reshape(groups, num_classes**2).astype(float)
    error = predicted.astype(float) - target
    columns = [np.ones_like(error), target, target.astype(float) ** 2, error**2, np.abs(error)]
    return np.stack([np.bincount(index, column, groups) for column in columns], axis=1)


def metrics_from_totals(totals: np.ndarray, num_classes: int) -> dict[str, np.ndarray]:
    """Compute metrics of summed totals.

    Args:
        totals: (..., classes * classes) or (..., 5), see `group_totals`.
        num_classes: 0 for regression.

    Returns:
        Name to (...): accuracy; balanced_accuracy, macro_f1 and mean_iou over the classes that occur; of two classes
        also positive_f1, that of the second. Or r2 and mae.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        if not num_classes:
            count, total, squares, squared, absolute = np.moveaxis(totals, -1, 0)
            return {"r2": 1 - squared / (squares - total**2 / count), "mae": absolute / count}
        table = totals.reshape(*totals.shape[:-1], num_classes, num_classes)
        hits = np.diagonal(table, axis1=-2, axis2=-1)
        true, predicted = table.sum(axis=-1), table.sum(axis=-2)
        present = true > 0
        recall = np.where(present, hits / true, 0.0).sum(axis=-1) / present.sum(axis=-1)
        f1 = np.where(present, 2 * hits / (true + predicted), 0.0).sum(axis=-1) / present.sum(axis=-1)
        iou = np.where(present, hits / (true + predicted - hits), 0.0).sum(axis=-1) / present.sum(axis=-1)
        scores = {"accuracy": hits.sum(-1) / true.sum(-1), "balanced_accuracy": recall, "macro_f1": f1, "mean_iou": iou}
        if num_classes == 2:
            total = true[..., 1] + predicted[..., 1]
            scores["positive_f1"] = np.where(total > 0, 2 * hits[..., 1] / total, 0.0)
        return scores
