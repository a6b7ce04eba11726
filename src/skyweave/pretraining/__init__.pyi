from .decoder import Decoder, DecoderConfig
from .masked_autoencoder import MaskedAutoencoder, ObjectiveConfig
from .weights import load_autoencoder, save_autoencoder

__all__ = [
    "Decoder",
    "DecoderConfig",
    "MaskedAutoencoder",
    "ObjectiveConfig",
    "load_autoencoder",
    "save_autoencoder",
]
