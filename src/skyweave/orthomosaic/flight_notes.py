"""What the images of a flight say together that the user should look at."""

from collections import Counter, defaultdict
from collections.abc import Sequence

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
