"""Watches a fleet for what an operator must know: nodes that are lost, weak links, disagreement, refused messages."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from skyweave.fleet.dashboard.common_scene import MAX_DISAGREEMENT_M, CommonObject
from skyweave.fleet.dashboard.event_log import EventLog, Severity
from skyweave.fleet.link.scene_message import LinkContent, SceneMessage

MAX_SILENCE_S = 1.0  # without any message, for a node whose messages come more often than that
SILENCE_GAPS = 3.0  # usual gaps between messages that a node may be silent for, where that is longer
DEPARTURE_GRACE_S = 0.3  # after the network reported a departure, in which messages may come that were on their way
GAP_WEIGHT = 0.1  # of the newest gap in the usual one
MAX_GAP_S = 20.0  # that counts as usual
LOW_BUDGET_BYTES = 1000  # of a frame, below which a warning begins
ENOUGH_BUDGET_BYTES = 2000  # of a frame, from which it ends
MIN_DURATION_S = 2.0  # of a link that is down, or a disagreement, before that is an event
MAX_NODES = 128


@dataclass
class _Node:
    """When a node was last received; seconds of the monitor's clock.

    Attributes:
        received: when its newest message came.
        gap: between its messages, as usual.
        departed: when the network reported that it left; None: it did not, or was received since.
        is_lost: whether it was reported as lost.
    """

    received: float
    gap: float = 0.5
    departed: float | None = None
    is_lost: bool = False

    def is_silent(self, now: float) -> bool:
        silence = now - self.received
        if self.departed is not None and now - self.departed > DEPARTURE_GRACE_S:
            return True
        return silence > max(MAX_SILENCE_S, SILENCE_GAPS * self.gap)


class FleetMonitor:
    """Writes events. Not for several threads at once.

    Args:
        events: to write to.
    """

    def __init__(self, events: EventLog) -> None:
        self.events = events
        self._nodes: dict[str, _Node] = {}
        self._rejected: dict[str, int] = {}
        self._since: dict[tuple[str, str], float] = {}  # UTC seconds of what is no event yet, by kind and subject

    def on_message(self, platform: str, now: float, time: float) -> None:
        """Note that a node lives.

        Args:
            platform: its name.
            now: seconds of the monitor's clock.
            time: UTC seconds.
        """
        node = self._nodes.get(platform)
        if node is None:
            if len(self._nodes) < MAX_NODES:
                self._nodes[platform] = _Node(now)
                self.events.add(time, Severity.NOTICE, "joined", platform, f"{platform} is received")
            return
        if node.is_lost:
            node.is_lost = False
            lost = self.events.end(time, "lost", platform)
            silence = "" if lost is None else f" after {time - lost.time:.0f} s"
            self.events.add(time, Severity.NOTICE, "back", platform, f"{platform} is back{silence}")
        else:
            node.gap += GAP_WEIGHT * (min(now - node.received, MAX_GAP_S) - node.gap)
        node.received = now
        if node.departed is not None and now - node.departed > DEPARTURE_GRACE_S:
            node.departed = None

    def on_departure(self, platform: str, now: float) -> None:
        """Note that the network reported a node's departure.

        Args:
            platform: its name.
            now: seconds of the monitor's clock.
        """
        node = self._nodes.get(platform)
        if node is not None and node.departed is None:
            node.departed = now

    def on_scene(self, scene: SceneMessage, time: float) -> None:
        """Check what a scene says of links and budget.

        Args:
            scene: as it came.
            time: UTC seconds.
        """
        name = scene.platform
        if scene.budget < LOW_BUDGET_BYTES:
            text = f"{name} may send {scene.budget} bytes a frame only: its links are weak"
            self.events.begin(time, Severity.WARNING, "budget", name, name, text)
        elif scene.budget >= ENOUGH_BUDGET_BYTES:
            self.events.end(time, "budget", name)
        for peer, link in scene.links.items():
            self._check_link(name, peer, link, time)

    def check(self, now: float, time: float) -> None:
        """Report the nodes that are silent.

        Args:
            now: seconds of the monitor's clock.
            time: UTC seconds.
        """
        for name, node in self._nodes.items():
            if not node.is_lost and node.is_silent(now):
                node.is_lost = True
                how = "left the network" if node.departed is not None else f"is silent for {now - node.received:.1f} s"
                self.events.begin(time, Severity.ALARM, "lost", name, name, f"{name} is lost: it {how}")
                self._end_links(name, time)

    def check_objects(self, objects: Iterable[CommonObject], time: float) -> None:
        """Report objects on which nodes disagree.

        Args:
            objects: of the common scene.
            time: UTC seconds.
        """
        disputed = set[str]()
        for known in objects:
            recent = known.recent()
            classes = sorted({estimate.box.category for estimate in recent.values()})
            text = ""
            if len(classes) > 1:
                text = f"{known.identity}: nodes disagree on its class: {', '.join(classes)}"
            elif known.disagreement() > MAX_DISAGREEMENT_M:
                text = f"{known.identity}: nodes place it {known.disagreement():.1f} m apart"
            if not text:
                continue
            disputed.add(known.identity)
            self._begin_later(time, "disagreement", known.identity, "", text)
        for identity in self._subjects("disagreement") - disputed:
            if not identity.startswith("pose "):
                self._end(time, "disagreement", identity)

    def check_rejected(self, rejected: Mapping[str, Mapping[str, int]], time: float) -> None:
        """Report senders of whom messages were refused since the last time.

        Args:
            rejected: messages by sender and reason.
            time: UTC seconds.
        """
        for sender, reasons in list(rejected.items()):
            for reason, number in list(reasons.items()):
                key = f"{sender}/{reason}"
                if number > self._rejected.get(key, 0):
                    self._rejected[key] = number
                    who = sender or "an unknown sender"
                    text = f"messages of {who} are refused: {reason}"
                    self.events.count(time, Severity.WARNING, "refused", sender, text)

    def is_lost(self, platform: str) -> bool:
        """Return whether a node is lost.

        Args:
            platform: its name.
        """
        node = self._nodes.get(platform)
        return node is not None and node.is_lost

    def _check_link(self, name: str, peer: str, link: LinkContent, time: float) -> None:
        subject = f"{peer} to {name}"
        if link.alive or self.is_lost(peer):
            self._end(time, "link", subject)
        else:
            text = f"{name} does not receive {peer}"
            self._begin_later(time, "link", subject, name, text)
        if link.pose is not None and not link.pose.trusted:
            text = f"{name} leaves {peer} out: its pose does not fit what others see"
            self.events.begin(time, Severity.WARNING, "disagreement", f"pose {subject}", name, text)
        else:
            self.events.end(time, "disagreement", f"pose {subject}")
        key = f"{subject}/"
        before = self._rejected.get(key)
        self._rejected[key] = link.rejected
        if before is not None and link.rejected > before:
            text = f"{name} refuses messages of {peer}"
            self.events.count(time, Severity.WARNING, "refused", name, text)

    def _begin_later(self, time: float, kind: str, subject: str, platform: str, text: str) -> None:
        """Warn of what lasts for some time."""
        if time - self._since.setdefault((kind, subject), time) >= MIN_DURATION_S:
            self.events.begin(time, Severity.WARNING, kind, subject, platform, text)

    def _end(self, time: float, kind: str, subject: str) -> None:
        self._since.pop((kind, subject), None)
        self.events.end(time, kind, subject)

    def _subjects(self, kind: str) -> set[str]:
        """Return what is warned of, or will be if it lasts."""
        return {subject for begun, subject in self._since if begun == kind}

    def _end_links(self, name: str, time: float) -> None:
        """End what stands of the links of a node that is lost: there is nothing to know of them."""
        for kind in ("link", "disagreement", "budget"):
            for subject in {*self.events.subjects(kind), *self._subjects(kind)}:
                if name in subject.split():
                    self._end(time, kind, subject)
