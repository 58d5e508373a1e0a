"""One connection to an MQTT broker, driven by the event loop.

Whoever publishes keeps what has no acknowledgement; a connection never sends anything again. It receives with quality
of service 1 at most, and acknowledges a message when it has been taken: what comes again after a loss is told by
its packet identifier, which a broker keeps (MQTT 5.0, 4.4).
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
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
from paho.mqtt.subscribeoptions import SubscribeOptions

from .errors import ConnectionLost, LinkError, NodeUnreachable
from .mqtt_loop import join
from .mqtt_messages import RECEIVE_MAXIMUM, Delivered, Publication, Recent
from .mqtt_options import MqttOptions

MAX_PACKET_BYTES = 1024 * 1024
"""Of what is received: a broker of version 5 does not send more, with an older one it ends the connection."""
_CLOSE_S = 1.0
_HEADERS = 2048
"""Room for topic and properties in a packet."""
_FAILED = 0x80
"""Reason codes from here on are errors (MQTT 5.0, 2.4)."""


class MqttConnection:
    """Opens, tells its status, subscribes, publishes, receives, and says when it has ended.

    Parameters:
        options: where to, as whom.
        lost: is given the reason when it ends by itself.
        take: takes each message that comes.
        recent: of the connections before.
    """

    def __init__(
        self,
        options: MqttOptions,
        lost: asyncio.Future[LinkError],
        take: Callable[[Delivered], None],
        recent: Recent | None = None,
    ) -> None:
        self.options, self._lost, self._take = options, lost, take
        self._recent = recent or Recent()
        self._loop = asyncio.get_running_loop()
        self._is_v5 = options.version == "5"
        self._accepted: asyncio.Future[None] = self._loop.create_future()
        self._by_mid: dict[int, tuple[str, Callable[[], None]]] = {}
        self.max_payload = options.max_payload
        """Bytes that one publication can have."""
        self._client = self._made()

    async def open(self) -> None:
        """Returns when the broker has accepted it and knows its status. Raises LinkError."""
        try:
            async with asyncio.timeout(2 * self.options.answer_timeout_s):
                await self._connect()
                await self._or_lost(self._accepted)
                if self.options.status:
                    await self._acknowledged(self._status("online"))
        except TimeoutError:
            raise NodeUnreachable(f"MQTT: {self.options.server} does not answer") from None

    async def subscribe(self, filters: Sequence[str], *, echo: bool = True) -> None:
        """Returns when the broker has acknowledged it. Raises LinkError.

        Parameters:
            filters: topics, with wildcards.
            echo: whether to get what one has published oneself; version 3.1.1 always gives it.
        """
        if not filters:
            return
        qos = min(self.options.qos, 1)
        if self._is_v5:
            wanted: list[Any] = [(each, SubscribeOptions(qos, noLocal=not echo)) for each in filters]
        else:
            wanted = [(each, qos) for each in filters]
        answered: asyncio.Future[None] = self._loop.create_future()
        _, mid = self._client.subscribe(wanted)
        self._by_mid[mid or 0] = (", ".join(filters), partial(_resolve, answered))
        try:
            async with asyncio.timeout(self.options.answer_timeout_s):
                await self._or_lost(answered)
        except TimeoutError:
            raise NodeUnreachable(f"MQTT: {self.options.server} does not answer") from None

    def publish(self, publications: Sequence[Publication], done: Callable[[], None]) -> None:
        """Sends them; `done` is called when the broker has acknowledged all, never if the connection is lost."""
        left = len(publications)
        if not left:
            done()

        def counted() -> None:
            nonlocal left
            left -= 1
            if not left:
                done()

        one_done = done if left == 1 else counted
        for each in publications:
            info = self._client.publish(each.topic, each.payload, each.qos, each.retain, self._properties(each))
            if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
                self.lose(ConnectionLost(f"MQTT: not sent: {info.rc.name}"))
                return
            self._by_mid[info.mid] = (each.topic, one_done)

    def tick(self) -> None:
        """Pings when it is time; to be called about once a second."""
        self._client.loop_misc()

    def lose(self, error: LinkError) -> None:
        """Gives the connection up for this reason."""
        if not self._lost.done():
            self._lost.set_result(error)

    async def close(self) -> None:
        """Ends it in order where it can be: the last will is for all other ends."""
        client = self._client
        if client.is_connected() and not self._lost.done():
            with contextlib.suppress(LinkError, TimeoutError):
                async with asyncio.timeout(_CLOSE_S):
                    if self.options.status:
                        await self._acknowledged(self._status("offline"))
                    client.disconnect()
                    await asyncio.wait((self._lost,))
        if (sock := client.socket()) is not None:
            self._loop.remove_reader(sock.fileno())
            self._loop.remove_writer(sock.fileno())
            sock.close()
        self._by_mid.clear()

    def _made(self) -> Client:
        options = self.options
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=options.name,
            protocol=MQTTv5 if self._is_v5 else MQTTv311,
            clean_session=None if self._is_v5 else not options.session_s,
            manual_ack=True,
        )
        client.max_inflight_messages_set(options.window + 8)  # its own queue stays empty: callers keep the window
        if options.user:
            client.username_pw_set(options.user, self._secret())
        if options.status:
            client.will_set(options.filled(options.status), "offline", qos=1, retain=True)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_publish, client.on_subscribe = self._on_publish, self._on_subscribe
        client.on_message = self._on_message
        join(client, self._loop)
        return client

    def _on_connect(self, _: Any, __: Any, ___: ConnectFlags, reason: ReasonCode, told: Properties | None) -> None:
        server, user = self.options.server, self.options.user or "(none)"
        if reason.is_failure:
            self.lose(NodeUnreachable(f"MQTT: {server} refuses user {user}: {reason}"))
        else:
            limit = getattr(told, "MaximumPacketSize", self.max_payload + _HEADERS)
            self.max_payload = min(self.max_payload, limit - _HEADERS)
            _resolve(self._accepted)

    def _on_disconnect(self, _: Any, __: Any, ___: DisconnectFlags, reason: ReasonCode, ____: Any) -> None:
        self.lose(ConnectionLost(f"MQTT: {self.options.server} has closed the connection: {reason}"))

    def _on_publish(self, _: Any, __: Any, mid: int, reason: ReasonCode, ___: Any) -> None:
        topic, done = self._by_mid.pop(mid, ("a message", lambda: None))
        if reason.value >= _FAILED:
            self.lose(ConnectionLost(f"MQTT: {topic} is refused: {reason}; let this user publish there"))
        else:
            done()

    def _on_subscribe(self, _: Any, __: Any, mid: int, reasons: list[ReasonCode], ___: Any) -> None:
        filters, done = self._by_mid.pop(mid, ("", lambda: None))
        if refused := [str(reason) for reason in reasons if reason.value >= _FAILED]:
            remedy = "let this user subscribe"
            self.lose(ConnectionLost(f"MQTT: a subscription to {filters} is refused: {refused[0]}; {remedy}"))
        done()

    def _on_message(self, client: Client, _: object, message: MQTTMessage) -> None:
        acknowledge = partial(self._taken, client, message)
        if self._recent.holds(message):
            acknowledge()
        elif len(message.payload) > MAX_PACKET_BYTES:
            self.lose(ConnectionLost(f"MQTT: {len(message.payload)} bytes on {message.topic}, which is too much"))
        else:
            notes = tuple(getattr(message.properties, "UserProperty", ()))
            self._take(
                Delivered(message.topic, bytes(message.payload), message.retain, notes, message.qos > 0, acknowledge)
            )

    def _taken(self, client: Client, message: MQTTMessage) -> None:
        if message.qos:
            self._recent.add(message)
            if not self._lost.done():
                client.ack(message.mid, message.qos)

    async def _connect(self) -> None:
        """Opens the connection off the loop, for the library does that blocking; the thread is gone afterwards."""
        options, client = self.options, self._client
        properties = None
        if self._is_v5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = options.session_s
            properties.ReceiveMaximum = RECEIVE_MAXIMUM
            properties.MaximumPacketSize = MAX_PACKET_BYTES

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
            await self._loop.run_in_executor(worker, connect)
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

    def _status(self, status: str) -> Publication:
        return Publication(self.options.filled(self.options.status), status.encode(), qos=1, retain=True)

    async def _acknowledged(self, publication: Publication) -> None:
        answered: asyncio.Future[None] = self._loop.create_future()
        self.publish([publication], partial(_resolve, answered))
        await self._or_lost(answered)

    async def _or_lost(self, answered: asyncio.Future[None]) -> None:
        await asyncio.wait((answered, self._lost), return_when=asyncio.FIRST_COMPLETED)
        if self._lost.done():
            raise self._lost.result()

    def _properties(self, publication: Publication) -> Properties | None:
        _, _, _, _, expiry_s, content_type, notes = publication
        if not self._is_v5 or not (expiry_s or content_type or notes):
            return None
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if expiry_s:
            properties.MessageExpiryInterval = expiry_s
        if content_type:
            properties.ContentType = content_type
        if notes:
            properties.UserProperty = list(notes)
        return properties


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
