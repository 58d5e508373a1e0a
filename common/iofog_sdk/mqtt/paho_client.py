"""paho-mqtt clients set up from the options, and the MQTT 5 properties of packets."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any, Literal

from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY, Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from ..errors import NodeUnreachable
from ..links.tls.tls_errors import describe_tls_error, is_of_tls
from .messages import MAX_PACKET_BYTES, RECEIVE_MAXIMUM, Publication
from .options import MqttOptions
from .paho_loop import detach


def new_client(options: MqttOptions) -> Client:
    """A client with user and last will, not connected. Raises NodeUnreachable if the password cannot be read."""
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=options.name,
        protocol=MQTTv5 if options.is_v5 else MQTTv311,
        clean_session=None if options.is_v5 else not options.session_s,
        manual_ack=True,
    )
    client.max_inflight_messages_set(0)  # its own window searches all messages at each acknowledgement
    if options.user:
        try:
            client.username_pw_set(options.user, options.read_password())
        except OSError as error:
            raise NodeUnreachable(f"MQTT: {error.strerror}") from None
    if (will := last_will(options)) is not None:
        client.will_set(will.topic, will.payload, will.qos, will.retain)
    return client


def last_will(options: MqttOptions) -> Publication | None:
    """What is published when the connection ends, None for nothing."""
    if options.will is not None or not options.status:
        return options.will
    return status_message(options, "offline")


def status_message(options: MqttOptions, status: str) -> Publication:
    """The retained status of this client."""
    return Publication(options.expand(options.status), status.encode(), qos=1, retain=True)


async def connect(client: Client, options: MqttOptions) -> None:
    """Opens the connection. Raises NodeUnreachable.

    The library connects in a blocking call: it runs in a daemon thread, so that the process can exit meanwhile.
    """
    loop = asyncio.get_running_loop()
    connected: asyncio.Future[str] = loop.create_future()

    def finish(problem: str) -> None:
        if connected.done():
            detach(client, loop)  # cancelled meanwhile
        else:
            connected.set_result(problem)

    def run() -> None:
        problem = _connect_blocking(client, options)
        with contextlib.suppress(RuntimeError):  # the event loop is closed
            loop.call_soon_threadsafe(finish, problem)

    threading.Thread(target=run, name="mqtt-connect", daemon=True).start()
    if problem := await connected:
        raise NodeUnreachable(f"MQTT: {options.server}: {problem}")


def _connect_blocking(client: Client, options: MqttOptions) -> str:
    """Connects; returns the error message, "" on success."""
    properties = None
    if options.is_v5:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = options.session_s
        properties.ReceiveMaximum = RECEIVE_MAXIMUM
        properties.MaximumPacketSize = MAX_PACKET_BYTES
    clean: bool | Literal[3] = not options.session_s if options.is_v5 else MQTT_CLEAN_START_FIRST_ONLY
    try:
        if context := options.tls_context():
            client.tls_set_context(context)
        client.connect_timeout = options.answer_timeout_s
        client.connect(options.host, options.port, options.ping_interval_s, clean_start=clean, properties=properties)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and options.server.startswith("mqtts:") and is_of_tls(error):
            return describe_tls_error(error, plain="mqtt://", has_certificate=bool(options.certificate))
        return getattr(error, "strerror", None) or str(error)
    return ""


def subscribe_arguments(topic: str, options: MqttOptions, *, echo: bool) -> tuple[str, Any]:
    """Arguments of paho's `subscribe` for one topic; see MqttConnection.subscribe."""
    qos = min(options.qos, 1)
    return topic, SubscribeOptions(qos, noLocal=not echo) if options.is_v5 else qos


def publish_properties(publication: Publication, options: MqttOptions) -> Properties | None:
    """MQTT 5 properties of a publication, None for none."""
    _, _, _, _, expiry_s, content_type, user_properties = publication
    if not options.is_v5 or not (expiry_s or content_type or user_properties):
        return None
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if expiry_s:
        properties.MessageExpiryInterval = expiry_s
    if content_type:
        properties.ContentType = content_type
    if user_properties:
        properties.UserProperty = list(user_properties)
    return properties
