"""How a NATS link is set up: out of `IOFOG_LINK=nats://…?option=value`, or out of what a newer node sets."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

from ..links.identity import Identity, identity_from
from ..links.url import TEXT, Kinds, Number, check_places, password_of, read_url, tls_of_files

DEFAULT_PORT = 4222
FALLBACK = f"nats://nats.default.svc.bridge.local:{DEFAULT_PORT}"
"""Edgelet's own name for it, where the node sets no NATS_SERVER_URL: before Controller 3.8.2."""

_NOBODY = Identity("default", "unnamed")


@dataclass(frozen=True)
class NatsOptions:
    """All of them; every one but `server`, `user` and `password` can be given as `?name=value`.

    Parameters:
        server: `nats://host:port` or `tls://host:port`, without secrets.
        identity: this microservice's names.
        subject: where readings are published; `{application}`, `{microservice}`, and `{quantity}` to publish each
            quantity by itself.
        commands: where commands wait for this microservice.
        requests: where commands are asked with a reply.
        receive: one more subject that is received, for a consumer of readings; "" for none. `IOFOG_RECEIVE` where
            the URL says nothing.
        stream: JetStream stream that keeps readings and commands, made if it may be.
        max_bytes: of the stream, if it is made here; the oldest messages are given up first.
        user, password: if the server wants them.
        password_file: instead of `password`.
        credentials: `.creds` file.
        ca: PEM file of the authority that has signed the server's certificate.
        answer_timeout_s: seconds until a server that does not answer is given up.
        receipt_timeout_s: seconds until a missing acknowledgement ends the connection.
        ping_interval_s: seconds between pings.
        window: acknowledgements under way.
    """

    server: str = FALLBACK
    identity: Identity = _NOBODY
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
    answer_timeout_s: float = 10.0
    receipt_timeout_s: float = 15.0
    ping_interval_s: float = 15.0
    window: int = 256

    def __repr__(self) -> str:
        return f"NatsOptions({self.server})"  # never a secret into a log

    def filled(self, template: str, microservice: str = "") -> str:
        """A subject with this microservice's names in it, or with another's of its application."""
        return self.identity.filled(template, microservice)

    def secret(self) -> str:
        """The password, read anew each time. Raises OSError, whose `strerror` names the file."""
        return password_of(self.password_file) if self.password_file else self.password

    def tls(self) -> ssl.SSLContext | None:
        """For `tls://`; None for plain TCP. Raises OSError, whose `strerror` names the file."""
        if not self.server.startswith("tls://") and not self.ca:
            return None
        return tls_of_files(self.ca)


_SECONDS = Number(float, 0.1, 3600)
_SUBJECTS = ("subject", "commands", "requests")
_STREAM = re.compile(r"[A-Za-z0-9_-]{1,255}")
"""It is a word of JetStream's own subjects, and the name of a folder at the server."""
_KINDS: Kinds = {
    **dict.fromkeys((*_SUBJECTS, "receive", "stream", "password_file", "credentials", "ca"), TEXT),
    "max_bytes": Number(int, 1 << 20, 1 << 40),
    "window": Number(int, 1, 4000),
    "answer_timeout_s": _SECONDS,
    "receipt_timeout_s": _SECONDS,
    "ping_interval_s": _SECONDS,
}


def nats_options(chosen: str, environment: Mapping[str, str]) -> NatsOptions:
    """Options out of a URL and the node's variables.

    Parameters:
        chosen: `nats://[user[:password]@]host[:port][?name=value&…]`, `tls://…`, or "" for what the node says.
        environment: the process's variables.

    Raises ValueError, naming the option and the remedy.
    """
    ports = {"nats": DEFAULT_PORT, "tls": DEFAULT_PORT}
    url = read_url(chosen or environment.get("NATS_SERVER_URL", "") or FALLBACK, ports, _KINDS)
    told = {
        "credentials": environment.get("NATS_CREDS_PATH", ""),
        "receive": environment.get("IOFOG_RECEIVE", ""),
    } | url.options
    for name in _SUBJECTS:
        if name in told:
            _check_subject(name, told[name], quantity=name == "subject")
    if told["receive"]:
        _check_subject("receive" if "receive" in url.options else "IOFOG_RECEIVE", told["receive"], wildcards=True)
    if not _STREAM.fullmatch(stream := told.get("stream", NatsOptions.stream)):
        raise ValueError(f"stream={stream!r} is no name of a stream: 1 to 255 letters, digits, _ and -")
    return NatsOptions(
        server=url.server,
        identity=identity_from(environment),
        user=url.user,
        password=url.password,
        **told,
    )


def _check_subject(name: str, subject: str, *, quantity: bool = False, wildcards: bool = False) -> None:
    check_places(name, subject, quantity=quantity)
    words = subject.split(".")
    if not subject.isprintable() or " " in subject or "" in words:
        raise ValueError(f"{name}={subject!r} is no NATS subject: words with dots between")
    if not wildcards and {"*", ">"} & set(words):
        raise ValueError(f"{name}={subject!r}: * and > are for receive alone")
    if ">" in words[:-1]:
        raise ValueError(f"{name}={subject!r}: > stands for all words that follow, at the end")
