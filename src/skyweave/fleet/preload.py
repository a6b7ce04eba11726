"""What a node needs, imported once for all that are forked from here (`skyweave.fleet.process.start`)."""

import skyweave.collaboration.weights
import skyweave.data.nuscenes
import skyweave.fleet.feature_perceiver
import skyweave.fleet.metrics
import skyweave.fleet.publish
import skyweave.fleet.run
import skyweave.fleet.sources
import skyweave.fleet.zenoh_transport
import skyweave.perception.weights  # noqa: F401
