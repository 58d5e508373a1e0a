"""Settings of this service."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from device_bridge import CommandedSettings, Port, Settings
from device_bridge.protocols import RecordField
from iofog_sdk.links import read_identity
from iofog_sdk.mqtt import PORTS, MqttOptions

Qos = Annotated[Literal[0, 1, 2], Meta(description="at most once, at least once, exactly once")]
TimeLimit = Annotated[float, Meta(gt=0, le=3600)]
PASSWORD = "BROKER_PASSWORD"  # noqa: S105 - the variable's name

_DURATIONS = ("session", "ping_interval", "answer_timeout", "receipt_timeout")


class BrokerSettings(Settings, frozen=True, kw_only=True):
    """Where the broker is, and who this is there."""

    renamed: ClassVar[Mapping[str, str]] = {f"{name}_s": name for name in _DURATIONS}

    host: Annotated[str, Meta(min_length=1, description="name or address")]
    port: Annotated[Port | None, Meta(description="by default 1883, with TLS 8883")] = None
    tls: Annotated[bool, Meta(description="whether the connection is encrypted")] = False
    version: Annotated[Literal["5", "3.1.1"], Meta(description="of the protocol")] = "5"
    client_id: Annotated[str, Meta(max_length=100, description="by default application-microservice-bridge")] = ""
    user: Annotated[str, Meta(description="if the broker wants one")] = ""
    password_file: Annotated[
        str, Meta(description=f"file with the password, read for each connection; or the variable {PASSWORD}")
    ] = ""
    ca: Annotated[
        str, Meta(description="PEM file of who signed the broker's certificate; by default the system's")
    ] = ""
    certificate: Annotated[str, Meta(description="PEM file by which this client shows who it is")] = ""
    key: Annotated[str, Meta(description="PEM file of its key, where the certificate's has none")] = ""
    window: Annotated[int, Meta(ge=1, le=1000, description="messages in flight without acknowledgement")] = 20
    session: Annotated[
        int,
        Meta(ge=0, le=1 << 31, description="seconds the broker keeps messages while the bridge is away"),
    ] = 86_400
    ping_interval: Annotated[int, Meta(ge=1, le=3600, description="seconds between pings")] = 30
    answer_timeout: Annotated[TimeLimit, Meta(description="seconds for connecting and subscribing")] = 10.0
    receipt_timeout: Annotated[TimeLimit, Meta(description="seconds for an acknowledgement")] = 15.0

    def options(self, status: str, environment: Mapping[str, str]) -> MqttOptions:
        """As the connection wants them."""
        scheme = "mqtts" if self.tls else "mqtt"
        port = self.port or PORTS[scheme]
        identity = read_identity(environment)
        given = {
            f"{name}_s" if name in _DURATIONS else name: getattr(self, name)
            for name in self.__struct_fields__
            if name not in ("host", "port", "tls")
        }
        # The node's link may be at the same broker: of two clients with one name, each throws the other out.
        given["client_id"] = self.client_id or f"{identity.application}-{identity.microservice}-bridge"
        return MqttOptions(
            server=f"{scheme}://{self.host}:{port}",
            host=self.host,
            port=port,
            identity=identity,
            status=status,
            password="" if self.password_file else environment.get(PASSWORD, ""),
            **given,
        )


class ToMqtt(Settings, frozen=True, kw_only=True):
    """Which messages of ioFog are published, where and how."""

    renamed: ClassVar[Mapping[str, str]] = {"expiry_s": "expiry"}

    messages: Annotated[
        Literal["readings", "results", "other"], Meta(description="readings, results of commands, or all others")
    ] = "readings"
    match: Annotated[str, Meta(description="pattern of names, as `gps:*`, for readings")] = "*"
    topic: Annotated[str, Meta(description="with {source}, {quantity}, {publisher}; {command}, {id} of results")]
    payload: Annotated[
        Literal["senml", "json", "value"],
        Meta(description="of readings: a pack, an object with `value`, or the value alone"),
    ] = "senml"
    qos: Qos = 1
    retain: Annotated[bool, Meta(description="the broker keeps the last one")] = False
    expiry: Annotated[int, Meta(ge=0, le=1 << 31, description="seconds until it is dropped undelivered; MQTT 5")] = 0


class ToIofog(Settings, frozen=True, kw_only=True):
    """Which topics become messages of ioFog, and what messages."""

    topic: Annotated[str, Meta(description="filter, with + and #; {1}, {2} stand for what matched them")]
    becomes: Literal["readings", "command", "message"] = "readings"
    payload: Annotated[
        Literal["json", "value", "senml"], Meta(description="an object, one value, or a SenML pack as it is")
    ] = "json"
    prefix: Annotated[str, Meta(description="put before names, as `{1}/`")] = ""
    fields: Annotated[
        tuple[RecordField, ...], Meta(description="values of an object; by default its numbers and states")
    ] = ()
    command: Annotated[str, Meta(description="name of the command whose `value` the payload is, as `{1}`")] = ""
    to: Annotated[str, Meta(description="microservice that a command or message is for; 3.0 goes by routes")] = ""
    infotype: Annotated[str, Meta(description="of messages")] = "application/octet-stream"
    infoformat: Annotated[str, Meta(description="of messages")] = "binary"


class MqttCommand(Settings, frozen=True, kw_only=True):
    """A command that becomes a publication."""

    topic: Annotated[str, Meta(description="with {value} or other parameters")]
    payload: Annotated[str, Meta(description="with {value} or other parameters")] = "{value}"
    values: Annotated[dict[str, str], Meta(description="how parameters are written, as `{true = 'ON'}`")] = {}
    qos: Qos = 1
    retain: bool = False


class DiscoverySettings(Settings, frozen=True, kw_only=True):
    """How Home Assistant learns of what is published as `value` or `json`."""

    renamed: ClassVar[Mapping[str, str]] = {"expire_after_s": "expire_after"}

    prefix: Annotated[str, Meta(description="`homeassistant`; without one nothing is announced")] = ""
    expire_after: Annotated[
        int, Meta(ge=0, description="seconds without a new value until it becomes unavailable; 0 for never")
    ] = 0


class SparkplugSettings(Settings, frozen=True, kw_only=True):
    """This bridge as an edge node of Sparkplug B."""

    group: Annotated[
        str, Meta(max_length=200, pattern="^[^+/#]*$", description="its group; without one it is no edge node")
    ] = ""
    edge_node: Annotated[
        str, Meta(max_length=200, pattern="^[^+/#]*$", description="its name there; by default the client id")
    ] = ""
    match: Annotated[str, Meta(description="pattern of names of readings, as `gps:*`")] = "*"


class MqttBridgeSettings(CommandedSettings, frozen=True, kw_only=True):
    """Settings of this service, beside those of every service."""

    broker: BrokerSettings
    status: Annotated[str, Meta(description="topic, retained: `online`, `offline` at the end and as last will")] = (
        "iofog/{application}/{microservice}/bridge"
    )
    to_mqtt: Annotated[tuple[ToMqtt, ...], Meta(description="what is published where; see above")] = ()
    to_iofog: Annotated[tuple[ToIofog, ...], Meta(description="which topics become what; see above")] = ()
    commands: Annotated[dict[str, MqttCommand], Meta(description="commands that are published; see above")] = {}
    discovery: DiscoverySettings = DiscoverySettings()
    sparkplug: SparkplugSettings = SparkplugSettings()

    def options(self) -> MqttOptions:
        """Of the connection, in this process."""
        status = "" if self.sparkplug.group else self.status  # births and deaths say the same
        return self.broker.options(status, os.environ)
