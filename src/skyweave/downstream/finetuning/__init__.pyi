from .models.adapted_model import AdaptedModel
from .models.weights import load_adapted, save_adapted
from .recipe import HeadConfig, Method, Recipe, Training
from .run import Adapted, adapt, with_rates
from .scores import MAIN
from .tasks import Prediction

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
