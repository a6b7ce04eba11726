"""What somebody has labelled so far, and the map that follows from it."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from skyweave.core.errors import ConfigError, DataError
from skyweave.search.archive import PatchArchive
from skyweave.search.ground_areas import ground_areas
from skyweave.search.labelling.area import MIN_SAMPLES, AreaEstimates, allocate_samples, estimate_areas
from skyweave.search.labelling.classifier import PatchClassifier, PatchPrediction, choose_question
from skyweave.search.places import GridPlaces

MAX_CLASSES = 12
MIN_SAMPLES_A_CLASS = 5
MAX_SAMPLES = 2000
SQUARE_METRES_A_HECTARE = 10_000.0
COLOURS = (
    "#4477aa", "#228833", "#ccbb44", "#ee6677", "#aa3377", "#66ccee",
    "#ee7733", "#bbbbbb", "#44bb99", "#997700", "#882255", "#ddddff",
)  # fmt: skip
"""Of the classes, after Paul Tol's palettes, which colour-blind people can tell apart."""


@dataclass
class Assessment:
    """A stratified random sample of the map.

    Attributes:
        numbers: of the sampled patches, (samples,), in random order.
        reference: class of each by somebody who looked; -1: not yet.
    """

    numbers: np.ndarray
    reference: np.ndarray


@dataclass
class LabelSession:
    """Examples of classes on one grid of patches.

    While a sample is assessed the examples stay as they are: the sample is of the map as it is.

    Attributes:
        archive: embeddings of one raster.
        classes: names.
        examples: class by number of patch.
        assessment: sample that is assessed; None without.
        version: counts the maps.
        prediction: the map; None before the first example.

    Raises:
        ConfigError: less than two classes, too many, or two of one name.
        DataError: embeddings that are no grid.
    """

    archive: PatchArchive
    classes: tuple[str, ...]
    examples: dict[int, int] = field(default_factory=dict)
    assessment: Assessment | None = None
    version: int = 0
    prediction: PatchPrediction | None = None

    def __post_init__(self) -> None:
        if not 2 <= len(self.classes) <= MAX_CLASSES or len(set(self.classes)) < len(self.classes):
            raise ConfigError(f"--classes: give 2 to {MAX_CLASSES} different names, separated by commas")
        if len(self.archive.parts) != 1 or not isinstance(self.archive.parts[0].places, GridPlaces):
            raise DataError("labelling needs the embeddings of one scene, as a raster")
        self.places: GridPlaces = self.archive.parts[0].places
        self._numbers = {int(cell): number for number, cell in enumerate(self.places.cells)}
        self._classifier = PatchClassifier(self.archive)
        self._predict()

    def number_at(self, row: int, column: int) -> int | None:
        """Return the number of a patch; None where it has no features.

        Args:
            row: in the grid.
            column: in the grid.
        """
        rows, columns = self.places.shape
        inside = 0 <= row < rows and 0 <= column < columns
        return self._numbers.get(row * columns + column) if inside else None

    def set_example(self, number: int, label: int | None) -> None:
        """Make a patch an example of a class, or no example.

        Args:
            number: of the patch.
            label: index of the class; None: no example.

        Raises:
            ConfigError: no such class, or a sample is being assessed.
        """
        if self.assessment is not None:
            raise ConfigError("a sample of this map is being assessed; end that first")
        if label is None:
            self.examples.pop(number, None)
        elif 0 <= label < len(self.classes):
            self.examples[number] = label
        else:
            raise ConfigError(f"there is no class {label}")
        self._predict()

    def set_examples(self, examples: dict[int, int]) -> None:
        """Replace all examples.

        Args:
            examples: index of the class by number of the patch.
        """
        self.examples = dict(examples)
        self._predict()

    def question(self) -> int | None:
        """Return the patch where the classifier is least certain; None without a map of two classes."""
        if self.prediction is None or len(set(self.examples.values())) < 2:
            return None
        examples = np.fromiter(self.examples, np.int64)
        return choose_question(self.prediction, self.places.cells, self.places.shape[1], examples)

    def class_counts(self) -> np.ndarray:
        """Return how many patches of the map are of each class, (classes,) int64; zeros without a map."""
        classes = np.zeros(0, np.int64) if self.prediction is None else self.prediction.classes
        return np.bincount(classes, minlength=len(self.classes))

    def start_assessment(self, total: int, seed: int = 0) -> None:
        """Draw a stratified random sample of the map.

        Args:
            total: of samples.
            seed: of the draw.

        Raises:
            ConfigError: no map yet, or no such number.
        """
        if self.prediction is None:
            raise ConfigError("there is no map yet; click examples of two classes")
        if not 2 * MIN_SAMPLES_A_CLASS <= total <= MAX_SAMPLES:
            raise ConfigError(f"a sample of {total} is not possible; give {2 * MIN_SAMPLES_A_CLASS} to {MAX_SAMPLES}")
        random = np.random.default_rng(seed)
        counts = self.class_counts()
        sizes = np.minimum(allocate_samples(counts, total, MIN_SAMPLES_A_CLASS), counts)
        drawn = [
            random.choice(np.flatnonzero(self.prediction.classes == label), size, replace=False)
            for label, size in enumerate(sizes)
        ]
        numbers = random.permutation(np.concatenate(drawn))
        self.assessment = Assessment(numbers, np.full(len(numbers), -1))

    def end_assessment(self) -> None:
        """Forget the sample; examples can be added again."""
        self.assessment = None

    def set_reference(self, index: int, label: int) -> None:
        """Say what class a sample is, by looking.

        Args:
            index: of the sample.
            label: index of the class.

        Raises:
            ConfigError: no such sample or class.
        """
        assessment = self.assessment
        if assessment is None or not 0 <= index < len(assessment.numbers) or not 0 <= label < len(self.classes):
            raise ConfigError("there is no such sample or class")
        assessment.reference[index] = label

    def error_matrix(self) -> np.ndarray:
        """Return samples by class of the map (rows) and reference class (columns), (classes, classes) int64."""
        matrix = np.zeros((len(self.classes), len(self.classes)), np.int64)
        if self.assessment is not None and self.prediction is not None:
            known = self.assessment.reference >= 0
            mapped = self.prediction.classes[self.assessment.numbers[known]]
            np.add.at(matrix, (mapped, self.assessment.reference[known]), 1)
        return matrix

    def class_areas(self) -> np.ndarray:
        """Return the area of each class of the map, (classes,): hectares, or patches where they are not known."""
        if self.prediction is None or self.patch_hectares is None:
            return self.class_counts().astype(np.float64)
        return np.bincount(self.prediction.classes, self.patch_hectares, len(self.classes))

    def estimates(self) -> AreaEstimates | None:
        """Return estimates of areas as of `class_areas`; None until the whole sample has its reference classes.

        A part of the sample would not do: who stops early may stop where it suits.
        """
        if self.assessment is None or (self.assessment.reference < 0).any():
            return None
        counts = self.class_counts()
        matrix = self.error_matrix()
        if (matrix.sum(1)[counts > 0] < MIN_SAMPLES).any():
            return None
        return estimate_areas(matrix, self.class_areas())

    @cached_property
    def patch_hectares(self) -> np.ndarray | None:
        """Return the area of each patch on the ground, (patches,); None where the grid has no place on the Earth."""
        try:
            return ground_areas(self.places) / SQUARE_METRES_A_HECTARE
        except DataError:
            return None

    def describe(self) -> dict[str, Any]:
        """Return the state as JSON values, for the page."""
        rows, columns = self.places.shape
        question = self.question()
        return {
            "classes": [{"name": n, "colour": c} for n, c in zip(self.classes, COLOURS, strict=False)],
            "rows": rows,
            "columns": columns,
            "version": self.version,
            "examples": [[*self._place(number), label] for number, label in self.examples.items()],
            "counts": self.class_counts().tolist(),
            "areas": self.class_areas().tolist(),
            "question": None if question is None else self._place(question),
            "sample": self._describe_sample(),
            "estimates": self._describe_estimates(),
        }

    def _describe_sample(self) -> list[list[int]] | None:
        """Return row, column and reference class (-1: not yet) of each sample; not what the map says, lest it lead."""
        if self.assessment is None:
            return None
        pairs = zip(self.assessment.numbers, self.assessment.reference, strict=True)
        return [[*self._place(int(number)), int(label)] for number, label in pairs]

    def _describe_estimates(self) -> dict[str, Any] | None:
        estimates = self.estimates()
        if estimates is None:
            return None
        share = 1 / self.class_areas().sum()
        return {
            "shares": (estimates.areas * share).tolist(),
            "intervals": (estimates.area_intervals * share).tolist(),
            "overall": [estimates.overall_accuracy, 1.96 * estimates.overall_error],
        }

    def _place(self, number: int) -> list[int]:
        return [int(value) for value in divmod(int(self.places.cells[number]), self.places.shape[1])]

    def _predict(self) -> None:
        self.version += 1
        if not self.examples:
            self.prediction = None
            return
        numbers = np.fromiter(self.examples, np.int64)
        self.prediction = self._classifier.predict(numbers, np.fromiter(self.examples.values(), np.int64))
