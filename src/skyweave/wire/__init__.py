"""What platforms send each other: frames as chunks of bytes, and back. Every byte: docs/wire-format.md."""

from skyweave.wire.chunks import decode, encode_frame, split
from skyweave.wire.frame import BoxList, Cells, FrameContent, Pose, Request, WireGrid
from skyweave.wire.quantise import Quantiser
from skyweave.wire.receive import Limits, Received, Receiver
from skyweave.wire.refusal import Reason, Refused
from skyweave.wire.tables import Branch, EntropyTables, frequencies_from

__all__ = [
    "BoxList",
    "Branch",
    "Cells",
    "EntropyTables",
    "FrameContent",
    "Limits",
    "Pose",
    "Quantiser",
    "Reason",
    "Received",
    "Receiver",
    "Refused",
    "Request",
    "WireGrid",
    "decode",
    "encode_frame",
    "frequencies_from",
    "split",
]
