"""ioMessages as NATS messages and back: the content is the payload, other fields are `ioFog-…` headers. No I/O."""

from __future__ import annotations

import re
import time
import uuid

import msgspec
from nats.aio.msg import Msg
from nats.errors import NotJSMessageError

from ..messages.iomessage import IoMessage

_PREFIX = "ioFog-"
_NUMBER = re.compile(r"[0-9]{1,10}")
_TEXTS = ("groupid", "infotype", "infoformat", "publisher", "tag")


class _Command(msgspec.Struct):
    """The part that a command and its result share."""

    id: str | int = ""


def encode_headers(message: IoMessage) -> dict[str, str]:
    """The headers for all fields but the content."""
    headers = {f"{_PREFIX}{name}": value for name in _TEXTS if (value := getattr(message, name))}
    headers[f"{_PREFIX}sequencenumber"] = str(message.sequencenumber)
    return headers


def decode_message(received: Msg) -> IoMessage:
    """A received message; a header that is missing or malformed leaves its field empty."""
    headers = received.headers or {}
    number = headers.get(f"{_PREFIX}sequencenumber", "0")
    message = IoMessage(
        id=headers.get("Nats-Msg-Id", "") or uuid.uuid4().hex,
        sequencenumber=int(number) if _NUMBER.fullmatch(number) else 0,
        contentdata=received.data,
        timestamp=_stored_at(received),
    )
    for name in _TEXTS:
        setattr(message, name, headers.get(f"{_PREFIX}{name}", ""))
    return message


def command_id(message: IoMessage) -> str:
    """The id that matches a result to its command; a result repeats a numeric id as text."""
    try:
        return str(msgspec.json.decode(message.contentdata, type=_Command).id) or message.id
    except (msgspec.DecodeError, RecursionError):
        return message.id


def _stored_at(received: Msg) -> int:
    """Milliseconds since 1970: when the stream stored it; now for a request, which is not stored."""
    try:
        return round(received.metadata.timestamp.timestamp() * 1000)
    except NotJSMessageError:
        return time.time_ns() // 1_000_000
