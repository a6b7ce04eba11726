"""The configurations of a fleet's nodes, from the fleet's own."""

from pathlib import Path
from typing import Any

from skyweave.core.config import config_from_dict
from skyweave.core.errors import FleetError, SkyweaveError
from skyweave.fleet.config import FleetConfig, NodeConfig
from skyweave.fleet.link.transport import TransportConfig
from skyweave.fleet.perceivers.config import PerceiverConfig
from skyweave.fleet.sources.base import SourceConfig

METRICS_PORT_OFFSET = 100
DEFAULT_KINDS = {
    "source": SourceConfig.default_kind,
    "perceiver": PerceiverConfig.default_kind,
    "transport": TransportConfig.default_kind,
}


def node_contents(config: FleetConfig, folder: Path) -> dict[str, dict[str, Any]]:
    """Return the content of each node's ``node.yaml``, by name.

    Args:
        config: of the fleet.
        folder: that relative paths start in, if they exist there.

    Raises:
        FleetError: what is wrong with one, naming it.
    """
    contents = {}
    for index, name in enumerate(config.platforms):
        content = merge_contents(_default_content(config, index), config.node)
        if config.keys is not None:
            content["keys"] = config.keys
        else:
            content.setdefault("platform_id", index + 1)
        content = merge_contents(content, config.nodes.get(name, {}))
        _resolve_paths(content, folder)
        try:
            config_from_dict(content, NodeConfig)
        except (SkyweaveError, TypeError) as error:
            raise FleetError(f"node {name}: {error}") from error
        contents[name] = content
    return contents


def merge_contents(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return a mapping with changes, merged key by key; a section of another ``kind`` replaces the one before.

    Args:
        base: plain YAML content.
        changes: plain YAML content.
    """
    merged = dict(base)
    for key, value in changes.items():
        existing = merged.get(key)
        if isinstance(value, dict) and isinstance(existing, dict) and _is_same_kind(key, existing, value):
            value = merge_contents(existing, value)
        merged[key] = value
    return merged


def _is_same_kind(section: str, existing: dict[str, Any], value: dict[str, Any]) -> bool:
    return "kind" not in value or value["kind"] == existing.get("kind", DEFAULT_KINDS.get(section))


def _default_content(config: FleetConfig, index: int) -> dict[str, Any]:
    """Return what differs between nodes: names, endpoints, ports, files."""
    name = config.platforms[index]
    protocol = "tcp" if config.keys is None else "tls"
    endpoints = [f"{protocol}/127.0.0.1:{config.port + number}" for number in range(len(config.platforms))]
    return {
        "name": name,
        "fleet": config.name,
        "transport": {"listen": [endpoints[index]], "connect": endpoints[:index] + endpoints[index + 1 :]},
        "metrics": f"127.0.0.1:{config.port + METRICS_PORT_OFFSET + index}",
        "status_file": str(Path(config.state) / f"{name}.status.json"),
    }


def _resolve_paths(content: dict[str, Any], folder: Path) -> None:
    """Let relative paths that exist beside the fleet's file start there."""
    for section, key in ((content.get("source"), "path"), (content.get("perceiver"), "weights"), (content, "keys")):
        _resolve_path(section, key, folder)


def _resolve_path(section: Any, key: str, folder: Path) -> None:
    """Resolve one path against the folder of the configuration."""
    if isinstance(section, dict) and isinstance(section.get(key), str):
        path = folder / section[key]
        if not Path(section[key]).exists() and path.exists():
            section[key] = str(path.resolve())
