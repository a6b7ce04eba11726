from .decoder import DecoderConfig, PixelDecoder
from .masked_autoencoder import MaskedAutoencoder
from .masking import MaskingConfig
from .mixing import MixedBatches
from .objectives.base import Objective, ObjectiveConfig
from .pretrainer import Pretrainer
from .weights import load_autoencoder, save_pretrained
from .whitening import WhiteningConfig, fit_whitening

__all__ = [
    "DecoderConfig",
    "MaskedAutoencoder",
    "MaskingConfig",
    "MixedBatches",
    "Objective",
    "ObjectiveConfig",
    "PixelDecoder",
    "Pretrainer",
    "WhiteningConfig",
    "fit_whitening",
    "load_autoencoder",
    "save_pretrained",
]
