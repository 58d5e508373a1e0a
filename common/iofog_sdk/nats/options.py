"""Options of a NATS link, from `IOFOG_LINK=nats://…?option=value` or from variables that the node sets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..links.identity import Identity, read_identity
from ..links.url import TEXT, Number, OptionTypes, check_placeholders, parse_url

if TYPE_CHECKING:
    import ssl

DEFAULT_PORT = 4222
FALLBACK = f"nats://nats.default.svc.bridge.local:{DEFAULT_PORT}"
"""Edgelet's name for its NATS server, used where the node sets no NATS_SERVER_URL (before Controller 3.8.2)."""

_UNNAMED = Identity("default", "unnamed")


@dataclass(frozen=True)
class NatsOptions:
    """Options of a NATS link; all but `server`, `identity`, `user` and `password` can be set by `?name=value`.

    Parameters:
        server: `nats://host:port` or `tls://host:port`, without secrets.
        identity: this microservice's names.
        subject: subject of readings, with the placeholders `{application}`, `{microservice}`, and `{quantity}` to
            publish each quantity separately.
        commands: subject of the commands for this microservice, which the stream stores.
        requests: subject of commands sent as NATS requests, which get a reply.
        receive: additional subject to receive, for a consumer of readings; "" for none. Default: `IOFOG_RECEIVE`.
        stream: JetStream stream that stores readings and commands, created if it does not exist.
        max_bytes: size limit of the stream if it is created; then the oldest messages are discarded.
        user, password: for servers that require them.
        password_file: file to read instead of `password`.
        credentials: `.creds` file.
        ca: PEM file of the authority that signed the server's certificate.
        certificate, key: PEM files that authenticate this client; the key may be in the certificate's file.
        answer_timeout_s: seconds to wait for the server's replies while connecting.
        receipt_timeout_s: seconds until a missing acknowledgement closes the connection.
        ping_interval_s: seconds between pings.
        window: largest number of acknowledgements in flight.
    """

    server: str = FALLBACK
    identity: Identity = _UNNAMED
    subject: str = "iofog.readings.{application}.{microservice}"
    commands: str = "iofog.commands.{application}.{microservice}"
    requests: str = "iofog.requests.{application}.{microservice}"
    receive: str = ""
    stream: str = "IOFOG"
    max_bytes: int = 256 * 1024 * 1024
    user: str = ""
    password: str = ""
    password_file: str = ""
    credentials: str = ""
    ca: str = ""
    certificate: str = ""
    key: str = ""
    answer_timeout_s: float = 10.0
    receipt_timeout_s: float = 15.0
    ping_interval_s: float = 15.0
    window: int = 256

    def __repr__(self) -> str:
        return f"NatsOptions({self.server})"  # never a secret into a log

    def expand(self, template: str, microservice: str = "") -> str:
        """A subject with the names of this microservice, or of another one of its application."""
        return self.identity.expand(template, microservice)

    def read_password(self) -> str:
        """The password; its file is read at each call. Raises OSError, whose `strerror` names the file."""
        if not self.password_file:
            return self.password
        from ..links.tls.credential_files import read_password  # noqa: PLC0415 - imports ssl

        return read_password(self.password_file)

    @property
    def uses_tls(self) -> bool:
        """Whether the connection is to be encrypted."""
        return self.server.startswith("tls://") or bool(self.ca)

    def tls_context(self) -> ssl.SSLContext | None:
        """TLS settings for `tls://`, None for plain TCP. Raises OSError, whose `strerror` names the file."""
        if not self.uses_tls:
            return None
        from ..links.tls.credential_files import create_tls_context  # noqa: PLC0415

        return create_tls_context(self.ca, self.certificate, self.key)


_SECONDS = Number(float, 0.1, 3600)
_SUBJECTS = ("subject", "commands", "requests")
_STREAM = re.compile(r"[A-Za-z0-9_-]{1,255}")
"""A stream's name is a word of JetStream's API subjects and a folder name on the server."""
_OPTIONS: OptionTypes = {
    **dict.fromkeys(
        (*_SUBJECTS, "receive", "stream", "password_file", "credentials", "ca", "certificate", "key"), TEXT
    ),
    "max_bytes": Number(int, 1 << 20, 1 << 40),
    "window": Number(int, 1, 4000),
    "answer_timeout_s": _SECONDS,
    "receipt_timeout_s": _SECONDS,
    "ping_interval_s": _SECONDS,
}


def parse_nats_options(url: str, environment: Mapping[str, str]) -> NatsOptions:
    """Options from a URL and the node's variables.

    Parameters:
        url: `nats://[user[:password]@]host[:port][?name=value&…]`, `tls://…`, or "" for the server of the node.
        environment: the process's variables.

    Raises ValueError, naming the option and the remedy.
    """
    ports = {"nats": DEFAULT_PORT, "tls": DEFAULT_PORT}
    parsed = parse_url(url or environment.get("NATS_SERVER_URL", "") or FALLBACK, ports, _OPTIONS)
    options = {
        "credentials": environment.get("NATS_CREDS_PATH", ""),
        "receive": environment.get("IOFOG_RECEIVE", ""),
    } | parsed.options
    for name in _SUBJECTS:
        if name in options:
            _check_subject(name, options[name], quantity=name == "subject")
    if options["receive"]:
        _check_subject(
            "receive" if "receive" in parsed.options else "IOFOG_RECEIVE", options["receive"], wildcards=True
        )
    if not _STREAM.fullmatch(stream := options.get("stream", NatsOptions.stream)):
        raise ValueError(f"stream={stream!r} is not a stream name: 1 to 255 letters, digits, _ and -")
    return NatsOptions(
        server=parsed.server,
        identity=read_identity(environment),
        user=parsed.user,
        password=parsed.password,
        **options,
    )


def _check_subject(name: str, subject: str, *, quantity: bool = False, wildcards: bool = False) -> None:
    check_placeholders(name, subject, quantity=quantity)
    words = subject.split(".")
    if not subject.isprintable() or " " in subject or "" in words:
        raise ValueError(f"{name}={subject!r} is not a NATS subject: words separated by dots")
    if not wildcards and {"*", ">"} & set(words):
        raise ValueError(f"{name}={subject!r}: * and > are allowed in receive only")
    if ">" in words[:-1]:
        raise ValueError(f"{name}={subject!r}: > must be the last word")
