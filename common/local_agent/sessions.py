"""The sockets of Local API v2 from the agent's side: who is connected, what waits for an ACK, what is sent again."""

from __future__ import annotations

import abc
import logging
from collections.abc import Callable

from iofog_sdk import IoMessage, MessageError
from iofog_sdk.http import frames
from iofog_sdk.http.websocket import Frame, Opcode, encode_frame
from iofog_sdk.links.receipts import Receipt

from .bus import MessageBus
from .faults import Faults

log = logging.getLogger("local_agent")

_RESEND_AFTER_S = 20
_MAX_SENDS = 10


class Session:
    """One registered connection of a microservice.

    Parameters:
        microservice_id: who it is.
        send: writes bytes to its connection; what is written to a connection that has died is lost unnoticed.
    """

    def __init__(self, microservice_id: str, send: Callable[[bytes], None]) -> None:
        self.microservice_id = microservice_id
        self._send = send
        self._pending: bytes | None = None
        self._sent_at = 0.0
        self._sends = 0

    def deliver(self, payload: bytes, now: float, *, repeat: bytes | None = None) -> None:
        """Sends one binary message and remembers it, in place of any other, until an ACK comes.

        Parameters:
            payload: what to send.
            now: monotonic seconds.
            repeat: what to send when no ACK comes, the same by default.
        """
        self._pending, self._sent_at, self._sends = repeat or payload, now, 1
        self.send_binary(payload)

    def send_binary(self, payload: bytes) -> None:
        """Sends one binary message that needs no ACK."""
        self._send(encode_frame(Opcode.BINARY, payload, masked=False))

    def send_pong(self) -> None:
        """Answers the one kind of ping that is answered."""
        self._send(encode_frame(Opcode.PONG, frames.PONG, masked=False))

    def acknowledge(self) -> None:
        """Any ACK clears whatever is waiting."""
        self._pending = None

    def resend_due(self, now: float) -> bool:
        """Sends again what waits too long; true when it has been sent often enough and is given up."""
        if self._pending is None or int(now - self._sent_at) <= _RESEND_AFTER_S:
            return False
        if self._sends >= _MAX_SENDS:
            return True
        self._sent_at, self._sends = now, self._sends + 1
        self.send_binary(self._pending)
        return False


class Sockets(abc.ABC):
    """All sessions of one kind; the newest of a microservice is the one that counts."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}

    def register(self, session: Session) -> None:
        """Puts a session in the place of any older one of its microservice."""
        self.sessions[session.microservice_id] = session

    def is_current(self, session: Session) -> bool:
        """Whether frames of this session are listened to."""
        return self.sessions.get(session.microservice_id) is session

    def remove(self, session: Session) -> None:
        """Forgets a session; a newer one of the same microservice stays."""
        if self.is_current(session):
            del self.sessions[session.microservice_id]

    def on_frame(self, session: Session, frame: Frame, now: float) -> bool:
        """Takes one frame; false when the connection is to be dropped."""
        if frame.opcode == Opcode.CLOSE:
            self.remove(session)
            return False
        if not self.is_current(session):
            return True
        if frame.opcode == Opcode.PING:
            if frame.payload == frames.PING:
                session.send_pong()
        elif frame.opcode == Opcode.BINARY and frame.final and frame.payload:
            self.on_payload(session, frame.payload, now)
        return True

    @abc.abstractmethod
    def on_payload(self, session: Session, payload: bytes, now: float) -> None:
        """Takes the content of one binary frame."""

    def tick(self, now: float) -> None:
        """To be called every 10 s: sends again, gives up."""
        for session in list(self.sessions.values()):
            if session.resend_due(now):
                log.warning("%s does not acknowledge; no more is sent to its socket", session.microservice_id)
                self.remove(session)


class MessageSockets(Sockets):
    """Messages both ways."""

    def __init__(self, bus: MessageBus, now: Callable[[], float], faults: Faults) -> None:
        super().__init__()
        self._bus, self._now, self._faults = bus, now, faults

    def register(self, session: Session) -> None:
        super().register(session)

        def deliver(body: bytes) -> bool:
            session.deliver(frames.msg_frame(body), self._now())
            return True

        self._bus.connect(session.microservice_id, deliver)

    def remove(self, session: Session) -> None:
        if self.is_current(session):
            self._bus.disconnect(session.microservice_id)
        super().remove(session)

    def on_payload(self, session: Session, payload: bytes, now: float) -> None:
        if payload[:1] == frames.ACK:
            session.acknowledge()
        elif payload[0] == frames.MSG:
            try:
                message = IoMessage.from_bytes(frames.msg_body(payload))
            except MessageError as error:
                log.debug("%s: message without receipt: %s", session.microservice_id, error)
                return
            published = self._bus.publish(message)
            if self._faults.garbage:
                session.send_binary(self._faults.garbage)
            elif not self._faults.drop_receipts:
                receipt = frames.receipt_frame(Receipt(published.id, published.timestamp))
                self._faults.later(lambda: session.send_binary(receipt))


class ControlSockets(Sockets):
    """Signals to microservices."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__()
        self._now = now

    def config_changed(self, microservice_id: str) -> None:
        """Tells one microservice."""
        session = self.sessions.get(microservice_id)
        if session is not None:
            session.deliver(bytes((frames.CONFIG_CHANGED,)), self._now())

    def edge_resources_changed(self) -> None:
        """Tells all; what is not acknowledged is repeated as a changed configuration, as the Java agent does."""
        for session in self.sessions.values():
            session.deliver(
                bytes((frames.EDGE_RESOURCES_CHANGED,)), self._now(), repeat=bytes((frames.CONFIG_CHANGED,))
            )

    def on_payload(self, session: Session, payload: bytes, now: float) -> None:
        if payload == frames.ACK:
            session.acknowledge()
