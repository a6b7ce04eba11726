from .chunks import decode, encode_frame, split
from .frame import BoxList, Cells, FrameContent, Pose, Request, WireGrid
from .quantise import Quantiser
from .receiver import Limits, Received, Receiver
from .rejection import RejectedError, RejectionReason
from .tables import Branch, EntropyTables, frequencies_from

__all__ = [
    "BoxList",
    "Branch",
    "Cells",
    "EntropyTables",
    "FrameContent",
    "Limits",
    "Pose",
    "Quantiser",
    "Received",
    "Receiver",
    "RejectedError",
    "RejectionReason",
    "Request",
    "WireGrid",
    "decode",
    "encode_frame",
    "frequencies_from",
    "split",
]
