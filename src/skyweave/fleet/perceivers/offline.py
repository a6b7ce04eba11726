"""A fleet without a network: what every platform would know if all that is sent came at once. The offline reference."""

from collections.abc import Mapping
from typing import Any

from skyweave.fleet.perceivers.base import Perceiver, WorldFrame, encode_ego
from skyweave.perception.results import ScenePrediction
from skyweave.recordings.recording import Frame
from skyweave.wire import decode_frame
from skyweave.wire.frame import FrameContent


def perceive_together(
    perceivers: Mapping[str, Perceiver[Any]],
    frames: Mapping[str, Frame],
    place: WorldFrame,
    budget_bytes: int,
    mtu: int = 1200,
    headers: Mapping[str, tuple[int, int]] | None = None,
) -> dict[str, ScenePrediction]:
    """Run one frame of a whole fleet: all observe, encode, decode what the others encoded, and fuse.

    Args:
        perceivers: of each platform, by name; they keep their past.
        frames: what each captured.
        place: where they are.
        budget_bytes: of each frame on the wire, without envelopes.
        mtu: of its chunks.
        headers: by name the platform's number and the frame's, as some network had them: large numbers take a byte or
            two more, which a cell may then lack.

    Returns:
        the fused scene of each platform.
    """
    both = perceive_ego_and_fused(perceivers, frames, place, budget_bytes, mtu, headers)
    return {name: fused for name, (_, fused) in both.items()}


def perceive_ego_and_fused(
    perceivers: Mapping[str, Perceiver[Any]],
    frames: Mapping[str, Frame],
    place: WorldFrame,
    budget_bytes: int,
    mtu: int = 1200,
    headers: Mapping[str, tuple[int, int]] | None = None,
) -> dict[str, tuple[Any, ScenePrediction]]:
    """Run one frame of a whole fleet, as `perceive_together`.

    Args:
        perceivers: of each platform, by name; they keep their past.
        frames: what each captured.
        place: where they are.
        budget_bytes: of each frame on the wire, without envelopes.
        mtu: of its chunks.
        headers: by name the platform's number and the frame's.

    Returns:
        of each platform what its perceiver observed, and the fused scene.
    """
    names = sorted(frames)
    ego = {name: perceivers[name].observe(frames[name], place) for name in names}
    sent = _exchange_frames(names, headers, perceivers, ego, frames, budget_bytes, mtu)
    received = {
        name: [perceivers[name].compensate(sent[other], frames[name].time) for other in names if other != name]
        for name in names
    }
    return {name: (ego[name], perceivers[name].fuse(ego[name], received[name])) for name in names}


def _exchange_frames(
    names: list[str],
    headers: Mapping[str, tuple[int, int]] | None,
    perceivers: Mapping[str, Perceiver[Any]],
    ego: dict[str, Any],
    frames: Mapping[str, Frame],
    budget_bytes: int,
    mtu: int,
) -> dict[str, FrameContent]:
    """Encode and decode the frame of each platform."""
    sent = {}
    for number, name in enumerate(names):
        numbers = (number, 0) if headers is None else headers[name]
        chunks = encode_ego(perceivers[name], ego[name], frames[name], *numbers, budget_bytes, mtu)
        sent[name] = decode_frame(chunks, list(perceivers[name].tables))
    return sent
