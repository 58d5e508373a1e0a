"""Clients of paho-mqtt as the options ask for them, and what each packet says besides its topic and payload."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from typing import Any, Literal

from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY, Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from ..errors import NodeUnreachable
from .messages import MAX_PACKET_BYTES, RECEIVE_MAXIMUM, Publication
from .options import MqttOptions
from .paho_loop import drop


def new_client(options: MqttOptions) -> Client:
    """A client that is not connected yet, with user and last will. Raises NodeUnreachable without its password."""
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=options.name,
        protocol=MQTTv5 if options.is_v5 else MQTTv311,
        clean_session=None if options.is_v5 else not options.session_s,
        manual_ack=True,
    )
    client.max_inflight_messages_set(0)  # a window of its own would look through all messages for each that ends
    if options.user:
        try:
            client.username_pw_set(options.user, options.secret())
        except OSError as error:
            raise NodeUnreachable(f"MQTT: {error.strerror}") from None
    if options.status:
        client.will_set(options.filled(options.status), "offline", qos=1, retain=True)
    return client


async def connect(client: Client, options: MqttOptions) -> None:
    """Opens the connection. Raises NodeUnreachable.

    The library does that blocking: in a thread that is gone afterwards, and that nobody waits for at the end.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[str] = loop.create_future()

    def end(problem: str) -> None:
        if ended.done():
            drop(client, loop)  # it has come after all, but too late
        else:
            ended.set_result(problem)

    def work() -> None:
        problem = _connected(client, options)
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(end, problem)

    threading.Thread(target=work, name="mqtt-connect", daemon=True).start()
    if problem := await ended:
        raise NodeUnreachable(f"MQTT: {options.server}: {problem}")


def _connected(client: Client, options: MqttOptions) -> str:
    """What stands against it."""
    properties = None
    if options.is_v5:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = options.session_s
        properties.ReceiveMaximum = RECEIVE_MAXIMUM
        properties.MaximumPacketSize = MAX_PACKET_BYTES
    clean: bool | Literal[3] = not options.session_s if options.is_v5 else MQTT_CLEAN_START_FIRST_ONLY
    try:
        if context := options.tls():
            client.tls_set_context(context)
        client.connect_timeout = options.answer_timeout_s
        client.connect(options.host, options.port, options.ping_interval_s, clean_start=clean, properties=properties)
    except ssl.SSLError as error:
        return f"TLS: {error.reason or error}; check ?ca="
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    return ""


def subscription(topic: str, options: MqttOptions, *, echo: bool) -> tuple[str, Any]:
    """What paho's `subscribe` is to be given for a topic; see MqttConnection.subscribe."""
    qos = min(options.qos, 1)
    return topic, SubscribeOptions(qos, noLocal=not echo) if options.is_v5 else qos


def properties_of(publication: Publication, options: MqttOptions) -> Properties | None:
    """What version 5 says of a publication."""
    _, _, _, _, expiry_s, content_type, notes = publication
    if not options.is_v5 or not (expiry_s or content_type or notes):
        return None
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if expiry_s:
        properties.MessageExpiryInterval = expiry_s
    if content_type:
        properties.ContentType = content_type
    if notes:
        properties.UserProperty = list(notes)
    return properties
