"""What happened while published weights were read."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LoadReport:
    """What happened while a checkpoint was read.

    Attributes:
        dropped: keys of the file that the encoder does not have and never uses (decoder, projector, class head).
        defaulted: keys that published version 1 files lack; they stay at the identity, as in the published class.
    """

    dropped: tuple[str, ...]
    defaulted: tuple[str, ...]
