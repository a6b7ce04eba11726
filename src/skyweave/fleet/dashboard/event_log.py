"""What happened in a fleet, for the page: alarms and warnings that stand until they are over, and notices."""

import math
from collections import deque
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

MAX_EVENTS = 200


class Severity(StrEnum):
    """How urgent an event is."""

    ALARM = "alarm"
    WARNING = "warning"
    NOTICE = "notice"


@dataclass
class Event:
    """Something that happened.

    Attributes:
        number: grows with every event.
        time: UTC seconds.
        severity: how urgent it is.
        kind: such as ``lost``.
        platform: that it is about; empty: the fleet.
        text: for people.
        ended: UTC seconds when it was over; None: it stands, or has no end.
        count: how often it happened.
    """

    number: int
    time: float
    severity: Severity
    kind: str
    platform: str
    text: str
    ended: float | None = None
    count: int = 1


class EventLog:
    """The newest events, and those that stand."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=MAX_EVENTS)
        self._standing: dict[tuple[str, str], Event] = {}
        self._number = 0

    def add(self, time: float, severity: Severity, kind: str, platform: str, text: str) -> Event:
        """Add an event without an end.

        Args:
            time: UTC seconds.
            severity: how urgent it is.
            kind: of event.
            platform: that it is about; empty: the fleet.
            text: for people.
        """
        self._number += 1
        event = Event(self._number, time, severity, kind, platform, text)
        self._events.append(event)
        return event

    def begin(self, time: float, severity: Severity, kind: str, subject: str, platform: str, text: str) -> None:
        """Add an event that stands until `end`; nothing where it stands already.

        Args:
            time: UTC seconds.
            severity: how urgent it is.
            kind: of event.
            subject: what it is about: one event of a kind stands for each.
            platform: that it is about; empty: the fleet.
            text: for people.
        """
        if (kind, subject) not in self._standing:
            self._standing[kind, subject] = self.add(time, severity, kind, platform, text)

    def end(self, time: float, kind: str, subject: str) -> Event | None:
        """End an event that stands, and return it; None: it did not.

        Args:
            time: UTC seconds.
            kind: of event.
            subject: what it is about.
        """
        event = self._standing.pop((kind, subject), None)
        if event is not None:
            event.ended = time
        return event

    def subjects(self, kind: str) -> list[str]:
        """Return what events of a kind stand for.

        Args:
            kind: of event.
        """
        return [subject for standing, subject in self._standing if standing == kind]

    def count(self, time: float, severity: Severity, kind: str, platform: str, text: str) -> None:
        """Add an event, or count it where the last of its kind and platform says the same.

        Args:
            time: UTC seconds.
            severity: how urgent it is.
            kind: of event.
            platform: that it is about.
            text: for people.
        """
        for event in reversed(self._events):
            if (event.kind, event.platform, event.text) == (kind, platform, text):
                event.count, event.time = event.count + 1, time
                return
        self.add(time, severity, kind, platform, text)

    def json_content(self, until: float = math.inf) -> list[dict[str, Any]]:
        """Return the events as plain JSON types, the newest first; those that stand are never left out.

        Args:
            until: UTC seconds, as of which they are returned.
        """
        stands = {event.number for event in self._standing.values()}
        events = {event.number: event for event in (*self._standing.values(), *self._events)}
        return [
            {**asdict(event), "standing": number in stands or (event.ended is not None and event.ended > until)}
            for number, event in sorted(events.items(), reverse=True)
            if event.time <= until
        ]
