from .agent import Agent, compensate
from .cache import FeatureCache, build_feature_cache
from .config import CodecConfig, CollaborationConfig, CollaborationLossConfig, ImpairmentConfig
from .dataset import CachedDataset
from .evaluation import BandwidthLog, EvaluationConditions, evaluate_collaboration
from .fusion_input import FusionInput
from .impairments import BoxesOnly, Delay, IrrelevantPeer, PacketLoss, PoseNoise, RigidPoseError
from .messages import build_message, encode_message
from .model import CollaborativeModel
from .observer import EgoMaps, EgoObserver
from .on_recordings import EvaluationOptions, RecordingScores, evaluate, perceive
from .pose_alignment import PoseAligner, PoseAligners, PoseError
from .reception import decode_received
from .requests import make_request, request_map
from .strategies import STRATEGIES, Strategy
from .strategies.base import stack_platforms
from .weights import load_collaboration, load_collaborative_model, save_collaboration

__all__ = [
    "STRATEGIES",
    "Agent",
    "BandwidthLog",
    "BoxesOnly",
    "CachedDataset",
    "CodecConfig",
    "CollaborationConfig",
    "CollaborationLossConfig",
    "CollaborativeModel",
    "Delay",
    "EgoMaps",
    "EgoObserver",
    "EvaluationConditions",
    "EvaluationOptions",
    "FeatureCache",
    "FusionInput",
    "ImpairmentConfig",
    "IrrelevantPeer",
    "PacketLoss",
    "PoseAligner",
    "PoseAligners",
    "PoseError",
    "PoseNoise",
    "RecordingScores",
    "RigidPoseError",
    "Strategy",
    "build_feature_cache",
    "build_message",
    "compensate",
    "decode_received",
    "encode_message",
    "evaluate",
    "evaluate_collaboration",
    "load_collaboration",
    "load_collaborative_model",
    "make_request",
    "perceive",
    "request_map",
    "save_collaboration",
    "stack_platforms",
]
