"""WebSocket frames (RFC 6455) and opening handshake, at the client's end. No I/O.

Not a library: the Java agent needs unfragmented messages, answers one kind of ping only and never echoes a close,
which libraries that enforce the whole protocol do not allow; and on small boards the frames are the hot path. Tests
compare it with an independent implementation in both directions.
"""

from __future__ import annotations

import base64
import enum
import os
from typing import NamedTuple

from ..errors import IoFogError

try:
    from _sha1 import sha1  # type: ignore[import-not-found]  # hashlib would load OpenSSL for it
except ImportError:
    from hashlib import sha1

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
DEFAULT_MAX_PAYLOAD = 16 * 1024 * 1024
"""Bytes. The agent accepts up to 2 GiB, more than the memory of a small node."""


class Opcode(enum.IntEnum):
    """RFC 6455 section 5.2."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class WebSocketError(IoFogError):
    """The peer broke the WebSocket protocol; `code` is the close code that says how (section 7.4.1)."""

    def __init__(self, code: int, reason: str) -> None:
        self.code, self.reason = code, reason
        super().__init__(reason)


class Frame(NamedTuple):
    """One frame; `final` is false for every part of a fragmented message but the last."""

    opcode: int
    payload: bytes
    final: bool = True


def encode_frame(opcode: int, payload: bytes) -> bytes:
    """One unfragmented frame, masked with a fresh key as a client has to (section 5.3)."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65536:
        head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0x80 | 127)) + size.to_bytes(8, "big")
    key = os.urandom(4)
    return head + key + _mask(payload, key)


def encode_close(code: int, reason: str = "") -> bytes:
    """A close frame (section 5.5.1); the reason is cut to what a control frame can carry."""
    return encode_frame(Opcode.CLOSE, code.to_bytes(2, "big") + reason.encode()[:123])


class FrameReader:
    """Splits the byte stream of a server into frames.

    Parameters:
        max_payload: bytes; a larger frame is refused before it is stored.
    """

    def __init__(self, *, max_payload: int = DEFAULT_MAX_PAYLOAD) -> None:
        self._max_payload = max_payload
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames completed by this data. Raises WebSocketError; the stream cannot be used after that."""
        buffer = self._buffer
        buffer += data
        frames: list[Frame] = []
        start = 0
        while (frame_and_end := self._next(buffer, start)) is not None:
            frame, start = frame_and_end
            frames.append(frame)
        if start:
            del buffer[:start]
        return frames

    def _next(self, buffer: bytearray, start: int) -> tuple[Frame, int] | None:
        available = len(buffer) - start
        if available < 2:
            return None
        first, second = buffer[start], buffer[start + 1]
        size = second & 0x7F
        opcode = first & 0x0F
        if first & 0x70 or opcode not in _KNOWN_OPCODES:
            raise WebSocketError(1002, f"unknown frame type {first:#04x}")
        if second >= 0x80:
            raise WebSocketError(1002, "masked server frame")
        if opcode >= Opcode.CLOSE and (size > 125 or first < 0x80):
            raise WebSocketError(1002, "control frame fragmented or longer than 125 bytes")
        at = start + 2
        if size >= 126:
            width = 2 if size == 126 else 8
            if available < 2 + width:
                return None
            size = int.from_bytes(buffer[at : at + width], "big")
            at += width
        if size > self._max_payload:
            raise WebSocketError(1009, f"frame of {size} bytes, at most {self._max_payload} are accepted")
        end = at + size
        if len(buffer) < end:
            return None
        return Frame(opcode, bytes(buffer[at:end]), first >= 0x80), end


_KNOWN_OPCODES = frozenset(Opcode)


def new_key() -> str:
    """A fresh Sec-WebSocket-Key (section 4.1)."""
    return base64.b64encode(os.urandom(16)).decode("ascii")


def accept_for(key: str) -> str:
    """The Sec-WebSocket-Accept that answers a key (section 4.2.2)."""
    digest = sha1(key.encode("ascii") + _GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode("ascii")


def _mask(payload: bytes, key: bytes) -> bytes:
    size = len(payload)
    pattern = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pattern, "big")).to_bytes(size, "big")
