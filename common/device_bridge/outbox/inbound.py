"""Messages of other microservices for a service that passes them on, kept until it has."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Set
from pathlib import Path

import msgspec

from iofog_sdk import IoMessage, MessageError
from iofog_sdk.messages import decode_json

from ..service_settings import OutboxSettings
from .delivery import NOT_SENDABLE
from .durable import Outbox
from .share import AnyOutbox

log = logging.getLogger("device_bridge")

_REMEMBERED = 1000


class Inbound(Outbox):
    """An outbox the other way round: from the node to the device. It counts messages, not readings.

    Parameters:
        settings: bounds and durability, those of the outbox.
        folder: where messages are kept on disk; None keeps all in memory.
        publisher: the microservice's own, whose messages are not passed on when they come back.
        groups: every `groupid` of this run.
        outgoing: the outbox of this service's own messages, which knows when they are written.
    """

    def __init__(
        self, settings: OutboxSettings, folder: Path | None, publisher: str, groups: Set[str], *, outgoing: AnyOutbox
    ) -> None:
        super().__init__(settings, folder)
        self._publisher, self._groups = publisher, groups
        self._known: dict[str, None] = {}
        self._given_up = ""
        self.outgoing = outgoing
        self.ignored: Counter[str] = Counter()
        """Messages that were not put in, by reason."""
        self.reader: Callable[[IoMessage], None] | None = None
        """Of a service that is done with a message at once; called instead of putting one in, unless others wait."""

    async def accept(self, message: IoMessage) -> None:
        """Puts a message in, unless it is one of our own or has come before.

        Returns when it is as safe as the settings ask for: it may be acknowledged then.
        """
        if message.groupid in self._groups or (message.publisher and message.publisher == self._publisher):
            self.ignored["own"] += 1
            return
        if message.id:
            if message.id in self._known:
                self.ignored["again"] += 1
                return
            self._known[message.id] = None
            if len(self._known) > _REMEMBERED:
                del self._known[next(iter(self._known))]
        if self.reader is not None and self.is_empty:
            self._have_read(self.reader, message)
            return
        await self.wait_room()
        try:
            self.put(message.to_bytes(), 1)
        except MessageError as error:
            log.warning("message %s cannot be kept: %s", message.id, error)
            self.refuse(1, "not encodable")
        await self.wait_written()

    def _have_read(self, reader: Callable[[IoMessage], None], message: IoMessage) -> None:
        try:
            reader(message)
        except Exception:
            log.exception("message %s cannot be read", message.id)
            self.refuse(1, NOT_SENDABLE)
        else:
            self.read += 1
            self.delivered += 1

    def give_up(self, reason: str) -> None:
        """The acknowledgement that comes next is none: its message is dropped for this reason."""
        self._given_up = reason

    def acknowledge(self, refused: str = "") -> None:
        reason, self._given_up = self._given_up or refused, ""
        super().acknowledge(reason)


class _Command(msgspec.Struct):
    command: str
    ok: bool | None = None


def is_command(message: IoMessage) -> bool:
    """Whether a message says what to do, `{"command": …}`, and is not the result of one."""
    if message.contentdata.lstrip()[:1] != b"{":
        return False
    try:
        return decode_json(message.contentdata, _Command).ok is None
    except ValueError:
        return False
