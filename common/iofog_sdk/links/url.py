"""Options of a link in its URL, as in `IOFOG_LINK=nats://host:4222?window=64&stream=TRUCKS`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit


class Number(NamedTuple):
    """A number within limits, both included."""

    kind: type[int] | type[float]
    low: float
    high: float


class Choice(NamedTuple):
    """One of several words."""

    words: tuple[str, ...]


TEXT = Choice(())
"""Any printable text."""
OptionTypes = Mapping[str, Number | Choice]
_PLACEHOLDERS = ("{application}", "{microservice}")
_QUANTITY = "{quantity}"
_OF_SECRETS = ("credentials", "key", "password_file")
"""Options that some write a secret into, in place of its file."""


class LinkUrl(NamedTuple):
    """The parts of a URL; `server` holds no secret and can be logged.

    Parameters:
        scheme: before the colon.
        server: `scheme://host:port`, with brackets around an IPv6 address.
        host: a name or an address, without brackets.
        port: the URL's, else the scheme's default.
        user, password: "" if there are none.
        options: checked and converted.
    """

    scheme: str
    server: str
    host: str
    port: int
    user: str
    password: str
    options: dict[str, Any]


def parse_url(text: str, ports: Mapping[str, int], types: OptionTypes) -> LinkUrl:
    """Parses and checks a link's URL. Raises ValueError, which names option and remedy and holds no secret.

    Parameters:
        text: the URL.
        ports: allowed schemes with their default ports.
        types: known options.
    """
    remedy = " or ".join(f"{scheme}://host:{port}" for scheme, port in ports.items())
    try:
        url = urlsplit(text)
        given_port = url.port
    except ValueError:  # its text can hold a part of the password
        raise ValueError(f"write {remedy}") from None
    if url.scheme not in ports or not url.hostname or url.path.strip("/") or url.fragment:
        raise ValueError(f"write {remedy}")
    if not is_host(url.hostname):
        raise ValueError(f"its host is neither a name nor an address; write {remedy}")
    port = given_port or ports[url.scheme]
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    try:
        pairs = parse_qsl(url.query, strict_parsing=bool(url.query), keep_blank_values=True)
    except ValueError:
        raise ValueError("options are ?name=value&name=value") from None
    return LinkUrl(
        scheme=url.scheme,
        server=f"{url.scheme}://{host}:{port}",
        host=url.hostname,
        port=port,
        user=unquote(url.username or ""),
        password=unquote(url.password or ""),
        options={name: _convert(name, value, types) for name, value in pairs},
    )


def is_host(text: str) -> bool:
    """Whether it has the form of an address, or of a name that can be resolved (RFC 1035 section 2.3.4)."""
    try:
        name = text if text.isascii() else text.encode("idna").decode()
    except UnicodeError:
        return False
    return len(name) < 254 and all(0 < len(label) < 64 for label in name.removesuffix(".").split("."))


def check_placeholders(name: str, template: str, *, quantity: bool = False) -> None:
    """Refuses a subject or topic with an unknown placeholder. Raises ValueError, naming the known ones.

    Parameters:
        name: of the option.
        template: its value.
        quantity: whether `{quantity}` is allowed.
    """
    known = (*_PLACEHOLDERS, _QUANTITY) if quantity else _PLACEHOLDERS
    if set(re.sub("|".join(map(re.escape, known)), "", template)) & set("{}"):
        raise ValueError(f"{name}={template!r} has an unknown placeholder; known: {', '.join(known)}")


def _convert(name: str, text: str, types: OptionTypes) -> Any:
    kind = types.get(name)
    if kind is None:
        raise ValueError(f"unknown option {ascii(name[:40])[1:-1]}; known: {', '.join(types)}")
    if isinstance(kind, Choice):
        if not text.isprintable():
            given = "" if name in _OF_SECRETS else f"={text!r}"
            raise ValueError(f"{name}{given} has characters that cannot be printed")
        if kind.words and text not in kind.words:
            raise ValueError(f"{name}={text}: write {' or '.join(kind.words)}")
        return text
    try:
        value = kind.kind(text)
    except ValueError:
        raise ValueError(f"{name}={text}: a number from {kind.low:g} to {kind.high:g}") from None
    if not kind.low <= value <= kind.high:
        raise ValueError(f"{name}={text}: {kind.low:g} to {kind.high:g}")
    return value
