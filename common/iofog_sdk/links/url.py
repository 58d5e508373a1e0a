"""Options of a link in its URL, `IOFOG_LINK=nats://host:4222?window=64&stream=TRUCKS`, and the files they name."""

from __future__ import annotations

import errno
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit


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
_PLACES = ("{application}", "{microservice}")
_QUANTITY = "{quantity}"
_OTHER_KEY = ("KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
"""What OpenSSL says of a key that belongs to another certificate: of the same kind, of another kind."""
_PASSWORD = re.compile(r"(://[^:@]*:).*@", re.DOTALL)


class LinkUrl(NamedTuple):
    """A URL taken apart, with its secret apart from what may be shown.

    Parameters:
        scheme: before the colon.
        server: `scheme://host:port`, with brackets around an IPv6 address.
        host: a name or an address, without brackets.
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
    try:
        url = urlsplit(text)
        given_port = url.port
    except ValueError:  # whose words can be a part of the password
        raise ValueError(f"write {remedy}") from None
    if url.scheme not in ports or not url.hostname or url.path.strip("/") or url.fragment:
        raise ValueError(f"write {remedy}")
    port = given_port or ports[url.scheme]
    shown = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    try:
        pairs = parse_qsl(url.query, strict_parsing=bool(url.query), keep_blank_values=True)
    except ValueError:
        raise ValueError("options are ?name=value&name=value") from None
    return LinkUrl(
        scheme=url.scheme,
        server=f"{url.scheme}://{shown}:{port}",
        host=url.hostname,
        port=port,
        user=unquote(url.username or ""),
        password=unquote(url.password or ""),
        options={name: _value(name, value, kinds) for name, value in pairs},
    )


def without_secret(text: str) -> str:
    """A URL as it may be shown, whatever is wrong with it."""
    try:
        password = urlsplit(text).password
    except ValueError:
        password = None
    if password:
        return text.replace(f":{password}@", ":…@")
    return _PASSWORD.sub(r"\1…@", text)  # a password with a slash in it is none to urlsplit


def check_places(name: str, template: str, *, quantity: bool = False) -> None:
    """Refuses a subject or topic with a place that nothing is put into. Raises ValueError, naming the known ones.

    Parameters:
        name: of the option.
        template: what it says.
        quantity: whether each quantity can be published by itself.
    """
    known = (*_PLACES, _QUANTITY) if quantity else _PLACES
    if set(re.sub("|".join(map(re.escape, known)), "", template)) & set("{}"):
        raise ValueError(f"{name}={template!r} has a place that is unknown here; known are {', '.join(known)}")


def password_of(file: str) -> str:
    """The password in a file, as it is now. Raises OSError, whose `strerror` names option and file."""
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise _named("password_file", file, error) from None
    except UnicodeDecodeError:
        raise _wrong("password_file", file, "is no text") from None


def tls_of_files(ca: str, certificate: str = "", key: str = "") -> ssl.SSLContext:
    """TLS of a client. Raises OSError, never ssl.SSLError, whose `strerror` names option and file.

    Parameters:
        ca: of whom the server has its certificate; "" for those the system knows.
        certificate: by which the client shows who it is; "" for none.
        key: of the certificate; "" if it is in the same file.
    """
    try:
        context = ssl.create_default_context(cafile=ca or None)
    except OSError as error:
        raise _named("ca", ca, error) from None
    if certificate:
        _show(context, certificate, key)
    return context


def _value(name: str, text: str, kinds: Kinds) -> Any:
    kind = kinds.get(name)
    if kind is None:
        raise ValueError(f"unknown option {name}; there are {', '.join(kinds)}")
    if isinstance(kind, Choice):
        if not text.isprintable():
            raise ValueError(f"{name}={text!r}: it has characters that cannot be printed")
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


def _show(context: ssl.SSLContext, certificate: str, key: str) -> None:
    for name, file in (("certificate", certificate), ("key", key)):
        try:
            if file:
                Path(file).open("rb").close()
        except OSError as error:
            raise _named(name, file, error) from None
    name, file = ("key", key) if key else ("certificate", certificate)
    try:
        context.load_cert_chain(certificate, key or None, password="")  # without one OpenSSL asks at the terminal
    except ssl.SSLError as error:
        if error.reason in _OTHER_KEY:
            raise _wrong(name, file, f"its key is not that of the certificate in {certificate}") from None
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(certificate)
        except OSError as other:
            raise _named("certificate", certificate, other) from None
        raise _wrong(name, file, "holds no private key in PEM form, or one with a pass phrase") from None


def _named(name: str, file: str, error: OSError) -> OSError:
    if isinstance(error, ssl.SSLError):  # whose own words are `[SSL] PEM lib (_ssl.c:3905)` for most
        return _wrong(name, file, "holds no certificate in PEM form")
    return OSError(error.errno, f"{name} {file}: {error.strerror or error}")


def _wrong(name: str, file: str, what: str) -> OSError:
    return OSError(errno.EINVAL, f"{name} {file}: {what}")
