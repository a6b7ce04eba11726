"""Thirty clicks to a land-cover map: the page's classifier beside a random forest with the same clicks.

    skyweave embed DATA/s1_s2_terramesh/S2L2A/PLACE.tif -o features.tif --sensor sentinel2-l2a --unit dn \
        --bands sensor --patch-size 4
    python benchmarks/label.py features.tif DATA/s1_s2_terramesh PLACE

The map of the data set plays the person: the first clicks are patches drawn at random, one of each class, the others
answer the page's question, or are drawn at random, too. The random forest gets the mean and the standard deviation of
each band of the same patches. Accuracy is over all patches that were not clicked and of which three quarters are of one
class.
"""

import argparse
from pathlib import Path

import numpy as np
import rasterio
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skyweave.search.archive import build_archive
from skyweave.search.labelling.session import LabelSession
from skyweave.search.readers import open_patches

MIN_PURITY = 0.75
MIN_CLASS_SHARE = 0.02  # of the patches; rarer classes are left out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("embeddings", type=Path)
    parser.add_argument("data", type=Path, help="folder of TerraMesh")
    parser.add_argument("place")
    parser.add_argument("--clicks", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    reader = open_patches(arguments.embeddings)
    archive, _ = build_archive([reader])
    size = int(reader.tags["PATCH_SIZE"])
    labels = pure_classes(read(arguments.data / "LULC" / f"{arguments.place}.tif")[0], size)
    known = labels >= 0
    bands = band_statistics(read(arguments.data / "S2L2A" / f"{arguments.place}.tif"), size)
    names = tuple(str(number) for number in range(labels.max() + 1))
    print(
        f"{arguments.place}: {known.sum()} of {labels.size} patches of {size} pixels are of one of {len(names)} classes"
    )
    print("\n| clicks | classifier | accuracy | balanced accuracy |\n| --- | --- | --- | --- |")
    for way in ("questions of the page", "at random"):
        scores: dict[str, list[tuple[float, float]]] = {}
        for seed in range(arguments.seeds):
            session = LabelSession(archive, names)
            click(session, labels, arguments.clicks, seed, ask=way.startswith("q"))
            numbers, clicked = np.fromiter(session.examples, int), np.fromiter(session.examples.values(), int)
            assert session.prediction is not None
            kept = known.copy()
            kept[numbers] = False
            for name, prediction in {
                "page, on embeddings": session.prediction.classes,
                "random forest, on bands": forest(bands, numbers, clicked),
                "logistic regression, on bands": logistic(bands, numbers, clicked),
                "largest class of the clicks": np.full(len(labels), np.bincount(clicked).argmax()),
            }.items():
                pair = (
                    (prediction[kept] == labels[kept]).mean(),
                    balanced_accuracy_score(labels[kept], prediction[kept]),
                )
                scores.setdefault(name, []).append(pair)
        for name, pairs in scores.items():
            mean, deviation = np.mean(pairs, 0), np.std(pairs, 0)
            cells = [f"{m:.3f} ± {d:.3f}" for m, d in zip(mean, deviation, strict=True)]
            print(f"| {way} | {name} | {cells[0]} | {cells[1]} |")


def click(session: LabelSession, labels: np.ndarray, clicks: int, seed: int, ask: bool) -> None:
    """Click as a person would who knows the classes: one of each, then answers, or patches at random."""
    random = np.random.default_rng(seed)
    known = np.flatnonzero(labels >= 0)
    for label in range(labels.max() + 1):
        session.set_example(int(random.choice(np.flatnonzero(labels == label))), label)
    while len(session.examples) < clicks:
        number = session.question() if ask else None
        if number is None or labels[number] < 0:  # a person skips what is mixed
            number = int(random.choice(known))
        session.set_example(number, int(labels[number]))


def pure_classes(classes: np.ndarray, size: int) -> np.ndarray:
    """Return the class of each patch, numbered from 0 without gaps; -1 where it is mixed or rare."""
    blocks = blocks_of(classes[None], size)[0]
    labels = np.full(len(blocks), -1)
    shares = {value: (blocks == value).mean(1) for value in np.unique(classes) if value > 0}
    kept = [value for value, share in shares.items() if (share >= MIN_PURITY).mean() >= MIN_CLASS_SHARE]
    for number, value in enumerate(kept):
        labels[shares[value] >= MIN_PURITY] = number
    return labels


def band_statistics(pixels: np.ndarray, size: int) -> np.ndarray:
    blocks = blocks_of(pixels.astype(float), size)
    return np.concatenate([blocks.mean(2), blocks.std(2)]).T


def blocks_of(pixels: np.ndarray, size: int) -> np.ndarray:
    """Return (bands, patches, pixels of a patch), without an incomplete last row and column."""
    bands, rows, columns = pixels.shape
    assert rows % size == 0 and columns % size == 0, "choose a patch size that divides the scene"
    blocks = pixels.reshape(bands, rows // size, size, columns // size, size).swapaxes(2, 3)
    return blocks.reshape(bands, -1, size * size)


def forest(features: np.ndarray, numbers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    model = RandomForestClassifier(200, random_state=0, class_weight="balanced").fit(features[numbers], labels)
    return np.asarray(model.predict(features))


def logistic(features: np.ndarray, numbers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    scaled = StandardScaler().fit_transform(features)
    model = make_pipeline(LogisticRegression(max_iter=1000, class_weight="balanced")).fit(scaled[numbers], labels)
    return np.asarray(model.predict(scaled))


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as source:
        return np.asarray(source.read())


if __name__ == "__main__":
    main()
