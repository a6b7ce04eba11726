from .config import HeadConfig, MethodConfig, RecipeConfig, TrainingConfig
from .dataset import LabelledData, load_labelled_dataset
from .finetune import FinetuneConfig
from .models.checkpoint import load_finetuned, save_finetuned
from .models.finetuned_model import FinetunedModel
from .run import FinetuneResult, finetune_model, with_rates
from .scenes.predict_scene import PredictedScene, predict_scene
from .tasks.base import TASKS, Prediction, Task, make_task

__all__ = [
    "TASKS",
    "FinetuneConfig",
    "FinetuneResult",
    "FinetunedModel",
    "HeadConfig",
    "LabelledData",
    "MethodConfig",
    "PredictedScene",
    "Prediction",
    "RecipeConfig",
    "Task",
    "TrainingConfig",
    "finetune_model",
    "load_finetuned",
    "load_labelled_dataset",
    "make_task",
    "predict_scene",
    "save_finetuned",
    "with_rates",
]
