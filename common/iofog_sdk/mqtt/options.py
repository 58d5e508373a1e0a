"""Options of an MQTT link, from `IOFOG_LINK=mqtt://…?option=value`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..links.identity import Identity, read_identity
from ..links.url import TEXT, Choice, Number, OptionTypes, check_placeholders, parse_url

if TYPE_CHECKING:
    import ssl

    from .messages import Publication

PORTS = {"mqtt": 1883, "mqtts": 8883}
_UNNAMED = Identity("default", "unnamed")


@dataclass(frozen=True)
class MqttOptions:
    """Options of an MQTT link; all but `server` to `identity`, `user` and `password` can be set by `?name=value`.

    Parameters:
        server: `mqtt://host:port` or `mqtts://host:port`, without secrets.
        host, port: the parts of `server`.
        identity: this microservice's names.
        version: of the protocol, `5` or `3.1.1`.
        topic: topic of readings, with the placeholders `{application}`, `{microservice}`, and `{quantity}` to publish
            each quantity separately.
        results: topic of the results of commands.
        commands: topic of the commands for this microservice.
        status: topic of the retained status: `online`, and `offline` on disconnect and as last will; "" for none.
        receive: additional topic filters to receive, separated by commas, for a consumer of readings; "" for none.
            Default: `IOFOG_RECEIVE`.
        qos: 0, 1 or 2, for publications; subscriptions use 1 at most.
        retain: `true` makes the broker keep the last readings.
        expiry_s: seconds after which the broker drops an undelivered message, MQTT 5 only; 0 for never.
        session_s: seconds for which the broker keeps the session of this client while it is not connected.
        client_id: by default `application-microservice`.
        user, password: for brokers that require them.
        password_file: file to read instead of `password`.
        ca: PEM file of the authority that signed the broker's certificate.
        certificate, key: PEM files that authenticate this client.
        answer_timeout_s: seconds to wait for the broker's replies.
        receipt_timeout_s: seconds until a missing acknowledgement closes the connection.
        ping_interval_s: seconds between pings.
        window: largest number of acknowledgements in flight.
        max_payload: largest payload, bytes; less if an MQTT 5 broker states less. Larger messages fail, as a broker
            would close the connection over them.
        will: published at the end of the connection, and by the broker when it is lost, instead of the status.
    """

    server: str = "mqtt://127.0.0.1:1883"
    host: str = "127.0.0.1"
    port: int = 1883
    identity: Identity = _UNNAMED
    version: str = "5"
    topic: str = "iofog/{application}/{microservice}/readings"
    results: str = "iofog/{application}/{microservice}/results"
    commands: str = "iofog/{application}/{microservice}/commands"
    status: str = "iofog/{application}/{microservice}/status"
    receive: str = ""
    qos: int = 1
    retain: str = "false"
    expiry_s: int = 0
    session_s: int = 86_400
    client_id: str = ""
    user: str = ""
    password: str = ""
    password_file: str = ""
    ca: str = ""
    certificate: str = ""
    key: str = ""
    answer_timeout_s: float = 10.0
    receipt_timeout_s: float = 15.0
    ping_interval_s: int = 15
    window: int = 20
    max_payload: int = 1024 * 1024
    will: Publication | None = None

    def __repr__(self) -> str:
        return f"MqttOptions({self.server})"  # never a secret into a log

    @property
    def name(self) -> str:
        """The client id."""
        return self.client_id or f"{self.identity.application}-{self.identity.microservice}"

    @property
    def is_v5(self) -> bool:
        """Whether the protocol is MQTT 5.0, else 3.1.1."""
        return self.version == "5"

    def expand(self, template: str, microservice: str = "") -> str:
        """A topic with the names of this microservice, or of another one of its application."""
        return self.identity.expand(template, microservice)

    def read_password(self) -> str:
        """The password; its file is read at each call. Raises OSError, whose `strerror` names the file."""
        if not self.password_file:
            return self.password
        from ..links.tls.credential_files import read_password  # noqa: PLC0415 - imports ssl

        return read_password(self.password_file)

    def tls_context(self) -> ssl.SSLContext | None:
        """TLS settings for `mqtts://`, None for plain TCP. Raises OSError, whose `strerror` names option and file."""
        if not self.server.startswith("mqtts:"):
            return None
        from ..links.tls.credential_files import create_tls_context  # noqa: PLC0415

        return create_tls_context(self.ca, self.certificate, self.key)


_SECONDS = Number(float, 0.1, 3600)
_TOPICS = ("topic", "results", "commands", "status")
_TEXTS = (*_TOPICS, "receive", "client_id", "password_file", "ca", "certificate", "key")
_OPTIONS: OptionTypes = {
    **dict.fromkeys(_TEXTS, TEXT),
    "version": Choice(("5", "3.1.1")),
    "retain": Choice(("true", "false")),
    "qos": Number(int, 0, 2),
    "expiry_s": Number(int, 0, 1 << 31),
    "session_s": Number(int, 0, 1 << 31),
    "window": Number(int, 1, 1000),
    "max_payload": Number(int, 128, 1 << 28),
    "answer_timeout_s": _SECONDS,
    "receipt_timeout_s": _SECONDS,
    "ping_interval_s": Number(int, 1, 3600),
}


def parse_mqtt_options(url: str, environment: Mapping[str, str]) -> MqttOptions:
    """Options from a URL.

    Parameters:
        url: `mqtt://[user[:password]@]host[:port][?name=value&…]` or `mqtts://…`.
        environment: the process's variables, for this microservice's names.

    Raises ValueError, naming the option and the remedy.
    """
    parsed = parse_url(url, PORTS, _OPTIONS)
    for name in _TOPICS:
        if name in parsed.options:
            _check_topic(name, parsed.options[name])
    receive = {"receive": parsed.options.get("receive", environment.get("IOFOG_RECEIVE", ""))}
    _check_filters("receive" if "receive" in parsed.options else "IOFOG_RECEIVE", receive["receive"])
    return MqttOptions(
        server=parsed.server,
        host=parsed.host,
        port=parsed.port,
        identity=read_identity(environment),
        user=parsed.user,
        password=parsed.password,
        **(parsed.options | receive),
    )


def _check_topic(name: str, topic: str) -> None:
    check_placeholders(name, topic, quantity=name == "topic")
    if not topic.isprintable() or set(topic) & set("+#") or (not topic and name != "status"):
        raise ValueError(f"{name}={topic!r} is not an MQTT topic: levels separated by slashes, without + and #")


def _check_filters(name: str, filters: str) -> None:
    check_placeholders(name, filters)
    for each in filters.split(","):
        levels = each.split("/")
        mixed = any(level not in ("+", "#") and set(level) & set("+#") for level in levels)
        if not each.isprintable() or mixed or "#" in levels[:-1]:
            raise ValueError(
                f"{name}={each!r} is not an MQTT topic filter: levels separated by slashes, + for any one level, "
                "# as the last level for all that follow"
            )
