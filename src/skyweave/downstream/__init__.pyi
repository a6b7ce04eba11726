from .finetuning import FinetunedModel, finetune_model, load_finetuned
from .labels import LabelledImages, LabelledSample
from .probing.probe import run_probe

__all__ = [
    "FinetunedModel",
    "LabelledImages",
    "LabelledSample",
    "finetune_model",
    "load_finetuned",
    "run_probe",
]
