"""What the fields of an IoMessage may hold, and which of them is wrong. No I/O."""

from __future__ import annotations

from typing import NoReturn

from ..errors import MessageError

VERSION = 4
SHORT_MAX = 127
LONG_MAX = 32_767
DATA_MAX = 2**31 - 1
INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1
PRIORITY_MAX = 127


STRING_LIMITS = {
    "id": SHORT_MAX,
    "tag": LONG_MAX,
    "groupid": SHORT_MAX,
    "publisher": SHORT_MAX,
    "authid": LONG_MAX,
    "authgroup": LONG_MAX,
    "hash": LONG_MAX,
    "previoushash": LONG_MAX,
    "nonce": LONG_MAX,
    "infotype": SHORT_MAX,
    "infoformat": SHORT_MAX,
}
INTEGER_LIMITS = {
    "sequencenumber": INT32_MAX,
    "sequencetotal": INT32_MAX,
    "priority": PRIORITY_MAX,
    "timestamp": INT64_MAX,
    "chainposition": INT64_MAX,
    "difficultytarget": INT32_MAX,
}
DATA_FIELDS = ("contextdata", "contentdata")


def raise_for_field(message: object) -> NoReturn:
    """Finds the field that made the fast path fail and raises its error."""
    for name, limit in STRING_LIMITS.items():
        text = getattr(message, name)
        if not isinstance(text, str):
            raise MessageError(name, "must be text", text)
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            raise MessageError(name, "holds a lone surrogate, which UTF-8 cannot encode", text) from None
        if size > limit:
            raise MessageError(name, f"at most {limit} bytes of UTF-8 (it has {size})", text)
    for name, limit in INTEGER_LIMITS.items():
        number = getattr(message, name)
        if not isinstance(number, int) or not 0 <= number <= limit:
            raise MessageError(name, f"must be a whole number from 0 to {limit}", number)
    name = "version"
    if (version := getattr(message, name)) != VERSION:
        raise MessageError(name, f"only version {VERSION} can be sent", version)
    for name in DATA_FIELDS:
        data = getattr(message, name)
        if not isinstance(data, bytes | bytearray | memoryview):
            raise MessageError(name, "must be bytes", data)
        if len(data) > DATA_MAX:
            raise MessageError(name, f"at most {DATA_MAX} bytes", len(data))
    raise MessageError("frame", "cannot be encoded")
