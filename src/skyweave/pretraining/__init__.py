"""Pretraining by masked image modelling."""

from skyweave.pretraining.decoder import Decoder, DecoderConfig
from skyweave.pretraining.masked_autoencoder import MaskedAutoencoder, ObjectiveConfig
from skyweave.pretraining.weights import load_autoencoder, save_autoencoder

__all__ = ["Decoder", "DecoderConfig", "MaskedAutoencoder", "ObjectiveConfig", "load_autoencoder", "save_autoencoder"]
