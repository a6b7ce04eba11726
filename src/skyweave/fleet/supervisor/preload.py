"""Imports what a node needs, once for all that are forked from here (`skyweave.fleet.supervisor.process`)."""

import atexit
import os

import skyweave.collaboration.weights
import skyweave.fleet.link.zenoh
import skyweave.fleet.perceivers.intermediate_fusion
import skyweave.fleet.perceivers.late_fusion
import skyweave.fleet.sinks.node_status
import skyweave.fleet.sinks.prometheus
import skyweave.fleet.sinks.publisher
import skyweave.fleet.sinks.scene_file
import skyweave.fleet.sources.recording
import skyweave.fleet.supervisor.runtime
import skyweave.perception.weights
import skyweave.recordings.nuscenes  # noqa: F401
from skyweave.fleet.supervisor.parent_watch import end_watch

FORK_SERVER = os.getpid()


def end_at_once() -> None:
    """End the fork server, when its supervisor has: taking all libraries apart takes seconds, and is for nothing."""
    if os.getpid() == FORK_SERVER:  # nodes, which are forked from it, end by themselves
        os._exit(0)


atexit.register(end_at_once)
end_watch()
