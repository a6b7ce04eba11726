"""A fleet without a network: what every platform would know if all that is sent came at once. The offline reference."""

from collections.abc import Mapping
from typing import Any

from skyweave.fleet.perceivers.base import Perceiver, WorldFrame, set_header
from skyweave.perception.prediction import ScenePrediction
from skyweave.recordings.recording import Frame
from skyweave.wire import decode_frame, encode_frame


def perceive_together(
    perceivers: Mapping[str, Perceiver[Any]],
    frames: Mapping[str, Frame],
    place: WorldFrame,
    budget_bytes: int,
    mtu: int = 1200,
    headers: Mapping[str, tuple[int, int]] | None = None,
) -> dict[str, ScenePrediction]:
    """One moment of a whole fleet: all observe, encode, decode what the others encoded, and fuse.

    Args:
        perceivers: of each platform, by name; they keep their past.
        frames: what each captured.
        place: where they are.
        budget_bytes: of each frame on the wire, without envelopes.
        mtu: of its chunks.
        headers: by name the platform's number and the frame's, as some network had them: large numbers take a byte or
            two more, which a cell may then lack.
    """
    both = perceive_ego_and_fused(perceivers, frames, place, budget_bytes, mtu, headers)
    return {name: together for name, (_, together) in both.items()}


def perceive_ego_and_fused(
    perceivers: Mapping[str, Perceiver[Any]],
    frames: Mapping[str, Frame],
    place: WorldFrame,
    budget_bytes: int,
    mtu: int = 1200,
    headers: Mapping[str, tuple[int, int]] | None = None,
) -> dict[str, tuple[Any, ScenePrediction]]:
    """As `perceive_together`: for each platform what its perceiver observed, and the picture from all."""
    names = sorted(frames)
    own = {name: perceivers[name].observe(frames[name], place) for name in names}
    told = {}
    for number, name in enumerate(names):
        perceiver = perceivers[name]
        numbers = (number, 0) if headers is None else headers[name]
        content = set_header(perceiver.compose(own[name], budget_bytes), *numbers, frames[name])
        model = content.fingerprint, content.codec, content.quality
        tables = next((t for t in perceiver.tables if t.model == model), None)
        chunks = encode_frame(content, tables, mtu, budget_bytes, sort_window=perceiver.interleave)
        told[name] = decode_frame(chunks, list(perceiver.tables))
    heard = {
        name: [perceivers[name].compensate(told[other], frames[name].time) for other in names if other != name]
        for name in names
    }
    return {name: (own[name], perceivers[name].fuse(own[name], heard[name])) for name in names}
