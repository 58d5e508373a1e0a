"""The client of the official SDK: the same calls, on every kind of node that `iofog_sdk.connect` knows."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Coroutine, Mapping
from typing import Any

import iofog_sdk
from iofog_sdk import Outcome, Receipt, connect

from . import iomessage
from ._node import Node
from ._threads import ListenerThread, LoopThread
from .exception import IoFogException, IoFogHttpException, as_iofog_exceptions
from .iomessage import IoMessage
from .listener import IoFogControlWsListener, IoFogMessageWsListener

__all__ = ["Client", "IoFogControlWsListener", "IoFogException", "IoFogHttpException", "IoFogMessageWsListener"]

log = logging.getLogger("iofog")

_PORT = 54321
_AGENT = "iofog"
_FALSE = ("", "0", "false", "no", "off")
_QUERY = ("timeframestart", "timeframeend", "publishers")
_MAX_PENDING = 1000
"""Messages sent by socket whose receipt has not been passed to the listener yet."""
_ROOM_S = 30.0
_UNKNOWN = object()


class Client:
    """A microservice's client. Without arguments the environment says where the node is, as in a container.

    Every call has a time limit, and raises IoFogException when it fails. Callable from any thread.

    Parameters:
        id: UUID of the microservice; `SELFNAME` by default.
        ssl: false values only: nothing vouches for the certificate that an agent with TLS makes at its start.
        host, port: of a Java agent. Given, they win over the environment; `iofog`, 54321.

    Raises IoFogException when neither says how to reach a node.
    """

    def __init__(
        self,
        id: str | None = None,  # noqa: A002 - the official name
        ssl: bool | str | None = None,
        host: str | None = None,
        port: int | str | None = None,
    ) -> None:
        self.ssl = False
        if str(ssl or os.environ.get("SSL", "")).strip().lower() not in _FALSE:
            raise IoFogException("ssl: agents serve plain text to their microservices. Leave ssl and SSL out")
        with as_iofog_exceptions():
            self.host, self.port = host or _AGENT, int(port or _PORT)
            link = connect(_environment(id, host, port))
        self.id = id or link.microservice_id
        self._node = Node(link)
        self._loop = LoopThread()
        self._messages: tuple[ListenerThread, IoFogMessageWsListener] | None = None
        self._control: tuple[ListenerThread, IoFogControlWsListener] | None = None
        self._config: object = _UNKNOWN
        self.messages_without_receipt = 0
        """Messages sent by socket whose connection was lost before their receipt."""
        self._connection_loss: Outcome | None = None
        self._room = threading.BoundedSemaphore(_MAX_PENDING)

    def get_config(self) -> Any:
        """The microservice's configuration, decoded."""
        with as_iofog_exceptions():
            text = self._config = self._loop.run(self._node.get_config())
            if not isinstance(text, str):
                raise IoFogException("the node has no configuration for this microservice")
            return json.loads(text)

    def get_edge_resources(self) -> Any:
        """The node's edge resources, decoded (Java agents from 3.0)."""
        with as_iofog_exceptions():
            return self._loop.run(self._node.edge_resources())

    def get_next_messages(self) -> list[IoMessage]:
        """Messages that wait for this microservice; none while a message listener is given them."""
        with as_iofog_exceptions():
            return [iomessage.from_sdk(message) for message in self._loop.run(self._node.next_messages())]

    def get_next_messages_from_publishers_within_timeframe(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """Kept messages of publishers that route to this microservice (Java agents of ioFog 3.0 to 3.6).

        Parameters:
            query: `timeframestart` and `timeframeend`, both included, in ms since 1970, and `publishers`, UUIDs.
        """
        if missing := [name for name in _QUERY if name not in query]:
            raise IoFogException(f"the query has no {', '.join(missing)}")
        start, end, publishers = (query[name] for name in _QUERY)
        with as_iofog_exceptions():
            found = self._loop.run(self._node.query(start, end, publishers))
            return {
                "timeframestart": start,
                "timeframeend": found[-1].timestamp if found else end,
                "messages": [iomessage.from_sdk(message) for message in found],
            }

    def post_message(self, io_msg: IoMessage) -> dict[str, Any]:
        """Sends a message and waits for its receipt: `id` and `timestamp` (ms since 1970) that the node gave it."""
        with as_iofog_exceptions():
            receipt = self._loop.run(self._node.post(self._outgoing(io_msg)))
            return {"id": receipt.id, "timestamp": receipt.timestamp}

    def establish_message_ws_connection(self, listener: IoFogMessageWsListener | None) -> None:
        """Connects in the background, again after every loss, and gives messages to the listener."""
        listener = IoFogMessageWsListener() if listener is None else listener
        _check_listener(listener, IoFogMessageWsListener, self._messages)
        thread = ListenerThread("iofog messages")

        async def handle(message: iofog_sdk.IoMessage) -> None:
            await thread.call(lambda: listener.on_message(iomessage.from_sdk(message)))

        self._messages = thread, listener  # before the first message: the listener may answer it
        try:
            self._establish(thread, self._node.receive(handle))
        except BaseException:
            self._messages = None
            raise

    def establish_control_ws_connection(self, listener: IoFogControlWsListener | None) -> None:
        """The same for signals of the node."""
        listener = IoFogControlWsListener() if listener is None else listener
        _check_listener(listener, IoFogControlWsListener, self._control)
        thread = ListenerThread("iofog control")

        def on_config(text: str | None) -> None:
            known, self._config = self._config, text
            if text != known and (text is not None or known is not _UNKNOWN):
                thread.put_once(listener.on_control_signal)

        def on_edge_resources() -> None:
            thread.put_once(listener.on_edge_resources_signal)

        self._establish(thread, self._node.follow(on_config, on_edge_resources))
        self._control = thread, listener

    def post_message_via_socket(self, io_msg: IoMessage) -> None:
        """Sends a message over the connection; the listener gets its receipt.

        Waits for the connection, and while a thousand messages have no receipt yet, for half a minute each at most. A
        message whose connection is lost before its receipt may or may not have arrived: it is counted.
        """
        if self._messages is None:
            raise IoFogException("Establish message websocket connection first!")
        thread, listener = self._messages
        io_msg.id, io_msg.timestamp = "", 0
        with as_iofog_exceptions():
            message = self._outgoing(io_msg)
            is_counted = not thread.is_current  # which would wait for itself
            if is_counted and not self._room.acquire(timeout=_ROOM_S):
                raise IoFogException(f"{_MAX_PENDING} messages have no receipt, or the listener takes none")

            def leave_room() -> None:
                if is_counted:
                    self._room.release()

            def report(receipt: Receipt) -> None:
                leave_room()
                listener.on_receipt(receipt.id, receipt.timestamp)

            def done(outcome: Outcome) -> None:
                if isinstance(outcome, Receipt):
                    thread.put(lambda: report(outcome))
                else:
                    leave_room()
                    self.messages_without_receipt += 1
                    if self._connection_loss is not outcome:
                        self._connection_loss = outcome
                        log.warning("messages sent by socket have no receipt, and may be lost: %s", outcome)

            try:
                self._loop.run(self._node.send(message, done))
            except BaseException:
                leave_room()
                raise

    def close(self) -> None:
        """Ends connections, listeners' threads and calls that wait. The official SDK has no such call."""
        try:
            self._loop.run(self._node.close())
        except IoFogException:
            return
        finally:
            for connection in (self._messages, self._control):
                if connection is not None:
                    connection[0].close()
        self._loop.close()

    def _establish(self, thread: ListenerThread, work: Coroutine[Any, Any, None]) -> None:
        try:
            with as_iofog_exceptions():
                self._loop.run(work)
        except BaseException:
            thread.close()  # else it would keep the process running
            raise

    def _outgoing(self, io_msg: IoMessage) -> iofog_sdk.IoMessage:
        io_msg.version = io_msg.version or 4
        io_msg.publisher = self.id
        return iomessage.to_sdk(io_msg)


def _environment(microservice_id: str | None, host: str | None, port: int | str | None) -> dict[str, str]:
    variables = dict(os.environ)
    if host or port:
        for name in ("IOFOG_LINK", "EDGELET_MICROSERVICE_UID"):
            variables.pop(name, None)
        variables["IOFOG_AGENT"] = f"{host or _AGENT}:{port or _PORT}"
    if microservice_id:
        variables["SELFNAME"] = microservice_id
    return variables


def _check_listener(listener: object, kind: type, established: object) -> None:
    if not isinstance(listener, kind):
        raise IoFogException(f"Invalid listener instance: {type(listener).__name__} is no {kind.__name__}")
    if established is not None:
        raise IoFogException("Connection has been already established")
