"""The two sockets of Local API v2: messages both ways, and the node's control signals."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from ..errors import ConnectionLost, LinkError, MessageError, ReceiptTimeout
from ..http import frames
from ..http.reconnecting_websocket import ReconnectingSocket
from ..links.receipts import Outcome, Receipt, receipt_for
from ..messages.iomessage import IoMessage

log = logging.getLogger("iofog_sdk")


class MessageSocket(ReconnectingSocket):
    """Sends and receives ioMessages.

    The agent handles the messages of one socket in order and a receipt does not say which message it is for, so
    receipts are matched to messages in the order of sending. A missing one would shift all that follow; when the
    oldest message has waited longer than `receipt_timeout_s` the connection is dropped, and every message without
    a receipt ends with a LinkError: its sender knows that it may or may not have arrived.

    Parameters:
        microservice_id: the UUID this container runs under.
        on_message: called with each message received. It is acknowledged when the call returns: the agent sends
            an unacknowledged message again after 20 to 30 s, but remembers only the newest one.
        receipt_timeout_s: seconds to wait for a receipt.
        options: passed on to ReconnectingSocket.
    """

    def __init__(
        self,
        host: str,
        port: int,
        microservice_id: str,
        *,
        on_message: Callable[[IoMessage], None] | None = None,
        receipt_timeout_s: float = 15.0,
        **options: Any,
    ) -> None:
        path = f"/v2/message/socket/id/{microservice_id}"
        super().__init__(host, port, path, name="message socket", **options)
        self._on_message = on_message
        self._receipt_timeout_s = receipt_timeout_s
        self._unreceipted: deque[tuple[Callable[[Outcome], None], float]] = deque()
        self._receipt_timer: asyncio.TimerHandle | None = None
        self._given_up: LinkError | None = None

    def post(self, body: bytes, done: Callable[[Outcome], None]) -> None:
        """Sends one binary ioMessage and calls `done` once: with its receipt, or with a LinkError.

        Not limited by itself: bound what is under way, or await `wait_for_room` now and then.
        """
        connection = self._connection
        if connection is None or not self.connected:
            done(self.last_error or ConnectionLost("message socket: not connected"))
            return
        loop = asyncio.get_running_loop()
        self._unreceipted.append((done, loop.time()))
        connection.send_binary(frames.msg_frame(body))
        if self._receipt_timer is None:
            self._receipt_timer = loop.call_later(self._receipt_timeout_s, self._check_receipts)

    async def send(self, message: IoMessage) -> Receipt:
        """Sends one message and waits for its receipt.

        Raises MessageError when the message breaks a limit of the format or has text that is not ASCII outside
        its content, which the agent would corrupt on delivery; LinkError when no receipt came.
        """
        return await receipt_for(self.post, encode_for_socket(message))

    async def wait_for_room(self) -> None:
        """Returns when the operating system takes more data, or the connection has ended."""
        if self._connection is not None:
            await self._connection.wait_for_room()

    def pause_reading(self) -> None:
        """Stops taking messages; TCP then holds the node back."""
        if self._connection is not None:
            self._connection.pause_reading()

    def resume_reading(self) -> None:
        """Takes messages again."""
        if self._connection is not None:
            self._connection.resume_reading()

    def _on_binary(self, payload: bytes) -> None:
        opcode = payload[0] if payload else None
        try:
            if opcode == frames.RECEIPT:
                receipt = frames.read_receipt(payload)
                self._was_useful = True
                if self._unreceipted:
                    self._unreceipted.popleft()[0](receipt)
                else:
                    log.warning("receipt %s for nothing that was sent", receipt.id)
            elif opcode == frames.MSG:
                message = IoMessage.from_bytes(frames.msg_body(payload))
                self._was_useful = True
                if self._on_message is not None:
                    self._on_message(message)
                self._acknowledge()
        except MessageError as error:
            log.warning("frame from the node dropped: %s", error)
            if opcode == frames.MSG:  # sent again it would be no better
                self._acknowledge()
            elif self._connection is not None:  # without this receipt the order of all others is lost
                self._connection.abort(str(error))

    def _acknowledge(self) -> None:
        if self._connection is not None:
            self._connection.send_binary(frames.ACK)

    def _on_down(self, error: LinkError) -> None:
        if self._receipt_timer is not None:
            self._receipt_timer.cancel()
            self._receipt_timer = None
        waiting = list(self._unreceipted)
        self._unreceipted.clear()
        error, self._given_up = self._given_up or error, None
        for done, _ in waiting:
            done(error)

    def _check_receipts(self) -> None:
        self._receipt_timer = None
        if not self._unreceipted or self._connection is None:
            return
        loop = asyncio.get_running_loop()
        waited_s = loop.time() - self._unreceipted[0][1]
        if waited_s < self._receipt_timeout_s:
            left_s = self._receipt_timeout_s - waited_s
            self._receipt_timer = loop.call_later(left_s, self._check_receipts)
            return
        self._given_up = ReceiptTimeout(f"message socket: no receipt within {self._receipt_timeout_s:g} s")
        log.warning("%s, %d messages without one", self._given_up, len(self._unreceipted))
        self._connection.abort(str(self._given_up))


class ControlSocket(ReconnectingSocket):
    """Receives the node's signals and acknowledges each with the one byte the agent waits for.

    A signal sent while the socket is down is lost, so `on_config_changed` is also called after every connect.

    Parameters:
        microservice_id: the UUID this container runs under.
        on_config_changed: the configuration may differ from the last one fetched.
        on_edge_resources_changed: the same for edge resources; the agent repeats an unacknowledged one as a
            changed configuration.
        options: passed on to ReconnectingSocket.
    """

    def __init__(
        self,
        host: str,
        port: int,
        microservice_id: str,
        *,
        on_config_changed: Callable[[], None],
        on_edge_resources_changed: Callable[[], None] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(host, port, f"/v2/control/socket/id/{microservice_id}", name="control socket", **options)
        self._on_config_changed = on_config_changed
        self._on_edge_resources_changed = on_edge_resources_changed

    def _on_up(self) -> None:
        self._on_config_changed()

    def _on_binary(self, payload: bytes) -> None:
        opcode = payload[0] if payload else None
        if opcode not in (frames.CONFIG_CHANGED, frames.EDGE_RESOURCES_CHANGED):
            return
        if self._connection is not None:
            self._connection.send_binary(frames.ACK)
        if opcode == frames.CONFIG_CHANGED:
            self._on_config_changed()
        elif self._on_edge_resources_changed is not None:
            self._on_edge_resources_changed()


def encode_for_socket(message: IoMessage) -> bytes:
    """The binary form, refusing header text that the Java agent would corrupt when it passes the message on."""
    for name in ("tag", "groupid", "publisher", "authid", "authgroup", "hash", "previoushash", "nonce"):
        _require_ascii(name, getattr(message, name))
    _require_ascii("infotype", message.infotype)
    _require_ascii("infoformat", message.infoformat)
    return message.to_bytes()


def _require_ascii(name: str, text: str) -> None:
    if not text.isascii():
        raise MessageError(name, "must be ASCII on a socket; put other text into contentdata", text)
