"""Predict with a fine-tuned model, given as it was loaded or by the path of its weights."""

from pathlib import Path

from skyweave.core.observation import Observation
from skyweave.downstream.finetuning.models.checkpoint import load_finetuned
from skyweave.downstream.finetuning.models.finetuned_model import FinetunedModel
from skyweave.downstream.finetuning.tasks.base import Prediction


def predict(model: FinetunedModel | str | Path, *observations: Observation) -> Prediction:
    """Predict for one place with a model that `skyweave.finetune` made.

    Args:
        model: as `skyweave.load` returns it, or the path of its weights.
        observations: one observation, two dates for change, or one of each sensor; of any size.

    Raises:
        FileNotFoundError: no such weights.
        ConfigError: other observations than the model was trained on.
        WeightsError: the weights are not those of a fine-tuned model.
    """
    finetuned = model if isinstance(model, FinetunedModel) else load_finetuned(model)
    return finetuned.predict(*observations)
