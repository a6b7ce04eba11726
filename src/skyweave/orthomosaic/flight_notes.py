"""What the images of a flight say together that the user should look at."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from skyweave.orthomosaic.photo import Photo
from skyweave.telemetry.image_metadata.intrinsics import doubt_focal_length
from skyweave.telemetry.image_metadata.metadata import PhotoMetadata


def describe_photos(photos: Sequence[PhotoMetadata], focal_given: bool) -> list[str]:
    """Return notes on what single images say, each once, and on images of several cameras.

    Args:
        photos: those that are mapped.
        focal_given: whether the user gave the focal length.
    """
    named: dict[str, list[str]] = defaultdict(list)
    for photo in photos:
        doubt = None if focal_given else doubt_focal_length(photo)
        for note in (*photo.notes, *([doubt] if doubt else [])):
            named[note].append(photo.path.name)
    notes = [f"{note} ({names[0]}{f' and {len(names) - 1} more' * (len(names) > 1)})" for note, names in named.items()]
    return notes + _cameras(photos)


def _cameras(photos: Sequence[PhotoMetadata]) -> list[str]:
    """A note where more than one camera took the images, by its name, focal length and shape."""
    counts = Counter(map(_describe_camera, photos))
    if len(counts) < 2:
        return []
    listed = "; ".join(f"{camera}: {count}" for camera, count in counts.most_common(4))
    more = f"; and {len(counts) - 4} more" * (len(counts) > 4)
    return [f"pictures of {len(counts)} cameras are blended into one mosaic ({listed}{more}); map unlike ones apart"]


def _describe_camera(photo: PhotoMetadata) -> str:
    lens = photo.lens
    focal = lens.focal_35mm or lens.focal_millimetres
    size = f"{photo.declared_columns or photo.columns} x {photo.declared_rows or photo.rows}"
    return f"{photo.camera or 'a camera without a name'}, {size}" + (f", {focal:g} mm" if focal else "")


def repetition_note(repeated: Mapping[str, str]) -> str:
    """Return a note on pictures whose pixels are those of another.

    Args:
        repeated: which picture shows those of which.
    """
    pairs = [f"{name} those of {same}" for name, same in repeated.items()]
    return (
        f"{len(repeated)} pictures show the very pixels of another ({_list(pairs)}): a camera that stuck, or copies "
        "under other metadata; that they agree says nothing of their poses, and is not counted"
    )


def turned_notes(photos: Sequence[Photo]) -> list[str]:
    """Return a note on the pictures that were turned against what they state.

    Args:
        photos: of the flight.
    """
    turned = [photo.name for photo in photos if photo.turned == 180 and photo.yaw_source != "overlaps"]
    if not turned:
        return []
    return [f"{len(turned)} pictures were upside down against their metadata and were turned: {_list(turned)}"]


def checked_notes(photos: Sequence[Photo]) -> list[str]:
    """Return a note on the pictures whose heading is that of the overlaps.

    Args:
        photos: of the flight.
    """
    checked = [photo.name for photo in photos if photo.yaw_source == "overlaps"]
    if not checked:
        return []
    return [f"{len(checked)} headings were found from the overlaps and the positions: {_list(checked)}"]


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
