"""Pretraining by masked image modelling."""

from skyweave.pretraining.decoder import Decoder, DecoderConfig
from skyweave.pretraining.masked_autoencoder import MaskedAutoencoder, ObjectiveConfig

__all__ = ["Decoder", "DecoderConfig", "MaskedAutoencoder", "ObjectiveConfig"]
