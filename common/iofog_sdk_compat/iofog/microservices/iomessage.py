"""IoMessage with the attributes and methods of the official SDK, over the codec of `iofog_sdk`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

import iofog_sdk
from iofog_sdk import MessageError

from .exception import as_iofog_exceptions

__all__ = ["IoMessage"]

_VERSION = 4
_DATA = ("contextdata", "contentdata")


@dataclasses.dataclass(eq=False)
class IoMessage:
    """One message of ioFog, version 4. `iofog_sdk.IoMessage` says what its fields mean.

    Text as content is sent as UTF-8; what is received has its content as bytes.
    """

    id: str = ""
    tag: str = ""
    groupid: str = ""
    version: int = _VERSION
    sequencenumber: int = 0
    sequencetotal: int = 0
    priority: int = 0
    timestamp: int = 0
    publisher: str = ""
    authid: str = ""
    authgroup: str = ""
    chainposition: int = 0
    hash: str = ""
    previoushash: str = ""
    nonce: str = ""
    difficultytarget: int = 0
    infotype: str = ""
    infoformat: str = ""
    contextdata: bytearray | bytes | str = dataclasses.field(default_factory=bytearray)
    contentdata: bytearray | bytes | str = dataclasses.field(default_factory=bytearray)

    def to_bytearray(self) -> bytearray:
        """The binary form. Raises IoFogException, naming the field, when a limit of the format is exceeded."""
        with as_iofog_exceptions():
            return bytearray(to_sdk(self).to_bytes())

    @staticmethod
    def from_bytearray(bytes: bytes | bytearray | Iterable[int]) -> IoMessage:  # noqa: A002 - the official name
        """Decodes the binary form of one message. Raises IoFogException."""
        with as_iofog_exceptions():
            return from_sdk(iofog_sdk.IoMessage.from_bytes(bytearray(bytes)))

    def to_json(self) -> str:
        """The JSON form as text; content in base64. Raises IoFogException."""
        with as_iofog_exceptions():
            return json.dumps(to_sdk(self).to_json())

    @staticmethod
    def from_json(json_msg: str | Mapping[str, Any]) -> IoMessage:
        """Builds a message from its JSON form, text or mapping. Raises IoFogException."""
        with as_iofog_exceptions():
            members = json.loads(json_msg) if isinstance(json_msg, str) else json_msg
            return from_sdk(iofog_sdk.IoMessage.from_json(members))


def to_sdk(message: IoMessage) -> iofog_sdk.IoMessage:
    """The same message for `iofog_sdk`. Raises MessageError."""
    members = dict(vars(message))
    for name in _DATA:
        value = members[name]
        if not isinstance(value, bytearray | bytes | str):
            raise MessageError(name, "must be bytes or text", value)
        members[name] = value.encode() if isinstance(value, str) else bytes(value)
    names = iofog_sdk.IoMessage.__struct_fields__
    return iofog_sdk.IoMessage(**{name: value for name, value in members.items() if name in names})


def from_sdk(message: iofog_sdk.IoMessage) -> IoMessage:
    """The same message for callers of this package."""
    members = {name: getattr(message, name) for name in iofog_sdk.IoMessage.__struct_fields__}
    return IoMessage(**members | {name: bytearray(members[name]) for name in _DATA})
