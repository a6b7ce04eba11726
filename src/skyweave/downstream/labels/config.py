"""What a user declares of labelled data: images, labels, tiles and how they are split; the same for every use of it."""

from dataclasses import dataclass, field
from typing import Literal

from skyweave.core.errors import ConfigError

DEFAULT_BOX_COLUMNS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class FileOverride:
    """Files that are stored otherwise than the rest of the source.

    Attributes:
        files: glob on the file name.
        unit: of these files; None: the source's.
        offset: of these files; None: the source's.
    """

    files: str
    unit: str | None = None
    offset: float | None = None


@dataclass(frozen=True)
class UnitRule:
    """A declared rule for files whose storage differs and cannot be listed beforehand.

    A file in which every band's ``percentile`` lies at or above ``at_least`` (stored values) is read with ``unit``.
    It is a heuristic that the configuration asks for by name; notes list the files that it caught.

    Attributes:
        unit: of the files that the rule catches.
        at_least: stored value.
        percentile: of the stored values of a band, 0 to 100.
    """

    unit: str
    at_least: float
    percentile: float = 1.0


@dataclass(frozen=True)
class ImageSourceConfig:
    """Images: which files, and how they store the sensor's values.

    Attributes:
        sensor: name of a sensor, see ``skyweave sensors``.
        files: glob below the data folder.
        unit: how values are stored: a word of the sensor's encodings.
        bands: the file's bands in file order (null for one to skip), or ``sensor`` for the sensor's own order; None: as
            the file names them.
        select: keep only these bands.
        offset: added to the stored values before they are decoded.
        nodata: ``file``: what the file declares; None: ignore that; a stored value, or a list of these.
        ignore_scale_tags: use ``unit`` although scale and offset tags of a file contradict it.
        ground_sample_distance: metres per pixel; None: the file's.
        exclude: globs on names of files to leave out.
        overrides: files that are stored otherwise; the first that fits counts.
        unit_rule: for files that no override names.
    """

    sensor: str
    files: str
    unit: str
    bands: list[str | None] | Literal["sensor"] | None = None
    select: list[str] | None = None
    offset: float = 0.0
    nodata: list[float | Literal["file", "clouds"]] | float | Literal["file", "clouds"] | None = "file"
    ignore_scale_tags: bool = False
    ground_sample_distance: float | None = None
    exclude: list[str] = field(default_factory=list)
    overrides: list[FileOverride] = field(default_factory=list)
    unit_rule: UnitRule | None = None


@dataclass(frozen=True)
class LabelConfig:
    """Where the labels are.

    Attributes:
        kind: ``folder``: the class is the name of the image's folder. ``pattern``: the group ``label`` of ``pattern``
            in the file name (in the path below the data folder where it holds a ``/``). ``csv``: ``label_column`` of
            the table ``files``; several classes of one image are separated by ``;`` or in several rows. ``mask``: one
            raster an image, on its grid. ``boxes``: rows of the table ``files``, in pixels. ``coco``: boxes of the JSON
            ``files``. ``yolo``, ``voc``: boxes of a text or XML file an image. ``polygons``: a mask of what lies inside
            of those in the ``files`` (GeoJSON, shapefile, GeoPackage, GeoParquet): 1, or the number of the class that
            the property ``label_column`` names; and outside: 0.
        files: the table, or the mask (text, XML) with ``{name}`` for the image's name: the longest part of its path
            for which there is a file.
        pattern: regular expression for kind ``pattern``.
        file_column: of the table, which names the image.
        label_column: of the table, or property of polygons, which names the class.
        classes: names; of masks, and where tables hold numbers, a mapping from stored value to name. Empty for
            regression.
        ignore: stored values of masks without a label.
        band: of masks with several, counted from 1; None: they must have one.
        nodata: stored value of masks of numbers without a value, beside NaN and what the file declares.
        box_columns: left, top, right, bottom.
        box_crs: reference system of boxes in coordinates of a map, such as ``EPSG:4326`` (None: they are in pixels),
            and of polygons (None: what the file says, else longitude and latitude).
        bounds_files: of polygons, a table of the images' places, west, south, east and north in degrees in
            ``box_columns``; None: the images are georeferenced.
        where: only images whose row of ``where_files`` has these values, by column.
        where_files: a table; None: ``files``.
    """

    kind: str
    files: str | None = None
    pattern: str | None = None
    file_column: str = "file"
    label_column: str | None = None
    classes: dict[int, str] | list[str] = field(default_factory=list)
    ignore: list[int] = field(default_factory=list)
    band: int | None = None
    nodata: float | None = None
    box_columns: list[str] = field(default_factory=lambda: list(DEFAULT_BOX_COLUMNS))
    box_crs: str | None = None
    bounds_files: str | None = None
    where: dict[str, list[str]] | None = None
    where_files: str | None = None

    def __post_init__(self) -> None:
        self._check_names()
        if both := sorted(set(self.stored_values) & set(self.ignore)):
            raise ConfigError(f"labels: {both} are classes and ignored; remove them from one of both")

    def _check_names(self) -> None:
        """Refuse classes of one name."""
        names = [name.strip() for name in self.class_names]
        if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            raise ConfigError(
                f"labels: {names.count(twice[0])} classes are called {twice[0]!r}; give each its name once"
            )

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in order."""
        return tuple(self.classes.values() if isinstance(self.classes, dict) else self.classes)

    @property
    def stored_values(self) -> list[int]:
        """Stored values of the classes of masks, in order; empty where classes are only named."""
        return list(self.classes) if isinstance(self.classes, dict) else []


@dataclass(frozen=True)
class TileConfig:
    """How images that are larger than a tile are cut.

    Attributes:
        size: pixels per side.
        stride: pixels from one tile to the next; None: ``size``.
        partial: keep what is left at the right and the lower edge as smaller tiles, and images that are smaller whole.
    """

    size: int
    stride: int | None = None
    partial: bool = True

    def __post_init__(self) -> None:
        if self.size < 1 or (self.stride is not None and self.stride < 1):
            raise ConfigError(f"tiles: size {self.size} and stride {self.stride} must be pixels, 1 or more")

    @property
    def step(self) -> int:
        """Pixels from one tile to the next."""
        return self.size if self.stride is None else self.stride


@dataclass(frozen=True)
class SplitConfig:
    """How samples are split so that neighbours do not leak from one side to the other.

    Fine-tuning splits once, into training, validation and test by the shares; probing tests every sample once, in
    ``folds`` parts.

    Attributes:
        kind: ``groups``: whole groups of files; a group is what ``pattern`` captures in the file name, by default the
            file. ``blocks``: squares of ``block`` pixels inside every image; what is trained on and nearer than ``gap``
            pixels to a held-out block does not count. ``given`` (not in folds): the group ``part`` of ``pattern`` in
            the path below the data folder, or ``column`` of the table of labels, says train, validation (val) or test.
        pattern: regular expression on the file name, or on the path below the data folder where it holds a ``/``.
        distance: of ``groups``, metres: files whose centres lie nearer to each other are one group, and so are chains
            of them. Files without a georeference are groups of their own.
        companion: of ``groups``, a raster of every image with ``{name}``, below the data folder, such as its elevation:
            files with equal companions show one place, and are one group.
        companion_band: band of the companion that is compared, from 1.
        column: of the table of labels.
        block: pixels per side.
        gap: pixels.
        folds: parts of a cross-validation.
        validation: share of the samples.
        test: share of the samples.
        minimum_groups: classes that fewer groups (or blocks) show are left out, with a note; three are needed for one
            in each of training, validation and test.
        seed: other seeds give other parts.
    """

    kind: Literal["groups", "blocks", "given"] = "groups"
    pattern: str | None = None
    distance: float | None = None
    companion: str | None = None
    companion_band: int = 1
    column: str | None = None
    block: int = 64
    gap: int = 8
    folds: int = 5
    validation: float = 0.2
    test: float = 0.2
    minimum_groups: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        self._check_shares()
        if self.kind == "given":
            self._check_given()
        if self.kind == "groups":
            self._check_groups()
        if self.folds < 2:
            raise ConfigError(f"split: folds is {self.folds}; at least 2 are needed to hold something out")

    def _check_shares(self) -> None:
        """Refuse shares that leave nothing of a part."""
        if min(self.validation, self.test) <= 0 or not self.validation + self.test < 1:
            raise ConfigError(
                f"split: validation {self.validation} and test {self.test} must be shares above 0, their sum below 1"
            )

    def _check_given(self) -> None:
        """Refuse a split that nothing says the parts of."""
        if not self.column and "(?P<part>" not in (self.pattern or ""):
            raise ConfigError("split: given needs a `column` of the table, or a `pattern` with a group (?P<part>...)")

    def _check_groups(self) -> None:
        """Refuse two rules for what a group is."""
        rules = [name for name in ("pattern", "distance", "companion") if getattr(self, name) is not None]
        if len(rules) > 1:
            raise ConfigError(f"split: {' and '.join(rules)} both say what a group is; keep one of them")


@dataclass(frozen=True)
class LabelledDataConfig:
    """Images and labels below a data folder, as fine-tuning and probing declare them.

    Attributes:
        source: the images: files, sensor, unit, bands.
        labels: of the images.
        split: how samples are kept apart.
        tiles: how larger images are cut; None leaves them whole.
        second: of change, the second date's file with ``{name}``, below the data folder.
        name: regular expression whose group is an image's name in its file name (in its path below the data folder
            where it holds a ``/``); None: all but the suffix.
        further: images of the same places by other sensors, each of its own resolution and date; their ``files`` is a
            path below the data folder with ``{name}``. A place that lacks one is used without.
    """

    source: ImageSourceConfig
    labels: LabelConfig
    split: SplitConfig = field(default_factory=SplitConfig)
    tiles: TileConfig | None = None
    second: str | None = None
    name: str | None = None
    further: list[ImageSourceConfig] = field(default_factory=list)

    def __post_init__(self) -> None:
        for source in self.further:
            if "{name}" not in source.files:
                raise ConfigError(
                    f"further: files {source.files!r} must hold {{name}}, which stands for an image's name"
                )
        if self.further and self.second is not None:
            raise ConfigError("`second` is of change, `further` of several sensors; keep one of them")
