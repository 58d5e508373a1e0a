"""How an MQTT link is set up: out of `IOFOG_LINK=mqtt://…?option=value`."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass

from ..links.identity import Identity, identity_from
from ..links.url import TEXT, Choice, Kinds, Number, check_places, password_of, read_url, tls_of_files

PORTS = {"mqtt": 1883, "mqtts": 8883}
_NOBODY = Identity("default", "unnamed")


@dataclass(frozen=True)
class MqttOptions:
    """All of them; every one but `server`, `host`, `port`, `user` and `password` can be given as `?name=value`.

    Parameters:
        server: `mqtt://host:port` or `mqtts://host:port`, without secrets.
        host, port: the same apart.
        identity: this microservice's names.
        version: of the protocol, `5` or `3.1.1`.
        topic: where readings are published; `{application}`, `{microservice}`, and `{quantity}` to publish each
            quantity by itself.
        results: where results of commands are published.
        commands: where commands are received.
        status: retained: `online`, and `offline` at the end and as last will; "" for none.
        receive: more topic filters that are received, with commas between, for a consumer of readings; "" for none.
            `IOFOG_RECEIVE` where the URL says nothing.
        qos: 0, 1 or 2, for what is published; what is received has 1 at most.
        retain: `true` keeps the last readings at the broker.
        expiry_s: after which the broker drops what it could not deliver, protocol 5 only; 0 for never.
        session_s: for which the broker keeps what is for this microservice while it is away.
        client_id: by default `application-microservice`.
        user, password: if the broker wants them.
        password_file: instead of `password`.
        ca: PEM file of the authority that has signed the broker's certificate.
        certificate, key: PEM files by which this client shows who it is.
        answer_timeout_s: seconds until a server that does not answer is given up.
        receipt_timeout_s: seconds until a missing acknowledgement ends the connection.
        ping_interval_s: seconds between pings.
        window: acknowledgements under way.
        max_payload: bytes of one message, less where a broker of version 5 says so. Larger ones are given up, for a
            broker ends the connection over them.
    """

    server: str = "mqtt://127.0.0.1:1883"
    host: str = "127.0.0.1"
    port: int = 1883
    identity: Identity = _NOBODY
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

    def __repr__(self) -> str:
        return f"MqttOptions({self.server})"  # never a secret into a log

    @property
    def name(self) -> str:
        """The client id."""
        return self.client_id or f"{self.identity.application}-{self.identity.microservice}"

    @property
    def is_v5(self) -> bool:
        """Whether it speaks MQTT 5.0; else 3.1.1."""
        return self.version == "5"

    def filled(self, template: str, microservice: str = "") -> str:
        """A topic with this microservice's names in it, or with another's of its application."""
        return self.identity.filled(template, microservice)

    def secret(self) -> str:
        """The password, read anew each time. Raises OSError, whose `strerror` names the file."""
        return password_of(self.password_file) if self.password_file else self.password

    def tls(self) -> ssl.SSLContext | None:
        """For `mqtts://`; None for plain TCP. Raises OSError, whose `strerror` names option and file."""
        if not self.server.startswith("mqtts:"):
            return None
        return tls_of_files(self.ca, self.certificate, self.key)


_SECONDS = Number(float, 0.1, 3600)
_TOPICS = ("topic", "results", "commands", "status")
_TEXTS = (*_TOPICS, "receive", "client_id", "password_file", "ca", "certificate", "key")
_KINDS: Kinds = {
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


def mqtt_options(chosen: str, environment: Mapping[str, str]) -> MqttOptions:
    """Options out of a URL.

    Parameters:
        chosen: `mqtt://[user[:password]@]host[:port][?name=value&…]` or `mqtts://…`.
        environment: the process's variables, for this microservice's names.

    Raises ValueError, naming the option and the remedy.
    """
    url = read_url(chosen, PORTS, _KINDS)
    for name in _TOPICS:
        if name in url.options:
            _check_topic(name, url.options[name])
    receive = {"receive": url.options.get("receive", environment.get("IOFOG_RECEIVE", ""))}
    _check_filters("receive" if "receive" in url.options else "IOFOG_RECEIVE", receive["receive"])
    return MqttOptions(
        server=url.server,
        host=url.host,
        port=url.port,
        identity=identity_from(environment),
        user=url.user,
        password=url.password,
        **(url.options | receive),
    )


def _check_topic(name: str, topic: str) -> None:
    check_places(name, topic, quantity=name == "topic")
    if not topic.isprintable() or set(topic) & set("+#") or (not topic and name != "status"):
        raise ValueError(f"{name}={topic!r} is no MQTT topic: levels with slashes between, without + and #")


def _check_filters(name: str, filters: str) -> None:
    check_places(name, filters)
    for each in filters.split(","):
        levels = each.split("/")
        mixed = any(level not in ("+", "#") and set(level) & set("+#") for level in levels)
        if not each.isprintable() or mixed or "#" in levels[:-1]:
            raise ValueError(
                f"{name}={each!r} is no MQTT topic filter: levels with slashes between, + for any one of them, "
                "# for all that follow, at the end"
            )
