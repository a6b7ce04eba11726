from .models.adapted_model import FinetunedModel
from .models.weights import load_finetuned, save_finetuned
from .recipe import HeadConfig, Method, Recipe, Training
from .run import FinetuneResult, finetune_model, with_rates
from .scores import MAIN_METRIC
from .tasks import Prediction

__all__ = [
    "MAIN_METRIC",
    "FinetuneResult",
    "FinetunedModel",
    "HeadConfig",
    "Method",
    "Prediction",
    "Recipe",
    "Training",
    "finetune_model",
    "load_finetuned",
    "save_finetuned",
    "with_rates",
]
