"""The weights of a collaborative model on disk: codec, strategy and tables, beside which perception keeps its own."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from skyweave.backbone import ModelCard, read_checkpoint
from skyweave.backbone.state_dict import load_strictly
from skyweave.backbone.storage import round_to_storage
from skyweave.collaboration.config import CollaborationConfig
from skyweave.collaboration.entropy_tables import codec_fingerprint
from skyweave.collaboration.model import CollaborativeModel
from skyweave.core.config import config_from_dict
from skyweave.core.errors import WeightsError
from skyweave.perception.weights import load_perception, save_perception
from skyweave.wire import EntropyTables

PART, TABLES = "collaboration.", "tables."
# Cards of weights that were stored before strategies had their names of today; their files and hashes stay as they are.
STORED_STRATEGIES = {"ours": "dual_branch"}
UNTRAINED = ("no_fusion", "late_fusion", "full_features")  # strategies that use what the perception model has learned


def save_collaboration(
    path: Path, model: CollaborativeModel, name: str, dtype: torch.dtype = torch.float32, **card_fields: Any
) -> ModelCard:
    """Write one file that ``load_collaboration`` reads whole, ``load_perception`` and ``skyweave.load`` in part.

    Args:
        dtype: storage of the weights; a model that is not `round_weights` already has other tables than its cells need.
    """
    extra = {PART + key: value for key, value in model.state_dict().items() if not key.startswith("perception.")}
    if model.tables is not None:  # they are read as float32, which holds their numbers, but not the fingerprint
        arrays = replace(model.tables, fingerprint=0).to_arrays()
        extra |= {PART + TABLES + key: torch.from_numpy(value) for key, value in arrays.items()}
    parts = {"collaboration": model.config.to_dict()}
    return save_perception(path, model.perception, name, dtype, extra_state=extra, extra_parts=parts, **card_fields)


@torch.no_grad()
def round_weights(model: CollaborativeModel, dtype: torch.dtype) -> None:
    """Give a model the weights that are read back after storing; its tables are to be frozen after that."""
    for value in model.state_dict().values():
        if value.is_floating_point():
            value.copy_(round_to_storage(value, dtype))
    model.tables = None


def holds_collaboration(name_or_path: str | Path) -> bool:
    """Whether a checkpoint holds a collaborative model beside its perception model."""
    return "collaboration" in read_checkpoint(name_or_path)[1].parts


def stored_config(card: ModelCard) -> CollaborationConfig:
    """Return the configuration of the collaborative model that a card describes.

    Args:
        card: of a checkpoint with a part ``collaboration``.

    Raises:
        ConfigError: the part holds other keys or types than a configuration has.
    """
    config = config_from_dict(card.parts["collaboration"], CollaborationConfig)
    return replace(config, strategy=STORED_STRATEGIES.get(config.strategy, config.strategy))


def load_collaboration(name_or_path: str | Path, device: str | torch.device = "cpu") -> CollaborativeModel:
    """A collaborative model in evaluation mode, with its card as ``card``.

    Raises:
        FileNotFoundError, ValueError: as `skyweave.load`; or the checkpoint holds no collaborative model.
    """
    state, card = read_checkpoint(name_or_path)
    if "collaboration" not in card.parts:
        raise WeightsError(
            f"{name_or_path} holds no collaborative model; train one with `skyweave train configs/collaboration/...`"
        )
    perception = load_perception(name_or_path)
    model = CollaborativeModel(perception, stored_config(card))
    mine = {key.removeprefix(PART): value for key, value in state.items() if key.startswith(PART)}
    arrays = {key.removeprefix(TABLES): value.numpy() for key, value in mine.items() if key.startswith(TABLES)}
    wanted = {f"perception.{key}": value for key, value in perception.state_dict().items()}
    wanted |= {key: value for key, value in mine.items() if not key.startswith(TABLES)}
    load_strictly(model, wanted, str(name_or_path))
    if arrays:
        tables = EntropyTables.from_arrays({key: np.asarray(value, np.int64) for key, value in arrays.items()})
        model.tables = replace(tables, fingerprint=codec_fingerprint(model))
    model.card = card
    return model.eval().to(device)


def load_collaborative_model(name_or_path: str | Path, strategy: str | None) -> CollaborativeModel:
    """A model for a strategy: what was trained, or one that needs no training around any perception model.

    Raises:
        ValueError: the strategy needs training and is not the one in the file; else as ``load_collaboration``.
    """
    card = read_checkpoint(name_or_path)[1]
    trained = stored_config(card) if "collaboration" in card.parts else None
    if trained is not None and strategy in (None, trained.strategy):
        return load_collaboration(name_or_path)
    if strategy in UNTRAINED:
        perception = load_perception(name_or_path)
        model = CollaborativeModel(perception, CollaborationConfig(strategy)).eval()
        model.card = perception.card
        return model
    there = "holds no collaborative model" if trained is None else f"was trained for {trained.strategy!r}"
    raise WeightsError(
        f"{name_or_path} {there}; without training there are {', '.join(UNTRAINED)}. For {strategy or 'others'}, run "
        "`skyweave train configs/collaboration/hidden.yaml --set collaboration.strategy=...`"
    )
