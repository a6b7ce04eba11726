from .config import HeadConfig, MethodConfig, RecipeConfig, TrainingConfig
from .models.checkpoint import load_finetuned, save_finetuned
from .models.finetuned_model import FinetunedModel
from .run import FinetuneResult, finetune_model, with_rates
from .scores import MAIN_METRIC
from .tasks import Prediction

__all__ = [
    "MAIN_METRIC",
    "FinetuneResult",
    "FinetunedModel",
    "HeadConfig",
    "MethodConfig",
    "Prediction",
    "RecipeConfig",
    "TrainingConfig",
    "finetune_model",
    "load_finetuned",
    "save_finetuned",
    "with_rates",
]
