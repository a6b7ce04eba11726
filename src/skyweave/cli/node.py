"""``skyweave node``: one platform of a fleet."""

import argparse
import json
import sys
from typing import Any


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "node",
        help="one platform of a fleet, on a network",
        description="Run one platform: it sees, tells others, hears them, fuses, and publishes its picture, until it "
        "is interrupted. Messages in the clear are refused beyond this machine unless the YAML says allow_clear: true.",
        epilog="`skyweave fleet up` runs many on one machine. docs/fleet.md describes the YAML.",
    )
    parser.add_argument("config", help="YAML, such as configs/fleet/node.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change it: options.wait=0.1")
    parser.add_argument("--log", choices=("text", "json"), default="text", help="how to report (default: text)")
    parser.add_argument("--json", action="store_true", help="print the status at the end as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run until interrupted; returns 0."""
    import logging
    import signal
    import threading

    from skyweave.fleet.config import NodeConfig
    from skyweave.records import read_record

    config = read_record(args.config, NodeConfig, args.set)
    _set_up_logging(args.log == "json")
    log = logging.getLogger("skyweave.fleet")
    from skyweave.fleet.metrics import serve_metrics, status, write_status
    from skyweave.fleet.node import Picture
    from skyweave.fleet.publish import Publisher
    from skyweave.fleet.run import make_node, run_node

    if config.perceiver.kind != "truth":
        import torch

        torch.set_num_threads(config.perceiver.threads)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    node, source = make_node(config)
    publisher = Publisher(node, config.publish, config.camera_interval)
    end_metrics = serve_metrics(node, config.metrics) if config.metrics else None
    log.info("started", extra={"data": {"fleet": node.fleet, "platform": node.name, "number": node.number}})
    last = 0.0
    saved = open(config.save, "a", buffering=1, encoding="utf-8") if config.save else None  # noqa: SIM115

    def done(picture: Picture) -> None:
        content = publisher.publish(picture)
        if saved is not None:
            saved.write(json.dumps(content) + "\n")
        nonlocal last
        if picture.done / 1e9 - last >= 5.0:
            last = picture.done / 1e9
            found = picture.scene.detections
            log.info(
                "picture",
                extra={
                    "data": {
                        "sequence": picture.sequence,
                        "latency": round(picture.latency, 3),
                        "boxes": 0 if found is None else len(found),
                        "sources": [one.peer for one in picture.sources],
                    }
                },
            )

    def report() -> None:
        while not stop.wait(1.0):
            write_status(config.status or "", node)

    reporting = threading.Thread(target=report, daemon=True) if config.status else None
    if reporting:
        reporting.start()
    try:
        run_node(node, source, done, stop, config.frames)
    finally:
        if end_metrics:
            end_metrics()
        if saved is not None:
            saved.close()
        if reporting:
            reporting.join(timeout=5)
    log.info("ended", extra={"data": {"frames": node.statistics.frames}})
    if args.json:
        print(json.dumps(status(node)))
    return 0


def _set_up_logging(as_json: bool) -> None:
    import logging
    import time

    class Lines(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            data: dict[str, Any] = getattr(record, "data", {})
            if not as_json:
                said = " ".join(f"{key}={value}" for key, value in data.items())
                text = f"{time.strftime('%H:%M:%S')} {record.getMessage()} {said}".rstrip()
                return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text
            content = {"time": record.created, "level": record.levelname.lower(), "event": record.getMessage(), **data}
            if record.exc_info:
                content["error"] = self.formatException(record.exc_info)
            return json.dumps(content, default=str)

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    logger = logging.getLogger("skyweave.fleet")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
