from .decoder import Decoder, DecoderConfig
from .masked_autoencoder import MaskedAutoencoder, ObjectiveConfig
from .mixing import MixedBatches
from .weights import load_autoencoder, save_autoencoder

__all__ = [
    "Decoder",
    "DecoderConfig",
    "MaskedAutoencoder",
    "MixedBatches",
    "ObjectiveConfig",
    "load_autoencoder",
    "save_autoencoder",
]
