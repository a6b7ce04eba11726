"""The images of a frame, as far as they can be loaded."""

from collections.abc import Sequence

from skyweave.core.errors import SkyweaveError
from skyweave.core.observation import Observation
from skyweave.recordings.recording import Frame


def load_captures(frame: Frame, number: int, names: Sequence[str], problems: list[str]) -> dict[str, Observation]:
    """Load the images of a frame that can be loaded, by channel.

    Args:
        frame: of a recording.
        number: of the frame, for messages.
        names: of the cameras.
        problems: what cannot be loaded is added here.
    """
    images: dict[str, Observation] = {}
    for name in names:
        try:
            images[name] = frame.captures[name].load()
        except (SkyweaveError, OSError) as error:
            problems.append(f"frame {number}, {name}: {error}")
    return images
