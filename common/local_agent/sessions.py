"""The sockets of Local API v2 on the agent's side: connections, unacknowledged messages, resending.

The first byte of a binary message says what it is. A RECEIPT is `0e`, the length of the id, the length of the
timestamp, the id in ASCII, the timestamp in milliseconds. PING and PONG ride in the control frames of WebSocket.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import logging
import socket
import struct
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable

from aiohttp import WSMsgType, web

from iofog_sdk import IoMessage, MessageError

from .bus import BoundedQueue, MessageBus
from .faults import Faults

log = logging.getLogger("local_agent")

PING, PONG, ACK, CONFIG_CHANGED, MSG, EDGE_RESOURCES_CHANGED = (bytes((n,)) for n in (9, 10, 11, 12, 13, 15))
_MSG_PREFIX = 5
RECEIPT = struct.Struct(">BBB32sq")
_RESEND_AFTER_S = 20
_MAX_SENDS = 10


class Session:
    """One registered connection of a microservice.

    What is sent waits in a bounded queue until the connection takes it: a receiver that does not read costs no more
    than that. What is sent to a connection that has died is lost unnoticed.

    Parameters:
        microservice_id: who it is.
        counters: in which messages that fall out of the queue are counted as `dropped`.
    """

    def __init__(self, microservice_id: str, counters: Counter[str]) -> None:
        self.microservice_id = microservice_id
        self._counters = counters
        self._out: BoundedQueue[tuple[WSMsgType, bytes]] = BoundedQueue(
            lambda item: len(item[1]), name=f"socket of {microservice_id}"
        )
        self._more = asyncio.Event()
        self._open = False
        self._pending: bytes | None = None
        self._sent_at = 0.0
        self._sends = 0

    @contextlib.asynccontextmanager
    async def writing_to(self, response: web.WebSocketResponse) -> AsyncIterator[None]:
        """Keeps the session open; what is sent goes to this socket."""
        self._open = True
        writer = asyncio.get_running_loop().create_task(self._write_to(response))
        try:
            yield
        finally:
            self._open = False
            self._out.clear()
            writer.cancel()

    def deliver(self, payload: bytes, now: float, *, repeat: bytes | None = None) -> None:
        """Sends one binary message and keeps it, in place of any other, until it is acknowledged.

        Parameters:
            payload: what to send.
            now: monotonic seconds.
            repeat: what to send when no ACK comes, the same by default.
        """
        self._pending, self._sent_at, self._sends = repeat or payload, now, 1
        self.send_binary(payload)

    def send_binary(self, payload: bytes) -> None:
        """Sends one binary message that needs no ACK."""
        self.send(WSMsgType.BINARY, payload)

    def acknowledge(self) -> None:
        """Any ACK clears whatever is waiting."""
        self._pending = None

    def resend_due(self, now: float) -> bool:
        """Resends a message that waits too long; true when the limit of resends is reached."""
        if self._pending is None or int(now - self._sent_at) <= _RESEND_AFTER_S:
            return False
        if self._sends >= _MAX_SENDS:
            return True
        self._sent_at, self._sends = now, self._sends + 1
        self.send_binary(self._pending)
        return False

    def send(self, kind: WSMsgType, payload: bytes) -> None:
        """Sends one frame."""
        if self._open:
            self._counters["dropped"] += self._out.append((kind, payload))
            self._more.set()

    async def _write_to(self, response: web.WebSocketResponse) -> None:
        with contextlib.suppress(OSError):  # the connection has ended
            while True:
                await self._more.wait()
                self._more.clear()
                _cork(response, True)
                while self._out:
                    kind, payload = self._out.popleft()
                    await response.send_frame(payload, kind)
                _cork(response, False)


def _cork(response: web.WebSocketResponse, on: bool) -> None:
    """aiohttp writes each frame by itself; so they are written together and wake the receiver once."""
    raw = response.get_extra_info("socket")
    if raw is not None and sys.platform == "linux":
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, on)


class Sockets(abc.ABC):
    """All sessions of one kind; only the newest of a microservice is used."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.sessions: dict[str, Session] = {}

    def register(self, session: Session) -> None:
        """Registers a session in place of any older one of its microservice."""
        self.sessions[session.microservice_id] = session

    def remove(self, session: Session) -> None:
        """Unregisters a session; a newer one of the same microservice stays."""
        if self.sessions.get(session.microservice_id) is session:
            del self.sessions[session.microservice_id]

    def on_frame(self, session: Session, kind: WSMsgType, payload: bytes) -> None:
        """Handles one whole frame; those of a session that is not registered are ignored."""
        if self.sessions.get(session.microservice_id) is not session:
            return
        if kind is WSMsgType.PING and payload == PING:
            session.send(WSMsgType.PONG, PONG)
        elif kind is WSMsgType.BINARY:
            self.on_binary(session, payload)

    @abc.abstractmethod
    def on_binary(self, session: Session, payload: bytes) -> None:
        """Handles the content of one binary frame."""

    def tick(self, now: float) -> None:
        """Resends and expires; to be called every 10 s."""
        for session in list(self.sessions.values()):
            if session.resend_due(now):
                log.warning("%s does not acknowledge; nothing more is sent to its socket", session.microservice_id)
                self.remove(session)


class MessageSockets(Sockets):
    """Messages both ways."""

    def __init__(self, bus: MessageBus, now: Callable[[], float], faults: Faults) -> None:
        super().__init__(now)
        self._bus, self._faults = bus, faults

    def register(self, session: Session) -> None:
        super().register(session)

        def deliver(body: bytes) -> None:
            session.deliver(MSG + len(body).to_bytes(4, "big") + body, self._now())

        self._bus.connect(session.microservice_id, deliver)

    def remove(self, session: Session) -> None:
        if self.sessions.get(session.microservice_id) is session:
            self._bus.disconnect(session.microservice_id)
        super().remove(session)

    def on_binary(self, session: Session, payload: bytes) -> None:
        if payload[:1] == ACK:
            session.acknowledge()
        elif payload[:1] == MSG:
            end = _MSG_PREFIX + int.from_bytes(payload[1:_MSG_PREFIX], "big")
            try:
                message = IoMessage.from_bytes(payload[_MSG_PREFIX:end] if end <= len(payload) else b"")
            except MessageError as error:
                log.debug("%s: message without receipt: %s", session.microservice_id, error)
                return
            published = self._bus.publish(message)
            receipt = RECEIPT.pack(14, 32, 8, published.id.encode(), published.timestamp)
            if self._faults.garbage:
                session.send_binary(self._faults.garbage)
            elif self._faults.delay_s and not self._faults.drop_receipts:
                asyncio.get_running_loop().call_later(self._faults.delay_s, session.send_binary, receipt)
            elif not self._faults.drop_receipts:
                session.send_binary(receipt)


class ControlSockets(Sockets):
    """Signals to microservices."""

    def config_changed(self, microservice_id: str) -> None:
        """Signals one microservice."""
        session = self.sessions.get(microservice_id)
        if session is not None:
            session.deliver(CONFIG_CHANGED, self._now())

    def edge_resources_changed(self) -> None:
        """Signals all; without an ACK it is repeated as a changed configuration, as the Java agent does."""
        for session in self.sessions.values():
            session.deliver(EDGE_RESOURCES_CHANGED, self._now(), repeat=CONFIG_CHANGED)

    def on_binary(self, session: Session, payload: bytes) -> None:
        if payload == ACK:
            session.acknowledge()
