from .chunks import decode_frame, split_stream
from .frame import BoxList, Cells, FrameContent, Pose, Request, WireGrid
from .frame_encoder import encode_frame
from .quantise import Quantiser
from .receiver import ReceivedFrame, Receiver, ReceiverLimits
from .rejection import RejectedError, RejectionReason
from .tables import Branch, EntropyTables, quantise_frequencies

__all__ = [
    "BoxList",
    "Branch",
    "Cells",
    "EntropyTables",
    "FrameContent",
    "Pose",
    "Quantiser",
    "ReceivedFrame",
    "Receiver",
    "ReceiverLimits",
    "RejectedError",
    "RejectionReason",
    "Request",
    "WireGrid",
    "decode_frame",
    "encode_frame",
    "quantise_frequencies",
    "split_stream",
]
