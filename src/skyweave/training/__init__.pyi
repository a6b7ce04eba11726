from .export import ExportWeights
from .module import SkyweaveModule, StepLoss, move_to_device
from .optim import OptimiserConfig, make_optimiser
from .run_dir import prepare_run_dir
from .sampler import ResumableSampler
from .trainer import TrainerConfig, fit

__all__ = [
    "ExportWeights",
    "OptimiserConfig",
    "ResumableSampler",
    "SkyweaveModule",
    "StepLoss",
    "TrainerConfig",
    "fit",
    "make_optimiser",
    "move_to_device",
    "prepare_run_dir",
]
