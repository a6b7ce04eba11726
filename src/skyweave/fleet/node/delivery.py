"""What share of a node's frames reached each peer, from the peers' reports: what rate control is steered by."""

from skyweave.fleet.link.heartbeat import Heartbeat, PeerReport
from skyweave.fleet.node.peer import Peer

MAX_SENT_FRAMES = 512  # whose size is remembered for the reports


class DeliveryMonitor:
    """Compares what was sent with what peers report to have received."""

    def __init__(self) -> None:
        self._total_bytes = 0
        self._bytes_up_to: dict[int, int] = {}  # sent up to and with a frame, by its sequence number
        self._last_reports: dict[str, tuple[int, int, int]] = {}  # by peer: its start, sequence and received bytes

    def add_frame(self, sequence: int, size: int) -> None:
        """Note that a frame was sent.

        Args:
            sequence: number of the frame.
            size: bytes of its chunks, without envelopes.
        """
        self._total_bytes += size
        self._bytes_up_to[sequence] = self._total_bytes
        while len(self._bytes_up_to) > MAX_SENT_FRAMES:
            del self._bytes_up_to[next(iter(self._bytes_up_to))]

    def evaluate(self, peer: Peer) -> tuple[float, float] | None:
        """Return the delivered share, 0 to 1, and the delay, seconds, since a peer's report before; None: not known.

        Args:
            peer: that is alive.
        """
        share = self._delivered_share(peer)
        if share is None or peer.report is None:
            return None
        return share, peer.report.delay_ms / 1000

    def _delivered_share(self, peer: Peer) -> float | None:
        """Return what share arrived since the last report; None where the two cannot be compared."""
        report, heartbeat = peer.report, peer.heartbeat
        if report is None or heartbeat is None or report.sequence not in self._bytes_up_to:
            return None
        last = self._last_reports.get(peer.name)
        self._last_reports[peer.name] = (heartbeat.started, report.sequence, report.received_bytes)
        if last is None:
            return None
        return self._share_since(last, heartbeat, report)

    def _share_since(self, last: tuple[int, int, int], heartbeat: Heartbeat, report: PeerReport) -> float | None:
        """Return the delivered share of what was sent since the last report."""
        started, sequence, received_bytes = last
        if started != heartbeat.started or sequence not in self._bytes_up_to:
            return None
        sent = self._bytes_up_to[report.sequence] - self._bytes_up_to[sequence]
        if sent <= 0 or report.received_bytes < received_bytes:
            return None
        return min((report.received_bytes - received_bytes) / sent, 1.0)
