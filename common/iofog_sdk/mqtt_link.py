"""Messages over MQTT, for nodes and networks that have a broker instead of an ioFog agent.

The content of an ioMessage is the payload. A SenML pack carries the number of its message in its first record, as
`run` and `seq` (RFC 8428 lets receivers ignore what they do not know), and so does any other JSON object: a receiver
can prove order, gaps and duplicates with either version of the protocol. Each connection has a client of its own:
whatever one keeps would be sent behind the back of whoever sends anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from paho.mqtt.client import (
    MQTT_CLEAN_START_FIRST_ONLY,
    Client,
    ConnectFlags,
    DisconnectFlags,
    MQTTMessage,
    MQTTv5,
    MQTTv311,
)
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from .backoff import Backoff
from .data_plane import DataPlane, Sent
from .errors import ConnectionLost, LinkError, NodeUnreachable
from .message import IoMessage
from .mqtt_options import MqttOptions
from .senml_split import split_by_quantity

_CLOSE_S = 1.0
_FAILED = 0x80
"""Reason codes from here on are errors (MQTT 5.0, 2.4)."""
_SENML = "application/senml+json"
_NUMBERED = re.compile(rb'\[?\{"run":"([\x20-\x21\x23-\x5b\x5d-\x7e]{1,64})","seq":(\d{1,15}),')


class MqttLink(DataPlane):
    """Publishes with a window of acknowledgements, receives commands, and says whether it is there.

    Parameters:
        options: where to, and which topics.
        backoff: waiting times between attempts.
    """

    def __init__(self, options: MqttOptions, *, backoff: Backoff | None = None) -> None:
        super().__init__("MQTT", options.receipt_timeout_s, options.window, backoff)
        self.options = options
        self.microservice_id = options.identity.uuid or options.identity.microservice
        self.description = f"MQTT {options.version} at {options.server}, topic {options.filled(options.topic)}"
        self._client: Client | None = None
        self._lost: asyncio.Future[LinkError] | None = None
        self._by_mid: dict[int, tuple[str, Callable[[], None]]] = {}
        self._split = "{quantity}" in options.topic
        self._topic = options.filled(options.topic)

    @contextlib.asynccontextmanager
    async def _session(self, lost: asyncio.Future[LinkError]) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        accepted: asyncio.Future[None] = loop.create_future()
        client = self._made(loop, lost, accepted)
        try:
            await self._connect(client)
            async with asyncio.timeout(self.options.answer_timeout_s):
                await asyncio.wait((lost, accepted), return_when=asyncio.FIRST_COMPLETED)
            if lost.done():
                raise lost.result()
            async with asyncio.timeout(self.options.answer_timeout_s):
                await self._until_ready(client, lost)
            self._client, self._lost = client, lost
            yield
        except TimeoutError:
            raise NodeUnreachable(f"MQTT: {self.options.server} does not answer") from None
        finally:
            self._client = None
            self._by_mid.clear()
            await self._disconnect(client, lost)

    def _made(
        self, loop: asyncio.AbstractEventLoop, lost: asyncio.Future[LinkError], accepted: asyncio.Future[None]
    ) -> Client:
        options = self.options
        is_v5 = options.version == "5"
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=options.name,
            protocol=MQTTv5 if is_v5 else MQTTv311,
            clean_session=None if is_v5 else not options.session_s,
        )
        client.max_inflight_messages_set(options.window + 8)  # its own queue stays empty: the window is kept here
        if options.user:
            client.username_pw_set(options.user, self._secret())
        if options.status:
            client.will_set(options.filled(options.status), "offline", qos=1, retain=True)

        def lose(error: LinkError) -> None:
            if not lost.done():
                lost.set_result(error)

        def on_connect(_: Any, __: Any, ___: ConnectFlags, reason: ReasonCode, ____: Any) -> None:
            if reason.is_failure:
                lose(NodeUnreachable(f"MQTT: {options.server} refuses user {options.user or '(none)'}: {reason}"))
            elif not accepted.done():
                accepted.set_result(None)

        def on_disconnect(_: Any, __: Any, ___: DisconnectFlags, reason: ReasonCode, ____: Any) -> None:
            lose(ConnectionLost(f"MQTT: {options.server} has closed the connection: {reason}"))

        def on_publish(_: Any, __: Any, mid: int, reason: ReasonCode, ___: Any) -> None:
            topic, done = self._by_mid.pop(mid, ("a message", lambda: None))
            if reason.value >= _FAILED:
                lose(ConnectionLost(f"MQTT: {topic} is refused: {reason}; let this user publish there"))
            else:
                done()

        def on_subscribe(_: Any, __: Any, mid: int, reasons: list[ReasonCode], ___: Any) -> None:
            _, done = self._by_mid.pop(mid, ("", lambda: None))
            done()
            if refused := [str(reason) for reason in reasons if reason.value >= _FAILED]:
                lose(ConnectionLost(f"MQTT: a subscription is refused: {refused[0]}; let this user subscribe"))

        client.on_connect, client.on_disconnect = on_connect, on_disconnect
        client.on_publish, client.on_subscribe = on_publish, on_subscribe
        client.on_message = self._take
        _join(client, loop)
        return client

    async def _connect(self, client: Client) -> None:
        """Opens the connection off the loop, for the library does that blocking; the thread is gone afterwards."""
        options = self.options
        properties = None
        if options.version == "5":
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = options.session_s

        def connect() -> None:
            if context := options.tls():
                client.tls_set_context(context)
            client.connect_timeout = options.answer_timeout_s
            clean: bool | Literal[3] = not options.session_s if properties else MQTT_CLEAN_START_FIRST_ONLY
            client.connect(
                options.host, options.port, options.ping_interval_s, clean_start=clean, properties=properties
            )

        problem = None  # raised below, so that it does not keep the socket of the failed attempt in its traceback
        worker = ThreadPoolExecutor(1, "mqtt-connect")
        try:
            await asyncio.get_running_loop().run_in_executor(worker, connect)
        except ssl.SSLError as error:
            problem = f"MQTT: {options.server}: TLS: {error.reason or error}; check ?ca="
        except (OSError, ValueError) as error:
            detail = getattr(error, "strerror", None) or str(error)
            problem = f"MQTT: {options.server}: {detail}"
        finally:
            worker.shutdown(wait=False)
        if problem:
            raise NodeUnreachable(problem)

    def _secret(self) -> str:
        try:
            return self.options.secret()
        except OSError as error:
            raise NodeUnreachable(f"MQTT: password_file {self.options.password_file}: {error.strerror}") from None

    async def _until_ready(self, client: Client, lost: asyncio.Future[LinkError]) -> None:
        """Subscribed, and known to be there."""
        acknowledged = asyncio.Event()
        left: list[str] = []

        def one_done() -> None:
            left.pop()
            if not left:
                acknowledged.set()

        filters = [self.options.filled(self.options.commands), *self.options.receive.split(",")]
        _, mid = client.subscribe([(each, self.options.qos) for each in filters if each])
        mids = {mid: "commands", self._tell_status(client, "online"): self.options.filled(self.options.status)}
        for number, name in mids.items():
            if number is not None:
                left.append(name)
                self._by_mid[number] = (name, one_done)
        waiting = asyncio.ensure_future(acknowledged.wait())
        try:
            await asyncio.wait((waiting, lost), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if lost.done():
            raise lost.result()

    def _tell_status(self, client: Client, status: str) -> int | None:
        if not self.options.status:
            return None
        return client.publish(self.options.filled(self.options.status), status, qos=1, retain=True).mid

    async def _disconnect(self, client: Client, lost: asyncio.Future[LinkError]) -> None:
        """In order where it can be: the last will is for all other ends."""
        if client.is_connected() and not lost.done():
            self._tell_status(client, "offline")
            client.disconnect()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(lost), _CLOSE_S)
        if (sock := client.socket()) is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(sock.fileno())
            loop.remove_writer(sock.fileno())
            sock.close()

    def _tick(self) -> None:
        if self._client is not None:
            self._client.loop_misc()

    def _pump(self) -> None:
        while self._client is not None and self._waiting and len(self._in_flight) < self._window:
            body, done = self._waiting.popleft()
            message = IoMessage.from_bytes(body)
            sent = self._in_flight.add(f"{message.groupid}.{message.sequencenumber}", done)
            if message.infotype != _SENML:
                self._send(sent, {self.options.filled(self.options.results): _numbered(message, message.contentdata)})
                continue
            parts = split_by_quantity(message.contentdata) if self._split else {"": message.contentdata}
            named = {self._topic.replace("{quantity}", name or "readings"): parts[name] for name in parts}
            self._send(sent, {topic: _numbered(message, content) for topic, content in named.items()})
        if len(self._waiting) < self._window:
            self._room.set()

    def _send(self, sent: Sent, parts: dict[str, bytes]) -> None:
        left = [len(parts)]

        def one_done() -> None:
            left[0] -= 1
            if not left[0]:
                self._in_flight.acknowledge(sent)
                self._pump()

        options = self.options
        properties = None
        if options.version == "5" and options.expiry_s:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.MessageExpiryInterval = options.expiry_s
        for topic, content in parts.items():
            assert self._client is not None  # noqa: S101 - _pump has looked
            info = self._client.publish(topic, content, options.qos, options.retain == "true", properties)
            if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
                if self._lost is not None and not self._lost.done():
                    self._lost.set_result(ConnectionLost(f"MQTT: not sent: {info.rc.name}"))
                return
            self._by_mid[info.mid] = (topic, one_done)

    def _take(self, _: Client, __: object, received: MQTTMessage) -> None:
        # MQTT does not tell when a message was sent: its age counts from here.
        message = IoMessage(id=uuid.uuid4().hex, timestamp=time.time_ns() // 1_000_000, infoformat="utf-8")
        message.contentdata = bytes(received.payload)
        if match := _NUMBERED.match(received.payload):
            message.groupid, message.sequencenumber = match[1].decode(), int(match[2])
            message.infotype = _SENML if received.payload[:1] == b"[" else "application/json"
        self._inbox.put(message)


def _numbered(message: IoMessage, content: bytes) -> bytes:
    start = b"[{" if content.startswith(b"[{") else b"{"
    if not message.groupid or not content.startswith(start + b'"') or set(message.groupid) & set('"\\'):
        return content
    number = b'%b"run":"%b","seq":%d,' % (start, message.groupid.encode(), message.sequencenumber)
    return number + content[len(start) :]


def _join(client: Client, loop: asyncio.AbstractEventLoop) -> None:
    """Has the loop drive a client. While it connects, in a thread, it calls from there."""
    here = threading.get_ident()

    def call(act: Callable[..., object], *arguments: Any) -> None:
        if threading.get_ident() == here:
            act(*arguments)
        else:
            loop.call_soon_threadsafe(act, *arguments)

    def read() -> None:
        client.loop_read()
        while isinstance(sock := client.socket(), ssl.SSLSocket) and sock.pending():
            client.loop_read()

    def on_open(_: Client, __: object, sock: Any) -> None:
        call(loop.add_reader, sock.fileno(), read)

    def on_close(_: Client, __: object, sock: Any) -> None:
        call(loop.remove_reader, sock.fileno())
        call(loop.remove_writer, sock.fileno())

    def on_write(_: Client, __: object, sock: Any) -> None:
        call(loop.add_writer, sock.fileno(), client.loop_write)

    def on_written(_: Client, __: object, sock: Any) -> None:
        call(loop.remove_writer, sock.fileno())

    client.on_socket_open, client.on_socket_close = on_open, on_close
    client.on_socket_register_write, client.on_socket_unregister_write = on_write, on_written
