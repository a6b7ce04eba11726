"""Photographs to a mosaic: read, check headings, measure how far overlaps disagree, refine if asked, blend, write."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import DataError
from skyweave.orthomosaic.bundle_adjustment import adjust
from skyweave.orthomosaic.flight import Flight, at_height, find_pictures, read_flight, without
from skyweave.orthomosaic.headings import find_turns, height_ratio
from skyweave.orthomosaic.image_cache import PictureStore
from skyweave.orthomosaic.intrinsics import Calibration
from skyweave.orthomosaic.mosaic import mosaic_grid, write_mosaic, write_preview
from skyweave.orthomosaic.overlaps import Chips, Registration, neighbours
from skyweave.orthomosaic.photo import attitude_of
from skyweave.orthomosaic.poses import Poses
from skyweave.orthomosaic.tie_points import Ties, find_ties

PARTNERS = 8  # overlaps followed a photo
LEAST_SIGNIFICANCE = 4.0  # of an overlap's registration; the ties check it further
SMALL = 8  # reduction at which pictures are first looked at
LEAST_TIES = 8  # held out, before a number is a measurement
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
    """One overlap: names, ties found, and median metres between them before and after refining."""

    a: str
    b: str
    ties: int
    before: float | None
    after: float | None


@dataclass(frozen=True)
class MapReport:
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

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**asdict(self), "path": str(self.path)}


def map_photos(
    sources: Sequence[str | Path],
    output: str | Path,
    *,
    refine: bool = False,
    poses: Poses | None = None,
    calibration: Calibration | None = None,
    elevation: str | Path | None = None,
    height: float | None = None,
    horizontal_spread: float | None = None,
    resolution: float | None = None,
    preview: str | Path | None = None,
    save_poses: str | Path | None = None,
    progress: Progress | None = None,
) -> MapReport:
    """Map photographs.

    Args:
        sources: pictures and folders of pictures.
        output: GeoTIFF to write; it appears when it is whole.
        refine: move and turn the cameras until the overlaps agree.
        poses, calibration, elevation, height, horizontal_spread: see `read_flight`.
        resolution: metres a cell; default twice the median ground sample distance.
        preview: PNG to write.
        save_poses: JSON of the poses as mapped, to be read again with ``poses``.
        progress: called with (what is done, how far, of how many).

    Raises:
        ValueError, OSError: sources, options or the disk; nothing is left half-written.
    """
    if resolution is not None and not (np.isfinite(resolution) and resolution > 0):
        raise DataError(f"resolution {resolution} must be metres > 0")
    tell = progress or (lambda what, done, total: None)
    pictures = PictureStore()
    flight = read_flight(
        find_pictures(sources),
        poses=poses,
        calibration=calibration,
        elevation=elevation,
        height=height,
        horizontal_spread=horizontal_spread,
    )
    flight = _decodable(flight, pictures, lambda done, total: tell("reading", done, total))
    flight = _settled(flight, pictures)
    registrations = _registrations(flight, pictures)
    ties = find_ties(
        flight.photos, flight.ground, pictures, registrations, lambda done, total: tell("overlaps", done, total)
    )
    notes = list(flight.notes)
    before_distances = ties.distances(flight.photos, flight.ground)
    before = _disagreement(before_distances, ties)
    if before is None and len(flight.photos) > 1:
        notes.append("the pictures overlap too little, or too little alike, to tell how far they disagree")
    mapped, after, after_distances = flight, None, None
    if refine and before is None:
        notes.append("without overlaps that tell nothing could be refined: the poses are as read")
    elif refine and before is not None:
        tell("refining", 0, 1)
        mapped, after, after_distances = _refined(flight, ties, before, notes)
    grid = mosaic_grid(mapped.photos, mapped.ground, resolution, flight.zone.crs)
    coverage = write_mosaic(
        output, mapped.photos, mapped.ground, grid, pictures, lambda done, total: tell("mosaic", done, total)
    )
    if preview is not None:
        write_preview(output, preview)
    if save_poses is not None:
        _save_poses(save_poses, mapped)
    return MapReport(
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
    )


def _decodable(flight: Flight, pictures: PictureStore, progress: Callable[[int, int], None]) -> Flight:
    """Without the pictures whose pixels are broken; small copies of the others stay at hand."""
    broken: dict[str, str] = {}
    for done, photo in enumerate(flight.photos):
        try:
            pictures.grey(photo, SMALL)
        except (OSError, SyntaxError, ValueError) as error:
            broken[photo.name] = f"cannot be read as a picture: {error}"
        progress(done + 1, len(flight.photos))
    return without(flight, broken) if broken else flight


def _settled(flight: Flight, pictures: PictureStore) -> Flight:
    """The flight with headings checked and, where nothing else told, the height found from the overlaps."""
    unknown = flight.height_source == "unknown"
    slack = 1.5 * flight.height if unknown else _slack(flight)
    photos, edges, notes = find_turns(flight.photos, flight.ground, pictures, slack)
    turned = [photo.name for photo in photos if photo.turned == 180 and photo.yaw_source != "overlaps"]
    if turned:
        notes.append(f"{len(turned)} pictures were upside down against their metadata and were turned: {_list(turned)}")
    found = [photo.name for photo in photos if photo.yaw_source == "overlaps"]
    if found:
        notes.append(f"{len(found)} headings were found from the overlaps and the positions: {_list(found)}")
    ratio = height_ratio(flight.photos, edges, photos)
    flight = replace(flight, photos=photos, notes=(*flight.notes, *notes))
    if not unknown:
        if np.isfinite(ratio) and abs(ratio - 1) > 0.1:
            return replace(
                flight,
                notes=(
                    *flight.notes,
                    f"the overlaps suggest {ratio * flight.height:.1f} m above the ground, not {flight.height:.1f} m",
                ),
            )
        return flight
    if not np.isfinite(ratio):
        raise DataError(
            "the pictures do not say how high above the ground they were taken, and their overlaps do not tell; give "
            "--height METRES, or --dem with an elevation model"
        )
    raised = at_height(flight, ratio * flight.height)
    note = f"the height above ground, {raised.height:.1f} m, was found from the overlaps: the pictures do not state it"
    return replace(raised, notes=(*raised.notes, note))


def _slack(flight: Flight) -> float:
    """Metres that the ground in two photos may lie from where their poses say: positions, tilt, and relief."""
    return 4 * max(photo.spread.horizontal for photo in flight.photos) + 0.15 * flight.height


def _registrations(flight: Flight, pictures: PictureStore) -> list[Registration]:
    chips = Chips(flight.photos, flight.ground, pictures)
    radius = _slack(flight)
    found = (chips.register(a, b, radius=radius) for a, b in neighbours(chips, PARTNERS, radius / 3))
    return [r for r in found if r is not None and r.significance > LEAST_SIGNIFICANCE]


def _disagreement(distances: np.ndarray, ties: Ties) -> Disagreement | None:
    judged = distances[ties.held_out & np.isfinite(distances)]
    if len(judged) < LEAST_TIES:
        return None
    return Disagreement(float(np.median(judged)), float(np.percentile(judged, 90)), len(judged))


def _refined(
    flight: Flight, ties: Ties, before: Disagreement, notes: list[str]
) -> tuple[Flight, Disagreement | None, np.ndarray | None]:
    result = adjust(flight.photos, flight.ground, ties.select(~ties.held_out), flight.height, flight.height_spread)
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
    flight: Flight, registrations: Sequence[Registration], ties: Ties, before: np.ndarray, after: np.ndarray | None
) -> tuple[PairReport, ...]:
    def median(distances: np.ndarray | None, which: np.ndarray) -> float | None:
        if distances is None or not np.isfinite(distances[which]).any():
            return None
        return float(np.nanmedian(distances[which]))

    reports = []
    for r in registrations:
        mine = (ties.a == r.a) & (ties.b == r.b)
        names = flight.photos[r.a].name, flight.photos[r.b].name
        reports.append(PairReport(*names, int(mine.sum()), median(before, mine), median(after, mine)))
    return tuple(reports)


def _save_poses(path: str | Path, flight: Flight) -> None:
    """The poses as mapped, in the form of `read_poses`, with heights over a level ground where it is level."""
    images = []
    for photo in flight.photos:
        ((longitude, latitude),) = flight.zone.degrees(photo.position[None])
        attitude = attitude_of(photo.geometry.world_from_camera[:3, :3], flight.zone.convergence(longitude, latitude))
        images.append(
            {
                "file": Path(photo.path).name,
                "lat": float(latitude),
                "lon": float(longitude),
                "abs_alt_m": float(photo.position[2]),
                "image_up_yaw_deg": attitude.yaw,
                "body_pitch_deg": attitude.pitch,
                "body_roll_deg": attitude.roll,
                "focal_px": float(photo.geometry.camera.intrinsics[0, 0]),
                "width": photo.geometry.camera.columns,
            }
        )
    meta = {"ground_altitude_m": flight.ground.z} if hasattr(flight.ground, "z") else {}
    with write_aside(path) as aside:
        aside.write_text(json.dumps({"meta": meta, "images": images}, indent=1) + "\n", encoding="utf-8")


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
