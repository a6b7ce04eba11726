"""Adapting a backbone to a task: heads, fine-tuning, low-rank additions, reports."""

from skyweave.adaptation.model import AdaptedModel
from skyweave.adaptation.recipe import HeadConfig, Method, Recipe, Training
from skyweave.adaptation.run import Adapted, adapt, with_rates
from skyweave.adaptation.scores import MAIN
from skyweave.adaptation.tasks import Prediction
from skyweave.adaptation.weights import load_adapted, save_adapted

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
    "load_adapted",
    "save_adapted",
    "with_rates",
]
