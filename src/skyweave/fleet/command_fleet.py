"""``skyweave fleet``: run, watch, record and replay a fleet."""

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from skyweave.core.errors import FleetError
from skyweave.core.run_arguments import OutputFile, OutputFolder
from skyweave.fleet.page_arguments import add_page_options

if TYPE_CHECKING:
    import threading
    from pathlib import Path

    from skyweave.fleet.config import FleetConfig
    from skyweave.fleet.link.zenoh import ZenohTransport


MAX_SECONDS = 366 * 86400.0  # of a recording
START_TIMEOUT_S = 120.0  # for a fleet's processes to start, on a machine that may be busy


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command and its subcommands.

    Args:
        subparsers: of the command line.
    """
    from skyweave.fleet.plan_arguments import add_plan

    parser = subparsers.add_parser(
        "fleet",
        help="run, watch, record and replay a fleet",
        description="Run a fleet of nodes on this machine, watch one in the browser, record and replay it.",
        epilog="See docs/fleet.md.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_up(commands)
    _add_status_and_down(commands)
    _add_keys(commands)
    _add_dashboard_and_record(commands)
    _add_replay(commands)
    _add_router(commands)
    add_plan(commands)


def _add_up(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    up = commands.add_parser(
        "up",
        help="start a fleet on this machine",
        description="Start a process for every platform and keep them running until interrupted.",
    )
    up.add_argument("config", help="YAML, such as configs/fleet/crossing.yaml")
    up.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change it: node.options.max_wait=0.1"
    )
    up.add_argument("--detach", action="store_true", help="leave it running; `fleet down` ends it")
    up.set_defaults(run=_up)


def _add_status_and_down(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    for name, summary, run in (
        ("status", "show how every node is", _status),
        ("down", "end the fleet", _down),
    ):
        command = commands.add_parser(name, help=summary, description=f"{summary.capitalize()}.")
        command.add_argument("config", help="the YAML that the fleet was started with, or its state folder")
        command.add_argument("--json", action="store_true", help="machine-readable output")
        command.set_defaults(run=run)


def _add_keys(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    keys = commands.add_parser(
        "keys",
        help="make a test authority and keys",
        description="Make a certificate authority (unless DIR has one), and a certificate and a signing key for every "
        "name. For tests and trials: keep DIR/authority.key away from the platforms.",
    )
    keys.add_argument("folder", type=OutputFolder(), metavar="DIR", help="folder to write to")
    keys.add_argument("names", nargs="*", metavar="PLATFORM", help="platforms")
    keys.add_argument("--viewer", action="append", default=[], metavar="NAME", help="one who only listens")
    keys.add_argument("--relay", action="append", default=[], metavar="NAME", help="a router")
    keys.add_argument("--host", action="append", default=[], metavar="HOST", help="address to put into certificates")
    keys.add_argument("--days", type=int, default=365, metavar="N", help="validity of the certificates (default: 365)")
    keys.set_defaults(run=_keys)


def _add_dashboard_and_record(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    dashboard = commands.add_parser(
        "dashboard", help="a live page in the browser", description="Serve a live page of a fleet."
    )
    record = commands.add_parser(
        "record",
        help="record a fleet as MCAP or Rerun",
        description="Record everything that a fleet publishes, until interrupted: .mcap (Foxglove opens it, "
        "`fleet replay` plays it) or .rrd (Rerun).",
    )
    record.add_argument(
        "-o", "--output", type=OutputFile(".mcap", ".rrd"), required=True, metavar="FILE", help=".mcap or .rrd"
    )
    record.add_argument("--seconds", type=float, metavar="S", help="then end (default: when interrupted)")
    for command in (dashboard, record):
        command.add_argument("config", nargs="?", help="the YAML of a fleet on this machine")
        command.add_argument("--fleet", metavar="NAME", help="name of a fleet elsewhere")
        command.add_argument("--connect", action="append", default=[], metavar="ENDPOINT", help="tls/192.168.1.7:7450")
        command.add_argument("--keys", metavar="DIR", help="folder of `fleet keys`")
        command.add_argument("--name", default="viewer", help="of this member among the keys (default: viewer)")
        command.add_argument("--allow-clear", action="store_true", help="connect beyond this machine without TLS")
    add_page_options(dashboard)
    dashboard.set_defaults(run=_dashboard)
    record.set_defaults(run=_record)


def _add_replay(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    replay = commands.add_parser(
        "replay",
        help="play a recorded fleet",
        description="Play a recording on the network as it was, for `fleet dashboard`, `fleet record` and clients; or "
        "with --page on a live page with a slider, without a network. Signed recordings are played without their "
        "signatures.",
    )
    replay.add_argument("recording", metavar="FILE.mcap")
    replay.add_argument("--listen", default="tcp/127.0.0.1:7449", metavar="ENDPOINT")
    replay.add_argument("--speed", type=float, default=1.0, metavar="X", help="times as fast (default: 1)")
    replay.add_argument("--loop", action="store_true", help="over and over")
    replay.add_argument("--page", action="store_true", help="play it on a page with a slider, not on the network")
    add_page_options(replay)
    replay.set_defaults(run=_replay)


def _add_router(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    router = commands.add_parser(
        "router",
        help="pass messages on between the sites of a fleet",
        description="Pass on what platforms and other routers subscribe to, until interrupted.",
    )
    router.add_argument("--fleet", default="fleet", metavar="NAME", help="name of the fleet (default: fleet)")
    router.add_argument("--name", default="router", help="of this relay among the keys (default: router)")
    router.add_argument("--keys", metavar="DIR", help="folder of `fleet keys`")
    router.add_argument(
        "--listen", action="append", required=True, metavar="ENDPOINT", help="for platforms: tls/0.0.0.0:7447"
    )
    router.add_argument("--connect", action="append", default=[], metavar="ENDPOINT", help="of another router")
    router.add_argument("--allow-clear", action="store_true", help="connect beyond this machine without TLS")
    router.set_defaults(run=_router)


def _up(args: argparse.Namespace) -> int:
    from pathlib import Path

    from skyweave.fleet.supervisor.fork_server import preload_libraries

    if not args.detach:
        preload_libraries()  # it imports what nodes need while this process imports what it needs itself
    from skyweave.fleet.supervisor.supervisor import Supervisor

    config = _load_config(args.config, args.set)
    if args.detach:
        return _detach(args, config)
    supervisor = Supervisor(config, Path(args.config).resolve().parent)
    supervisor.run(_stop_on_signal(), lambda text: print(text, file=sys.stderr, flush=True))
    return 0


def _detach(args: argparse.Namespace, config: "FleetConfig") -> int:
    """Start this command again without a terminal, and wait until every node has started."""
    import os
    import time
    from pathlib import Path

    from skyweave.fleet.supervisor.node_contents import node_contents
    from skyweave.fleet.supervisor.state import supervisor_pid

    node_contents(config, Path(args.config).resolve().parent)  # errors are shown here, not in a log
    if supervisor_pid(config.state) is not None:
        raise FleetError(f"the fleet {config.name} runs already; `skyweave fleet down` ends it")
    state = Path(config.state)
    state.mkdir(parents=True, exist_ok=True)
    changes = [part for change in args.set for part in ("--set", change)]
    command = [sys.executable, "-m", "skyweave", "fleet", "up", args.config, *changes]
    process = _spawn(command, state / "supervisor.log")
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and os.waitpid(process, os.WNOHANG) == (0, 0):
        if _has_started(state, process):
            print(f"{config.name}: {len(config.platforms)} nodes started; state in {config.state}")
            return 0
        time.sleep(0.05)
    raise FleetError(f"the fleet did not start; {config.state}/supervisor.log says why")


def _spawn(command: list[str], log: "Path") -> int:
    """Start a process in a session of its own, logging to a file; return its number."""
    import os

    stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    actions: list[tuple[Any, ...]] = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
    actions += [(os.POSIX_SPAWN_DUP2, stream, number) for number in (1, 2)]
    process = os.posix_spawn(command[0], command, os.environ, file_actions=actions, setsid=True)
    os.close(stream)
    return process


def _has_started(state: "Path", process: int) -> bool:
    from skyweave.fleet.supervisor.state import fleet_state, supervisor_pid

    if supervisor_pid(state) != process or not (state / "fleet.json").exists():
        return False
    content = fleet_state(state)
    return content["supervisor"] == process and all(node["pid"] for node in content["nodes"].values())


def _status(args: argparse.Namespace) -> int:
    from skyweave.fleet.supervisor.state import fleet_state

    state = fleet_state(_state_folder(args.config))
    if args.json:
        print(json.dumps(state))
        return 0
    print(f"{state['fleet']}: {'running' if state['running'] else 'not running'}")
    for name, node in state["nodes"].items():
        print(f"  {name}: {_describe_node(node)}")
    return 0


def _describe_node(node: "dict[str, Any]") -> str:
    status = node.get("status")
    if not node["pid"] or status is None:
        return "no process" if not node["pid"] else f"process {node['pid']}, starting"
    alive = _alive_peers(status)
    rejected = _count_rejected(status)
    return (
        f"process {node['pid']} (started {node['starts']} times), {status['frames']} frames, latency "
        f"{status['latency']['mean']:.3f} s, receives {', '.join(alive) or 'nobody'}, {rejected} messages rejected, "
        f"{status['budget']} bytes a frame"
    )


def _alive_peers(status: "dict[str, Any]") -> list[str]:
    """Return the names of the peers that are alive."""
    return [name for name, peer in status["peers"].items() if peer["alive"]]


def _count_rejected(status: "dict[str, Any]") -> int:
    """Count the messages that a node rejected."""
    return sum(sum(peer["rejected"].values()) for peer in status["peers"].values())


def _down(args: argparse.Namespace) -> int:
    from skyweave.fleet.supervisor.state import stop_fleet

    state = _state_folder(args.config)
    running = stop_fleet(state)
    if args.json:
        print(json.dumps({"state": state, "stopped": running}))
    else:
        print("ended" if running else "nothing was running")
    return 0


def _keys(args: argparse.Namespace) -> int:
    from skyweave.fleet.link.certificate_authority import create_keys

    names = [*args.names, *args.viewer, *args.relay]
    if not names:
        raise FleetError("no names for keys; give those of platforms, --viewer NAME or --relay NAME")
    created = create_keys(args.folder, args.names, args.host, args.days, args.viewer, args.relay)
    kept = [name for name in names if name not in created]
    print(f"{args.folder}: keys for {', '.join(created) or 'nobody new'}{'; kept: ' + ', '.join(kept) if kept else ''}")
    print(f"keep {args.folder}/authority.key away from the platforms")
    return 0


def _dashboard(args: argparse.Namespace) -> int:
    from skyweave.fleet.dashboard.run_page import check_page, show_fleet

    check_page(args)
    show_fleet(args, *_subscribe(args))
    return 0


def _record(args: argparse.Namespace) -> int:
    from skyweave.fleet.sinks.recorder import RecordingSession, get_recorder

    if args.seconds is not None and not 0 <= args.seconds <= MAX_SECONDS:
        raise FleetError(f"--seconds {args.seconds:g}; give 0 to {MAX_SECONDS:g}, or leave it out and interrupt")
    record = get_recorder(args.output)
    fleet, transport, keys = _subscribe(args)
    session = RecordingSession(fleet, transport, _stop_on_signal(), args.seconds, keys, args.name)
    count = record(args.output, session)
    print(f"{args.output}: {count} messages")
    return 0


def _replay(args: argparse.Namespace) -> int:
    if args.page:
        from skyweave.fleet.dashboard.run_page import show_recording

        show_recording(args)
        return 0
    from skyweave.fleet.link.transport import Membership
    from skyweave.fleet.link.zenoh import ZenohConfig
    from skyweave.fleet.sinks.replay import replay

    transport = ZenohConfig(listen=[args.listen]).build(Membership("replay"))
    try:
        count = replay(args.recording, transport, _stop_on_signal(), args.speed, args.loop)
    finally:
        transport.close()
    refused = f", {count.refused} refused" if count.refused else ""
    print(f"{args.recording}: {count.played} messages played{refused}")
    return 0


def _router(args: argparse.Namespace) -> int:
    from skyweave.fleet.link.router import run_router

    def report() -> None:
        print(f"{args.name}: passes on what comes to {', '.join(args.listen)}", flush=True)

    stop = _stop_on_signal()
    run_router(args.fleet, args.name, args.listen, args.connect, stop, args.keys, args.allow_clear, report)
    return 0


def _subscribe(args: argparse.Namespace) -> "tuple[str, ZenohTransport, str | None]":
    """Return (fleet, transport, keys) of the fleet that the arguments name."""
    from skyweave.fleet.sinks.subscriber import open_subscriber_session

    fleet, connect, keys = args.fleet, list(args.connect), args.keys
    if args.config:
        config = _load_config(args.config, [])
        protocol = "tcp" if config.keys is None else "tls"
        fleet, keys = fleet or config.name, keys or config.keys
        connect = connect or [f"{protocol}/127.0.0.1:{config.port + number}" for number in range(len(config.platforms))]
    if not fleet or not connect:
        raise FleetError("no fleet is named; give the YAML of one here, or --fleet NAME and --connect ENDPOINT")
    return fleet, open_subscriber_session(fleet, connect, keys, args.name, args.allow_clear), keys


def _stop_on_signal() -> "threading.Event":
    """Return an event that is set when the process is asked to end."""
    import threading

    from skyweave.core.signals import on_end_signal

    stop = threading.Event()
    on_end_signal(lambda *_: stop.set())
    return stop


def _load_config(path: str, changes: "list[str]") -> "FleetConfig":
    from skyweave.core.config import load_config_file
    from skyweave.fleet.config import FleetConfig

    return load_config_file(path, FleetConfig, changes)


def _state_folder(path: str) -> str:
    from pathlib import Path

    return path if Path(path).is_dir() else _load_config(path, []).state
