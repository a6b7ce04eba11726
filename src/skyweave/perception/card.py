"""The configuration of a perception model as weights' cards store it, which is also what fingerprints are made of.

Stored keys outlive the names that the code uses: released weights are fingerprinted by them. This module alone maps one
to the other.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from skyweave.core.config import config_from_dict
from skyweave.perception.config import PerceptionConfig
from skyweave.perception.heads import HEADS

STORED_FUSIONS = {"ego_only": "own"}
"""Stored value of ``fusion`` where it differs from the name."""
HEAD_OPTIONS = {"modes": ("trajectories", "modes"), "segmented": ("instances", "categories")}
"""Stored key, and the head and option that it holds; stored beside the numbers of the model for all heads."""


def config_to_card(config: PerceptionConfig) -> dict[str, Any]:
    """Return a configuration as plain types under the stored keys.

    Args:
        config: of a model.
    """
    content = asdict(config)
    heads: dict[str, dict[str, Any]] = content.pop("heads")
    content["fusion"] = STORED_FUSIONS.get(config.fusion, config.fusion)
    for key, (head, option) in HEAD_OPTIONS.items():
        default = getattr(HEADS[head].config_class(), option)
        content[key] = heads[head].pop(option) if head in heads else default
    content["tasks"] = tuple(heads)
    options = {name: options for name, options in heads.items() if options}
    return content | ({"heads": options} if options else {})


def config_from_card(content: Mapping[str, Any]) -> PerceptionConfig:
    """Return the configuration that a card stores.

    Args:
        content: what `config_to_card` made of it, as read from JSON.

    Raises:
        ConfigError: unknown keys or values that are not valid.
    """
    content = dict(content)
    options: dict[str, dict[str, Any]] = dict(content.pop("heads", {}))
    heads = {name: dict(options.get(name, {})) for name in content.pop("tasks", PerceptionConfig().tasks)}
    _move_options(content, heads)
    names = {stored: name for name, stored in STORED_FUSIONS.items()}
    fusion = content.get("fusion", PerceptionConfig().fusion)
    return config_from_dict({**content, "fusion": names.get(fusion, fusion), "heads": heads}, PerceptionConfig)


def _move_options(content: dict[str, Any], heads: dict[Any, dict[str, Any]]) -> None:
    """Move options of heads to where the configuration has them."""
    for key, (head, option) in HEAD_OPTIONS.items():
        if key in content:
            value = content.pop(key)
            if head in heads:
                heads[head][option] = value
