"""Options of a link in its URL: `IOFOG_LINK=nats://host:4222?window=64&stream=TRUCKS`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit


class Number(NamedTuple):
    """A number between two others, both allowed."""

    kind: type[int] | type[float]
    low: float
    high: float


class Choice(NamedTuple):
    """One of some words."""

    words: tuple[str, ...]


TEXT = Choice(())
"""Any text."""
Kinds = Mapping[str, Number | Choice]


class LinkUrl(NamedTuple):
    """A URL taken apart, with its secret apart from what may be shown.

    Parameters:
        scheme: before the colon.
        server: `scheme://host:port`.
        host: a name or an address.
        port: given, or that of the scheme.
        user, password: "" if there are none.
        options: read and checked.
    """

    scheme: str
    server: str
    host: str
    port: int
    user: str
    password: str
    options: dict[str, Any]


def read_url(text: str, ports: Mapping[str, int], kinds: Kinds) -> LinkUrl:
    """Takes a URL apart. Raises ValueError, which names the option and the remedy and tells no secret.

    Parameters:
        text: the URL.
        ports: allowed schemes, and the port each has by default.
        kinds: known options.
    """
    remedy = " or ".join(f"{scheme}://host:{port}" for scheme, port in ports.items())
    url = urlsplit(text)
    if url.scheme not in ports or not url.hostname or url.path.strip("/"):
        raise ValueError(f"write {remedy}")
    port = url.port or ports[url.scheme]
    pairs = parse_qsl(url.query, strict_parsing=bool(url.query), keep_blank_values=True)
    return LinkUrl(
        scheme=url.scheme,
        server=f"{url.scheme}://{url.hostname}:{port}",
        host=url.hostname,
        port=port,
        user=unquote(url.username or ""),
        password=unquote(url.password or ""),
        options={name: _value(name, value, kinds) for name, value in pairs},
    )


def without_secret(text: str) -> str:
    """A URL as it may be shown."""
    url: SplitResult = urlsplit(text)
    return text.replace(f":{url.password}@", ":…@") if url.password else text


def _value(name: str, text: str, kinds: Kinds) -> Any:
    kind = kinds.get(name)
    if kind is None:
        raise ValueError(f"unknown option {name}; there are {', '.join(kinds)}")
    if isinstance(kind, Choice):
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
