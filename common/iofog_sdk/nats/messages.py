"""ioMessages as messages of NATS and back: content is the payload, the rest goes into `ioFog-…` headers. No I/O."""

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
    """What a command and its result have in common."""

    id: str | int = ""


def headers_of(message: IoMessage) -> dict[str, str]:
    """What of it is no content."""
    headers = {f"{_PREFIX}{name}": value for name in _TEXTS if (value := getattr(message, name))}
    headers[f"{_PREFIX}sequencenumber"] = str(message.sequencenumber)
    return headers


def message_of(received: Msg) -> IoMessage:
    """What came, from whomever: a header that is missing or wrong leaves its field empty."""
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
    """What a command and its result are told by: a result repeats a number as text."""
    try:
        return str(msgspec.json.decode(message.contentdata, type=_Command).id) or message.id
    except (msgspec.DecodeError, RecursionError):
        return message.id


def _stored_at(received: Msg) -> int:
    """Milliseconds since 1970: when the stream took it, or now, for a request, which is not stored."""
    try:
        return round(received.metadata.timestamp.timestamp() * 1000)
    except NotJSMessageError:
        return time.time_ns() // 1_000_000
