"""Why bytes are refused: one reason a kind of fault, so that a receiver can count them."""

from enum import IntEnum

from skyweave.core.errors import WireError


class RejectionReason(IntEnum):
    """Why a chunk is refused, in the order in which things are checked."""

    SIZE = 1  # shorter than any chunk, or longer than allowed
    MAGIC = 2  # not our bytes at all
    VERSION = 3  # a schema version we do not know
    LENGTH = 4  # the length it states is not the length it has
    CHECKSUM = 5  # damaged on the way
    HEADER = 6  # a header field cut off, not minimal or out of range
    GRID = 7  # a grid that is too large, or does not align with ours
    SECTION = 8  # a section cut off, unknown inside, or with values out of range
    TOO_OLD = 9  # captured too long ago
    IN_THE_FUTURE = 10  # captured in the future by our clock
    ECHO = 11  # our own chunk, come back
    DUPLICATE = 12  # a chunk we have
    CONFLICT = 13  # same platform and sequence number as another frame, but another time, grid or model
    FINGERPRINT = 14  # cells of another feature space: they are dropped, boxes and requests are kept
    FULL = 15  # more is waiting than we are willing to hold
    CELLS = 16  # cells that do not decode, or lie outside the grid
    INTERNAL = 17  # a fault of ours, caught: please report it


class RejectedError(WireError):
    """Bytes that are no valid chunk.

    Attributes:
        reason: the kind of fault.
    """

    def __init__(self, reason: RejectionReason, message: str):
        super().__init__(message)
        self.reason = reason
