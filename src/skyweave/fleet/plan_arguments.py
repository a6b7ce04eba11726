"""``skyweave fleet plan``: its arguments, and what it prints."""

import argparse
import json
import re
from typing import TYPE_CHECKING, Any

from skyweave.core.errors import FleetError

if TYPE_CHECKING:
    from skyweave.fleet.plan import FleetPlan

FACTORS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
MIN_FRAME_BYTES = 400  # the smallest budget that a node takes by default


def add_plan(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the subcommand.

    Args:
        commands: of ``skyweave fleet``.
    """
    plan = commands.add_parser(
        "plan",
        help="what each link of a fleet will carry",
        description="Work out what each link of a fleet will carry, and what would be too much first. Platforms are "
        "spread evenly; docs/fleet.md says what is counted.",
    )
    plan.add_argument("--area", required=True, metavar="WxH", help="metres: 2000x1500")
    plan.add_argument("--platforms", type=int, required=True, metavar="N", help="number of platforms")
    plan.add_argument("--link", required=True, metavar="RATE", help="bit/s of one platform, each way: 500k, 10M")
    plan.add_argument("--gate", default="1G", metavar="RATE", help="bit/s of a router, each way (default: 1G)")
    plan.add_argument("--sites", type=int, default=1, metavar="N", help="routers that share the area (default: 1)")
    plan.add_argument("--map", type=float, default=128.0, metavar="M", help="metres along a map (default: 128)")
    plan.add_argument("--tile", type=float, metavar="M", help="side of the tiles (default: as the map; 0: none)")
    plan.add_argument("--interval", type=float, default=0.5, metavar="S", help="seconds between frames (default: 0.5)")
    plan.add_argument("--bytes", type=int, default=4000, metavar="N", help="budget of a frame (default: 4000)")
    plan.add_argument("--unsigned", action="store_true", help="without keys")
    plan.add_argument("--json", action="store_true", help="machine-readable output")
    plan.set_defaults(run=run_plan)


def run_plan(args: argparse.Namespace) -> int:
    """Print the plan; return 0.

    Args:
        args: of the command line.

    Raises:
        FleetError: sizes or rates that cannot be.
    """
    from skyweave.fleet.plan import FleetPlan, largest_frame

    width, height = _parse_area(args.area)
    plan = FleetPlan(
        width * height,
        args.platforms,
        _parse_rate(args.link),
        _parse_rate(args.gate),
        args.sites,
        args.map,
        (args.map if args.tile is None else args.tile) or None,
        args.interval,
        args.bytes,
        signed=not args.unsigned,
    )
    content = _plan_to_json(plan, largest_frame(plan))
    print(json.dumps(content) if args.json else _describe(plan, content))
    return 0


def _plan_to_json(plan: "FleetPlan", largest: int | None) -> dict[str, Any]:
    return {
        "platforms_per_km2": round(plan.density * 1e6, 2),
        "peers_received": round(plan.peers_received, 1),
        "peers_received_1_of_100": round(plan.peers_received_rarely, 1),
        "peers_fused": round(plan.peers_fused, 1),
        "platform_sends_bits": round(plan.sent_bits),
        "platform_receives_bits": round(plan.received_bits),
        "platform_receives_bits_1_of_100": round(plan.received_bits_rarely),
        "platform_receives_messages": round(plan.messages_received),
        "platform_processor": round(plan.processor, 4),
        "router_sends_bits": round(plan.gate_bits),
        "site_receives_bits": round(plan.between_bits),
        "loads": {name: round(load, 4) for name, load in plan.loads().items()},
        "largest_frame_bytes": largest,
    }


def _describe(plan: "FleetPlan", content: dict[str, Any]) -> str:
    loads = sorted(plan.loads().items(), key=lambda item: -item[1])
    largest = content["largest_frame_bytes"]
    lines = [
        f"{plan.platforms} platforms, {content['platforms_per_km2']:g} a km²; each receives {plan.peers_received:.1f} "
        f"others (1 of 100: {plan.peers_received_rarely:.0f}) and fuses {plan.peers_fused:.1f}",
        f"  a platform sends       {_rate(plan.sent_bits)}",
        f"  a platform receives    {_rate(plan.received_bits)} (1 of 100: {_rate(plan.received_bits_rarely)}), "
        f"{plan.messages_received:.0f} messages a second, {100 * plan.processor:.1f} % of a core",
        f"  a router sends         {_rate(plan.gate_bits)} to its site",
        f"  a site receives        {_rate(plan.between_bits)} from all others",
        "used of what there is:",
        *(f"  {100 * load:7.1f} %  {name}{'  <- too much' if load > 1 else ''}" for name, load in loads),
    ]
    if largest is None or largest < MIN_FRAME_BYTES:
        return "\n".join(
            [*lines, "no budget of a frame fits: fewer platforms, smaller tiles, more sites or a better link"]
        )
    return "\n".join([*lines, f"the largest budget of a frame that fits: {largest} bytes"])


def _rate(bits: float) -> str:
    unit, factor = next((unit, factor) for unit, factor in reversed(FACTORS.items()) if bits >= factor or factor == 1)
    return f"{bits / factor:.3g} {unit}bit/s"


def _parse_rate(text: str) -> float:
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([kMG]?)", text)
    if match is None:
        raise FleetError(f"{text!r} is no rate in bit/s; give one such as 500k, 10M or 1G")
    return float(match[1]) * FACTORS[match[2]]


def _parse_area(text: str) -> tuple[float, float]:
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)x([0-9]+(?:\.[0-9]+)?)", text)
    if match is None:
        raise FleetError(f"--area {text!r} must be width x height in metres, such as 2000x1500")
    return float(match[1]), float(match[2])
