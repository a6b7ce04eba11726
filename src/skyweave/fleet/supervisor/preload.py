"""Imports what a node needs, once for all that are forked from here (`skyweave.fleet.supervisor.process`)."""

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
