"""Where a source subscribes: the fleet's session, or a session of its own beside it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from skyweave.core.errors import FleetError
from skyweave.fleet.link.encryption import check_encryption
from skyweave.fleet.link.transport import Subscribe
from skyweave.fleet.sources.base import SourceContext

MAX_IMAGE_BYTES = 1 << 26  # of a message of a session of its own


@dataclass(frozen=True)
class TopicSession:
    """Subscribes for a source.

    Attributes:
        subscribe: to a pattern of topics; returns what ends the subscription.
        close: ends the session, if it is the source's own.
    """

    subscribe: Subscribe
    close: Callable[[], None]

    @contextmanager
    def closed_on_error(self) -> Iterator[Self]:
        """Give the session; close it if the block raises."""
        try:
            yield self
        except BaseException:
            self.close()
            raise


def open_topic_session(connect: Sequence[str], context: SourceContext) -> TopicSession:
    """Open the session that a source subscribes on.

    Args:
        connect: Zenoh endpoints for a session of its own; none: the fleet's.
        context: of the source.

    Raises:
        FleetError: endpoints that cannot be opened, or the fleet's session carries only the fleet's messages.
    """
    if not connect:
        if context.subscribe is None:
            raise FleetError(
                "with keys the fleet's session carries nothing but the fleet's messages: say where the images come "
                "from, such as source.connect: [tcp/127.0.0.1:7447]"
            )
        return TopicSession(context.subscribe, lambda: None)
    from skyweave.fleet.link.zenoh import ZenohTransport
    from skyweave.fleet.link.zenoh_settings import ZenohOptions

    check_encryption(connect, has_certificates=False, allow_clear=context.allow_clear)
    transport = ZenohTransport(ZenohOptions(listen=[], connect=list(connect), max_message_bytes=MAX_IMAGE_BYTES))
    return TopicSession(transport.subscribe, transport.close)
