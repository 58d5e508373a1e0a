"""ioMessages as NATS messages and back: the content is the payload, other fields are `ioFog-…` headers. No I/O."""

from __future__ import annotations

import base64
import contextlib
import re
import time
import uuid
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from nats.aio.msg import Msg

from ..errors import MessageError
from ..messages.content import decode_json
from ..messages.iomessage import IoMessage

_PREFIX = "ioFog-"
_NUMBER = re.compile(r"[0-9]{1,19}")
_TEXTS = (
    *("groupid", "infotype", "infoformat", "publisher", "tag", "authid", "authgroup"),
    *("hash", "previoushash", "nonce"),
)
_NUMBERS = ("sequencenumber", "sequencetotal", "priority", "chainposition", "difficultytarget")
_DATA = "contextdata"
"""In base64; `contentdata` is the payload. `id`, `timestamp` and `version` are given by the server, or fixed."""
_STORED = re.compile(
    r"\$JS\.ACK\.(?:[^.]+\.[^.]+\.)?(?P<stream>[^.]+)\.[^.]+\.\d+\.(?P<number>\d+)\.\d+\.(?P<at>\d+)\.\d+(?:\.[^.]+)?"
)
"""Stream, consumer, deliveries, number in stream and in consumer, time, number waiting; newer servers: domain and
account before, a token behind."""
MAX_HEADER_BYTES = 32 * 1024
"""Of all fields; a server takes 64 KiB."""
MAX_SUBJECT_BYTES = 1024
"""A server takes 4 KiB in one line of its protocol, the reply subject and sizes included."""


class _Command(msgspec.Struct):
    """The part that a command and its result share."""

    id: str | int = ""


def encode_headers(message: IoMessage) -> dict[str, str]:
    """The headers for all fields but the content. Raises MessageError for text that a header cannot hold."""
    headers = {f"{_PREFIX}{name}": value for name in _TEXTS if (value := getattr(message, name))}
    for header, text in headers.items():
        if not text.isprintable() or text != text.strip():
            rule = "must be printable and without spaces around it to be a NATS header"
            raise MessageError(header.removeprefix(_PREFIX), rule, text)
    for name in _NUMBERS:
        if (number := getattr(message, name)) or name == "sequencenumber":
            headers[f"{_PREFIX}{name}"] = str(number)
    if message.contextdata:
        headers[f"{_PREFIX}{_DATA}"] = base64.b64encode(message.contextdata).decode()
    if (size := header_size(headers)) > MAX_HEADER_BYTES:
        raise MessageError("frame", f"its header fields may have {MAX_HEADER_BYTES} bytes as NATS headers", size)
    return headers


def header_size(headers: Mapping[str, str]) -> int:
    """Bytes that headers take in a message; most texts are ASCII."""
    text = "".join(headers.values())
    values = len(text) if text.isascii() else len(text.encode())
    return values + sum(len(name) + 4 for name in headers) + 64


def check_subject(subject: str) -> None:
    """Raises MessageError for a subject that a server would close the connection over."""
    if not subject.isprintable() or " " in subject or "" in subject.split("."):
        raise MessageError("subject", "must be printable words separated by dots", subject)
    if len(subject.encode("utf-8", "replace")) > MAX_SUBJECT_BYTES:
        raise MessageError("subject", f"may have {MAX_SUBJECT_BYTES} bytes", subject)


def decode_message(received: Msg) -> IoMessage:
    """A received message; a header that is missing or malformed leaves its field empty."""
    headers = received.headers or {}
    message = IoMessage(
        id=headers.get("Nats-Msg-Id", "") or _stored_id(received) or uuid.uuid4().hex,
        contentdata=received.data,
        timestamp=_stored_at(received),
    )
    for name in _TEXTS:
        setattr(message, name, headers.get(f"{_PREFIX}{name}", ""))
    for name in _NUMBERS:
        if _NUMBER.fullmatch(number := headers.get(f"{_PREFIX}{name}", "")):
            setattr(message, name, int(number))
    with contextlib.suppress(ValueError):
        message.contextdata = base64.b64decode(headers.get(f"{_PREFIX}{_DATA}", ""), validate=True)
    return message


class _Stored(NamedTuple):
    """Where a message is stored, out of the subject for its acknowledgement.

    nats-py makes a datetime of the time, which a 32-bit C library cannot from 2038 on.
    """

    stream: str
    number: int
    at_ns: int


def _stored(received: Msg) -> _Stored | None:
    """None for a message that is not stored."""
    match = _STORED.fullmatch(received.reply)
    return _Stored(match["stream"], int(match["number"]), int(match["at"])) if match else None


def stored_as(received: Msg) -> int:
    """Number of a message in its stream, 0 for one that is not stored."""
    stored = _stored(received)
    return stored.number if stored else 0


def _stored_id(received: Msg) -> str:
    """Names a stored message, the same at each delivery; "" for one that is not stored."""
    stored = _stored(received)
    return f"{stored.stream}.{stored.number}.{stored.at_ns / 1e9:.6f}" if stored else ""


def command_id(message: IoMessage) -> str:
    """The id that matches a result to its command; a result repeats a numeric id as text."""
    try:
        return str(decode_json(message.contentdata, _Command).id) or message.id
    except ValueError:
        return message.id


def _stored_at(received: Msg) -> int:
    """Milliseconds since 1970: when the stream stored it; now for a request, which is not stored."""
    stored = _stored(received)
    return round((stored.at_ns if stored else time.time_ns()) / 1e6)
