"""Photographs to a mosaic: read, check headings, measure how far overlaps disagree, refine if asked, blend, write."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.outputs import check_outputs
from skyweave.orthomosaic.altitudes import MIN_HEIGHT_M
from skyweave.orthomosaic.bundle_adjustment import adjust_poses
from skyweave.orthomosaic.flight import Flight, drop_photos, read_flight, set_height
from skyweave.orthomosaic.flight_notes import checked_notes, repetition_note, turned_notes
from skyweave.orthomosaic.headings import height_ratio, recover_headings
from skyweave.orthomosaic.image_cache import ImageCache
from skyweave.orthomosaic.mosaic import mosaic_grid, write_mosaic
from skyweave.orthomosaic.overlaps import PhotoMaps, Registration, find_overlaps
from skyweave.orthomosaic.poses import Poses
from skyweave.orthomosaic.reference import ReferenceReport, align_to_reference, describe_shift
from skyweave.orthomosaic.saved_poses import write_poses
from skyweave.orthomosaic.tie_points import TiePoints, find_tie_points
from skyweave.telemetry.image_metadata.image_files import describe_unread, find_images
from skyweave.telemetry.image_metadata.intrinsics import Calibration

PARTNERS = 8  # overlaps followed a photo
MIN_SIGNIFICANCE = 4.0  # of an overlap's registration; the ties check it further
MIN_CACHE_FACTOR = 8  # reduction at which pictures are first looked at
MAX_HEIGHT_M = 6000.0  # above the ground, that overlaps are believed
MAX_STD_M = 1e5  # of a position that is known at all
MIN_TIES = 8  # held out, before a number is a measurement
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Disagreement:
    """How far apart two photos place the same spot of ground, over held-out ties.

    Attributes:
        median, percentile90: metres.
        ties: how many spots that rests on.
    """

    median: float
    percentile90: float
    ties: int


@dataclass(frozen=True)
class PhotoReport:
    """One picture of the report; None where it was left out.

    Attributes:
        name: of the picture.
        skipped: why it was left out.
        longitude, latitude: degrees of the camera, as mapped.
        altitude: metres, in the frame of the pictures' altitudes.
        height: metres above the ground.
        heading: of the picture's top, degrees clockwise from true north.
        off_nadir: degrees of the optical axis from straight down.
        turned: degrees that the overlaps turned the picture, counter-clockwise on the map.
        heading_source, focal_source: what these were taken from.
        moved: metres that refining moved the camera, and ``rotated`` degrees that it turned it.
    """

    name: str
    skipped: str | None = None
    longitude: float | None = None
    latitude: float | None = None
    altitude: float | None = None
    height: float | None = None
    heading: float | None = None
    off_nadir: float | None = None
    turned: float | None = None
    heading_source: str | None = None
    focal_source: str | None = None
    moved: float | None = None
    rotated: float | None = None


@dataclass(frozen=True)
class PairReport:
    """One overlap of the report.

    Attributes:
        a, b: names of the photos.
        ties: tie points found.
        before, after: median metres between them, before and after refining.
    """

    a: str
    b: str
    ties: int
    before: float | None
    after: float | None


@dataclass(frozen=True)
class OrthomosaicReport:
    """What was written and how well it fits.

    Attributes:
        path: the GeoTIFF.
        crs, resolution, rows, columns, bounds: of its grid; metres; (west, south, east, north).
        coverage: share of its cells that are known.
        height, height_source: median metres above the ground and what that rests on.
        photos, pairs: one by one.
        before, after: disagreement of the poses as read and as refined; None where nothing overlaps enough to tell,
            or nothing was refined.
        notes: what was assumed or should be looked at.
        reference: how the whole flight was moved to the reference; None without one, or where nothing is sure.
    """

    path: Path
    crs: str
    resolution: float
    rows: int
    columns: int
    bounds: tuple[float, float, float, float]
    coverage: float
    height: float
    height_source: str
    photos: tuple[PhotoReport, ...]
    pairs: tuple[PairReport, ...]
    before: Disagreement | None
    after: Disagreement | None
    notes: tuple[str, ...]
    reference: ReferenceReport | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON types."""
        return {**asdict(self), "path": str(self.path)}


def make_orthomosaic(
    sources: Sequence[str | Path],
    output: str | Path,
    *,
    refine: bool = False,
    poses: Poses | None = None,
    calibration: Calibration | None = None,
    elevation: str | Path | None = None,
    height: float | None = None,
    horizontal_std: float | None = None,
    resolution: float | None = None,
    preview: str | Path | None = None,
    save_poses: str | Path | None = None,
    reference: str | Path | None = None,
    progress: Progress | None = None,
) -> OrthomosaicReport:
    """Make an orthomosaic of photographs.

    Args:
        sources: images and folders of images.
        output: GeoTIFF to write; it appears when it is whole.
        refine: move and turn the cameras until the overlaps agree.
        poses: as of `read_flight`.
        calibration: as of `read_flight`.
        elevation: as of `read_flight`.
        height: as of `read_flight`.
        horizontal_std: as of `read_flight`.
        resolution: metres a cell; default twice the median ground sample distance.
        preview: PNG to write.
        save_poses: JSON of the poses as mapped, to be read again with ``poses``.
        reference: orthophoto of the place, of any date, to which the whole flight is moved where that is sure.
        progress: called with (what is done, how far, of how many).

    Raises:
        DataError, OSError: sources, options or the disk; nothing is left half-written.
        ConfigError: an output that is a picture, the elevation model, or another output.
    """
    _check_std(horizontal_std)
    report_progress = progress or (lambda what, done, total: None)
    _check_resolution(resolution)
    files = find_images(sources)
    outputs = {"the mosaic": output, "the preview": preview, "the file of poses": save_poses}
    check_outputs(outputs, [*files.values(), elevation, reference])
    images = ImageCache()
    flight = read_flight(
        files,
        poses=poses,
        calibration=calibration,
        elevation=elevation,
        height=height,
        horizontal_std=horizontal_std,
    )
    flight = _usable(flight, images, lambda done, total: report_progress("reading", done, total))
    flight = _resolve_height(flight, images)
    registrations = _registrations(flight, images)
    ties = find_tie_points(
        flight.photos,
        flight.ground,
        images,
        registrations,
        lambda done, total: report_progress("overlaps", done, total),
    )
    notes = [*describe_unread(sources), *flight.notes]
    before_distances = ties.distances(flight.photos, flight.ground)
    before = _disagreement(before_distances, ties)
    if before is None and len(flight.photos) > 1:
        notes.append("the pictures overlap too little, or too little alike, to tell how far they disagree")
    mapped, after, after_distances = flight, None, None
    if refine:
        report_progress("refining", 0, 1)
        mapped, after, after_distances = _refined(flight, ties, before, notes)
    grid, shift = mosaic_grid(mapped.photos, mapped.ground, resolution, flight.zone.crs), None
    if reference is not None:
        mapped, shift = align_to_reference(mapped, images, grid, reference)
        notes.append(describe_shift(shift, reference))
        grid = mosaic_grid(mapped.photos, mapped.ground, resolution, flight.zone.crs)
    coverage = write_mosaic(
        output,
        mapped.photos,
        mapped.ground,
        grid,
        images,
        lambda done, total: report_progress("mosaic", done, total),
        preview,
    )
    if save_poses is not None:
        write_poses(save_poses, mapped)
    return OrthomosaicReport(
        Path(output),
        flight.zone.crs,
        grid.resolution,
        grid.rows,
        grid.columns,
        grid.bounds,
        coverage,
        mapped.height,
        mapped.height_source,
        _photo_reports(flight, mapped),
        _pair_reports(flight, registrations, ties, before_distances, after_distances),
        before,
        after,
        tuple(notes),
        None if shift is None or not shift.known else ReferenceReport.of(shift),
    )


def _check_resolution(resolution: float | None) -> None:
    if resolution is not None and not (np.isfinite(resolution) and resolution > 0):
        raise DataError(f"resolution {resolution} must be metres > 0")


def _check_std(horizontal: float | None) -> None:
    """Refuse an error of positions that is none, or beyond use."""
    if horizontal is not None and not 0 < horizontal <= MAX_STD_M:
        raise DataError(f"an error of positions of {horizontal} must be metres > 0, and at most {MAX_STD_M:g}")


def _usable(flight: Flight, images: ImageCache, progress: Callable[[int, int], None]) -> Flight:
    """Without the pictures whose pixels are broken, with a note on repeated ones; small copies stay at hand."""
    broken: dict[str, str] = {}
    repeated: dict[str, str] = {}
    first: dict[bytes, str] = {}
    for done, photo in enumerate(flight.photos):
        try:
            small = images.grey(photo, MIN_CACHE_FACTOR)
            same = first.setdefault(small.tobytes(), photo.name) if small.std() > 1 else photo.name
            if same != photo.name:
                repeated[photo.name] = same
        except (OSError, SyntaxError, ValueError) as error:
            broken[photo.name] = f"cannot be read as a picture: {error}"
        progress(done + 1, len(flight.photos))
    if repeated:
        photos = tuple(replace(photo, repeats=repeated.get(photo.name, "")) for photo in flight.photos)
        flight = replace(flight, photos=photos, notes=(*flight.notes, repetition_note(repeated)))
    return drop_photos(flight, broken) if broken else flight


def _resolve_height(flight: Flight, images: ImageCache) -> Flight:
    """The flight with headings checked and, where nothing else told, the height checked from the overlaps."""
    flight, ratio = _check_headings(flight, images)
    if flight.height_source != "unknown":
        if np.isfinite(ratio) and abs(ratio - 1) > 0.1:
            note = f"the overlaps suggest {ratio * flight.height:.1f} m above the ground, not {flight.height:.1f} m"
            return replace(flight, notes=(*flight.notes, note))
        return flight
    if not np.isfinite(ratio):
        raise DataError(
            "the pictures do not say how high above the ground they were taken, and their overlaps do not tell; give "
            "--height METRES, or, where they state their altitude above the sea, --dem with an elevation model"
        )
    raised = set_height(flight, ratio * flight.height)
    note = f"the height above ground, {raised.height:.1f} m, was found from the overlaps: the pictures do not state it"
    return replace(raised, notes=(*raised.notes, note))


def _check_headings(flight: Flight, images: ImageCache) -> tuple[Flight, float]:
    """The flight with headings checked, and the true height as a multiple of its; NaN where no overlap tells."""
    search_radius = 1.5 * flight.height if flight.height_source == "unknown" else _search_radius(flight)
    photos, edges, notes = recover_headings(flight.photos, flight.ground, images, search_radius)
    notes += [*turned_notes(photos), *checked_notes(photos)]
    ratio = height_ratio(flight.photos, edges, photos)
    if np.isfinite(ratio) and not MIN_HEIGHT_M <= ratio * flight.height <= MAX_HEIGHT_M:
        notes.append(
            f"what the overlaps show moves as if seen from {ratio * flight.height:.0f} m: positions, headings or "
            "images belong to another flight"
        )
        ratio = float("nan")
    return replace(flight, photos=photos, notes=(*flight.notes, *notes)), ratio


def _search_radius(flight: Flight) -> float:
    """Metres that the ground in two photos may lie from where their poses say: positions, tilt, and relief."""
    return 4 * max(photo.std.horizontal for photo in flight.photos) + 0.15 * flight.height


def _registrations(flight: Flight, images: ImageCache) -> list[Registration]:
    maps = PhotoMaps(flight.photos, flight.ground, images)
    radius = _search_radius(flight)
    checked = (maps.register(a, b, radius=radius) for a, b in find_overlaps(maps, PARTNERS, radius / 3))
    return [r for r in checked if r is not None and r.significance > MIN_SIGNIFICANCE]


def _disagreement(distances: np.ndarray, ties: TiePoints) -> Disagreement | None:
    judged = distances[ties.held_out & np.isfinite(distances)]
    if len(judged) < MIN_TIES:
        return None
    return Disagreement(float(np.median(judged)), float(np.percentile(judged, 90)), len(judged))


def _refined(
    flight: Flight, ties: TiePoints, before: Disagreement | None, notes: list[str]
) -> tuple[Flight, Disagreement | None, np.ndarray | None]:
    if before is None:
        notes.append("without overlaps that tell nothing could be refined: the poses are as read")
        return flight, None, None
    result = adjust_poses(flight.photos, flight.ground, ties.select(~ties.held_out), flight.height, flight.height_std)
    distances = ties.distances(result.photos, flight.ground)
    after = _disagreement(distances, ties)
    if after is None or after.median > before.median:
        notes.append("refining did not bring the overlaps closer: the poses are as read")
        return flight, None, None
    if abs(result.rise) > 0.1 * flight.height:
        notes.append(f"refining raised the whole flight by {result.rise:.1f} m; check the height above ground")
    return replace(flight, photos=result.photos), after, distances


def _photo_reports(flight: Flight, mapped: Flight) -> tuple[PhotoReport, ...]:
    reports = [PhotoReport(name, skipped=reason) for name, reason in flight.skipped.items()]
    positions = np.array([photo.position for photo in mapped.photos])
    degrees = flight.zone.degrees(positions)
    heights = positions[:, 2] - mapped.ground.height(positions)
    for was, photo, (longitude, latitude), height in zip(flight.photos, mapped.photos, degrees, heights, strict=True):
        change = photo.geometry.world_from_camera[:3, :3] @ was.geometry.world_from_camera[:3, :3].T
        reports.append(
            PhotoReport(
                photo.name,
                None,
                float(longitude),
                float(latitude),
                float(photo.position[2]),
                float(height) if np.isfinite(height) else None,
                (photo.heading + flight.zone.convergence(longitude, latitude)) % 360,
                float(np.degrees(photo.off_nadir)),
                photo.turned,
                photo.yaw_source,
                photo.focal_source,
                float(np.linalg.norm(photo.position - was.position)),
                float(np.degrees(np.arccos(np.clip((np.trace(change) - 1) / 2, -1, 1)))),
            )
        )
    return tuple(sorted(reports, key=lambda report: report.name))


def _pair_reports(
    flight: Flight, registrations: Sequence[Registration], ties: TiePoints, before: np.ndarray, after: np.ndarray | None
) -> tuple[PairReport, ...]:
    def median(distances: np.ndarray | None, which: np.ndarray) -> float | None:
        if distances is None or not np.isfinite(distances[which]).any():
            return None
        return float(np.nanmedian(distances[which]))

    reports = []
    for r in registrations:
        of_photo = (ties.a == r.a) & (ties.b == r.b)
        names = flight.photos[r.a].name, flight.photos[r.b].name
        reports.append(PairReport(*names, int(of_photo.sum()), median(before, of_photo), median(after, of_photo)))
    return tuple(reports)
