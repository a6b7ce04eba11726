"""Adapting a backbone to a task: heads, fine-tuning, low-rank additions, reports."""

from skyweave.adaptation.model import AdaptedModel
from skyweave.adaptation.recipe import HeadConfig, Method, Recipe, Training
from skyweave.adaptation.run import Adapted, adapt, with_rates
from skyweave.adaptation.scores import MAIN
from skyweave.adaptation.tasks import Prediction

__all__ = [
    "MAIN",
    "Adapted",
    "AdaptedModel",
    "HeadConfig",
    "Method",
    "Prediction",
    "Recipe",
    "Training",
    "adapt",
    "with_rates",
]
