"""The message socket of Local API v2: messages in both directions, with receipts and acknowledgements."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from ..errors import ConnectionLost, LinkError, MessageError, ReceiptTimeout
from ..http import frames
from ..http.reconnecting_websocket import ReconnectingSocket
from ..links.receipts import Outcome, Receipt, post_and_wait
from ..messages.iomessage import IoMessage, find_non_ascii

log = logging.getLogger("iofog_sdk")


class MessageSocket(ReconnectingSocket):
    """Sends and receives ioMessages.

    A receipt is the agent's acknowledgement of one message, with the id it gave the message. It does not say which
    message it is for, so receipts are matched to messages in the order of sending, which the agent keeps. A missing
    receipt would shift all later ones; when the oldest message has waited longer than `receipt_timeout_s`, the
    connection is closed and every message without a receipt fails with a LinkError: it may or may not have arrived.

    Parameters:
        host, port: where the agent listens.
        microservice_id: the UUID this container runs under.
        on_message: called with each message received. It is acknowledged when the call returns: the agent sends
            an unacknowledged message again after 20 to 30 s, but keeps only the newest one.
        receipt_timeout_s: seconds to wait for a receipt.
        options: passed to ReconnectingSocket.
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
        self._awaiting_receipt: deque[tuple[Callable[[Outcome], None], float]] = deque()
        self._receipt_timer: asyncio.TimerHandle | None = None
        self._receipt_error: LinkError | None = None

    def post(self, body: bytes, done: Callable[[Outcome], None]) -> None:
        """Sends one binary ioMessage and calls `done` once: with its receipt, or with a LinkError.

        Does not limit what is in flight: the caller bounds it, or awaits `wait_for_room`.
        """
        connection = self._connection
        if connection is None or not self.connected:
            done(self.last_error or ConnectionLost("message socket: not connected"))
            return
        loop = asyncio.get_running_loop()
        self._awaiting_receipt.append((done, loop.time()))
        connection.send_binary(frames.msg_frame(body))
        if self._receipt_timer is None:
            self._receipt_timer = loop.call_later(self._receipt_timeout_s, self._check_receipts)

    async def send(self, message: IoMessage) -> Receipt:
        """Sends one message and waits for its receipt.

        Raises MessageError when the message breaks a limit of the format or has text that is not ASCII outside
        its content, which the agent would corrupt on delivery; LinkError when no receipt came.
        """
        return await post_and_wait(self.post, encode_for_socket(message))

    async def wait_for_room(self) -> None:
        """Waits until the send buffer has room, or the connection has ended."""
        if self._connection is not None:
            await self._connection.wait_for_room()

    def _on_binary(self, payload: bytes) -> None:
        opcode = payload[0] if payload else None
        try:
            if opcode == frames.RECEIPT:
                receipt = frames.read_receipt(payload)
                self._carried_data = True
                if self._awaiting_receipt:
                    self._awaiting_receipt.popleft()[0](receipt)
                else:
                    log.warning("receipt %s without a message that waits for one", receipt.id)
            elif opcode == frames.MSG:
                message = IoMessage.from_bytes(frames.msg_body(payload))
                self._carried_data = True
                if self._on_message is not None:
                    self._on_message(message)
                self._acknowledge()
        except MessageError as error:
            log.warning("frame from the node dropped: %s", error)
            if opcode == frames.MSG:  # a retransmission would fail the same way
                self._acknowledge()
            elif self._connection is not None:  # later receipts could not be matched any more
                self._connection.abort(str(error))

    def _acknowledge(self) -> None:
        if self._connection is not None:
            self._connection.send_binary(frames.ACK)

    def _on_down(self, error: LinkError) -> None:
        if self._receipt_timer is not None:
            self._receipt_timer.cancel()
            self._receipt_timer = None
        waiting = list(self._awaiting_receipt)
        self._awaiting_receipt.clear()
        error, self._receipt_error = self._receipt_error or error, None
        for done, _ in waiting:
            done(error)

    def _check_receipts(self) -> None:
        self._receipt_timer = None
        if not self._awaiting_receipt or self._connection is None:
            return
        loop = asyncio.get_running_loop()
        waited_s = loop.time() - self._awaiting_receipt[0][1]
        if waited_s < self._receipt_timeout_s:
            left_s = self._receipt_timeout_s - waited_s
            self._receipt_timer = loop.call_later(left_s, self._check_receipts)
            return
        self._receipt_error = ReceiptTimeout(f"message socket: no receipt within {self._receipt_timeout_s:g} s")
        log.warning("%s, %d messages in flight", self._receipt_error, len(self._awaiting_receipt))
        self._connection.abort(str(self._receipt_error))


def encode_for_socket(message: IoMessage) -> bytes:
    """The binary form. Raises MessageError for header text that the Java agent would corrupt when it forwards it."""
    body = message.to_bytes()
    check_for_socket(body)
    return body


def check_for_socket(body: bytes) -> None:
    """Raises MessageError for a binary form that is none, or has text the Java agent would corrupt."""
    name, text = find_non_ascii(body)
    if name:
        raise MessageError(name, "must be ASCII on a socket; put other text into contentdata", text)
