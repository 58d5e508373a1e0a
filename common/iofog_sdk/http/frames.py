"""The content of binary WebSocket messages of Local API v2. No I/O.

The first byte is the opcode. A RECEIPT is `0e`, the id's length, the timestamp's length, the id in ASCII, the
timestamp in milliseconds; other descriptions of it are wrong. The Java agent expects pings in WebSocket ping frames:
it answers one with exactly the payload `09` by a pong with `0a`, and ignores any other.
"""

from __future__ import annotations

from ..errors import MessageError
from ..links.receipts import Receipt

PING = b"\x09"
PONG = b"\x0a"
ACK = b"\x0b"
CONFIG_CHANGED = 0x0C
MSG = 0x0D
RECEIPT = 0x0E
EDGE_RESOURCES_CHANGED = 0x0F

_MSG_PREFIX = 5


def msg_frame(body: bytes) -> bytes:
    """A MSG frame around one binary ioMessage."""
    return b"\x0d" + len(body).to_bytes(4, "big") + body


def msg_body(frame: bytes) -> bytes:
    """The binary ioMessage in a MSG frame; bytes after the stated length are ignored, as the agent does."""
    if len(frame) < _MSG_PREFIX or frame[0] != MSG:
        raise MessageError("frame", "is not a MSG frame", frame[:16])
    end = _MSG_PREFIX + int.from_bytes(frame[1:_MSG_PREFIX], "big")
    if end > len(frame):
        raise MessageError("frame", f"MSG states {end - _MSG_PREFIX} bytes, has {len(frame) - _MSG_PREFIX}")
    return frame[_MSG_PREFIX:end]


def read_receipt(frame: bytes) -> Receipt:
    """Decodes a RECEIPT frame. Raises MessageError when it is cut short or is another frame."""
    if len(frame) < 3 or frame[0] != RECEIPT:
        raise MessageError("frame", "is not a RECEIPT frame", frame[:16])
    id_end = 3 + frame[1]
    stamp_end = id_end + frame[2]
    if len(frame) < stamp_end:
        raise MessageError("frame", f"RECEIPT needs {stamp_end} bytes, has {len(frame)}")
    try:
        identity = frame[3:id_end].decode("ascii")
    except UnicodeDecodeError:
        raise MessageError("frame", "RECEIPT id is not ASCII", frame[3:id_end]) from None
    return Receipt(identity, int.from_bytes(frame[id_end:stamp_end], "big"))
