"""The weights of a collaborative model on disk: codec, strategy and tables, beside which perception keeps its own."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch

from skyweave.backbone import ModelCard, read_checkpoint
from skyweave.backbone.device import resolve_device
from skyweave.backbone.state_dict import load_strictly
from skyweave.backbone.storage import round_to_storage
from skyweave.collaboration.config import CollaborationConfig
from skyweave.collaboration.entropy_tables import codec_fingerprint
from skyweave.collaboration.model import CollaborativeModel
from skyweave.collaboration.strategies.registry import untrained_strategies
from skyweave.core.config import config_from_dict
from skyweave.core.errors import WeightsError
from skyweave.perception.weights import load_perception, save_perception
from skyweave.wire import EntropyTables

STATE_PREFIX, TABLES_PREFIX = "collaboration.", "tables."
CARD_PART = "collaboration"
# Cards of weights that were stored before strategies had their names of today; their files and hashes stay as they are.
STORED_STRATEGIES = {"ours": "dual_branch"}
STORED_KEYS = {
    "strategy.own.": "strategy.ego.",
    "strategy.feed.": "strategy.feed_forward.",
}  # likewise: their beginnings


def save_collaboration(
    path: Path, model: CollaborativeModel, name: str, dtype: torch.dtype = torch.float32, **card_fields: Any
) -> ModelCard:
    """Write one file that ``load_collaboration`` reads whole, ``load_perception`` and ``skyweave.load`` in part.

    Args:
        path: of the file.
        model: to be written.
        name: of the weights, for the card.
        dtype: storage of the weights; tables of a model that was not `round_weights` before do not fit its cells.
        card_fields: ``training``, ``metrics``, ``licence`` of the card.
    """
    extra = {
        STATE_PREFIX + key: value for key, value in model.state_dict().items() if not key.startswith("perception.")
    }
    if model.tables is not None:  # they are read as float32, which holds their numbers, but not the fingerprint
        arrays = replace(model.tables, fingerprint=0).to_arrays()
        extra |= {STATE_PREFIX + TABLES_PREFIX + key: torch.from_numpy(value) for key, value in arrays.items()}
    parts = {CARD_PART: model.config.to_dict()}
    return save_perception(path, model.perception, name, dtype, extra_state=extra, extra_parts=parts, **card_fields)


@torch.no_grad()
def round_weights(model: CollaborativeModel, dtype: torch.dtype) -> None:
    """Give a model the weights that are read back after storing; its tables are to be frozen after that.

    Args:
        model: changed in place; its tables are taken away.
        dtype: storage of the weights.
    """
    for value in model.state_dict().values():
        if value.is_floating_point():
            value.copy_(round_to_storage(value, dtype))
    model.tables = None


def stored_config(card: ModelCard) -> CollaborationConfig:
    """Return the configuration of the collaborative model that a card describes.

    Args:
        card: of a checkpoint with a part ``collaboration``.

    Raises:
        ConfigError: the part holds other keys or types than a configuration has.
    """
    config = config_from_dict(card.parts[CARD_PART], CollaborationConfig)
    return replace(config, strategy=STORED_STRATEGIES.get(config.strategy, config.strategy))


def load_collaboration(name_or_path: str | Path, device: str | torch.device = "cpu") -> CollaborativeModel:
    """Load a collaborative model in evaluation mode, with its card as ``card``.

    Args:
        name_or_path: a shipped name or a file.
        device: where the model goes.

    Raises:
        FileNotFoundError: there is no such file.
        WeightsError: the file is damaged, of another model, or holds no collaborative model.
    """
    state, card = read_checkpoint(name_or_path)
    _check_collaborative(card, name_or_path)
    perception = load_perception(name_or_path)
    model = CollaborativeModel(perception, stored_config(card))
    stored = _stored_weights(state)
    arrays = _stored_tables(stored)
    complete = {f"perception.{key}": value for key, value in perception.state_dict().items()}
    complete |= {key: value for key, value in stored.items() if not key.startswith(TABLES_PREFIX)}
    load_strictly(model, complete, str(name_or_path))
    if arrays:
        model.tables = replace(EntropyTables.from_arrays(arrays), fingerprint=codec_fingerprint(model))
    model.card = card
    return model.eval().to(resolve_device(device))


def _stored_tables(stored: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Return the arrays of the entropy tables among the weights."""
    return {
        key.removeprefix(TABLES_PREFIX): np.asarray(value.numpy(), np.int64)
        for key, value in stored.items()
        if key.startswith(TABLES_PREFIX)
    }


def _stored_weights(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the weights of the collaboration by their current names."""
    return {
        _current_key(key.removeprefix(STATE_PREFIX)): value
        for key, value in state.items()
        if key.startswith(STATE_PREFIX)
    }


def _check_collaborative(card: ModelCard, name_or_path: str | Path) -> None:
    """Check that a checkpoint holds a collaborative model."""
    if CARD_PART not in card.parts:
        raise WeightsError(
            f"{name_or_path} holds no collaborative model; train one with `skyweave train configs/collaboration/...`"
        )


def load_collaborative_model(
    name_or_path: str | Path, strategy: str | None, device: str | torch.device = "cpu"
) -> CollaborativeModel:
    """Load a model for a strategy: the trained one, or any perception model with a strategy that needs no training.

    Args:
        name_or_path: a shipped name or a file.
        strategy: its name; None: the one that the file was trained for.
        device: where the model goes.

    Raises:
        FileNotFoundError: there is no such file.
        WeightsError: the strategy needs training and is not the one in the file; or as `load_collaboration`.
    """
    card = read_checkpoint(name_or_path)[1]
    trained = stored_config(card) if CARD_PART in card.parts else None
    if trained is not None and strategy in (None, trained.strategy):
        return load_collaboration(name_or_path, device)
    untrained = untrained_strategies()
    if strategy in untrained:
        perception = load_perception(name_or_path)
        model = CollaborativeModel(perception, CollaborationConfig(strategy)).eval()
        model.card = perception.card
        return model.to(resolve_device(device))
    _refuse_strategy(trained, name_or_path, untrained, strategy)


def _refuse_strategy(
    trained: CollaborationConfig | None, name_or_path: str | Path, untrained: list[str], strategy: str | None
) -> NoReturn:
    """Raise what says which strategies a checkpoint can be used with."""
    there = "holds no collaborative model" if trained is None else f"was trained for {trained.strategy!r}"
    raise WeightsError(
        f"{name_or_path} {there}; without training there are {', '.join(untrained)}. For {strategy or 'others'}, run "
        "`skyweave train configs/collaboration/hidden.yaml --set collaboration.strategy=...`"
    )


def _current_key(key: str) -> str:
    """Return the name that a stored tensor has in the model of today."""
    for stored, current in STORED_KEYS.items():
        if key.startswith(stored):
            return current + key.removeprefix(stored)
    return key
