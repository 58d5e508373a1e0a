"""IoMessage, version 4: its JSON form and its binary form. No I/O.

The binary form is a 33-byte header of lengths, then the values in the same order, big-endian, as the Java agent
writes it: integers of fixed width, with zero encoded as no bytes. Decoding also accepts integers of any width up to 8
bytes, which other SDKs write.

The agent reads lengths as signed numbers. A string field longer than 127 bytes (1-byte length) or 32 767 bytes
(2-byte length) would shift every following field, so it is refused here.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

import msgspec

from ..errors import MessageError
from .limits import DATA_FIELDS, INT32_MAX, STRING_LIMITS, VERSION, raise_for_field

# With signed codes struct refuses the lengths that the agent would misread.
_LENGTHS = struct.Struct(">Hbhbbbbbbhhbhhhbbbii")
_LENGTHS_READ = struct.Struct(">HBHBBBBBBHHBHHHBBBII")
HEADER_SIZE = _LENGTHS_READ.size


class IoMessage(msgspec.Struct, kw_only=True, gc=False):
    """One message of ioFog. Field names are those of its JSON form.

    Parameters:
        id: 32 hexadecimal digits, set by the agent; a sender's value is overwritten.
        tag: free text.
        groupid: name of the sequence this message belongs to.
        sequencenumber, sequencetotal: position in that sequence and its length; 0 when unused.
        priority: 0 to 127.
        timestamp: milliseconds since 1970-01-01 UTC, set by the agent.
        publisher: UUID of the sending microservice.
        authid, authgroup: free text for authentication.
        version: 4; 0 in replies of the agent's REST route `next`.
        chainposition, hash, previoushash, nonce, difficultytarget: for chained messages; else empty.
        infotype, infoformat: type of the content and its encoding; required for sending.
        contextdata, contentdata: raw bytes.
    """

    id: str = ""
    tag: str = ""
    groupid: str = ""
    sequencenumber: int = 0
    sequencetotal: int = 0
    priority: int = 0
    timestamp: int = 0
    publisher: str = ""
    authid: str = ""
    authgroup: str = ""
    version: int = VERSION
    chainposition: int = 0
    hash: str = ""
    previoushash: str = ""
    nonce: str = ""
    difficultytarget: int = 0
    infotype: str = ""
    infoformat: str = ""
    contextdata: bytes = b""
    contentdata: bytes = b""

    def to_bytes(self) -> bytes:
        """The binary form. Raises MessageError, naming the field, when a limit of the format is exceeded."""
        try:
            strings = [
                self.id.encode(),
                self.tag.encode(),
                self.groupid.encode(),
                self.publisher.encode(),
                self.authid.encode(),
                self.authgroup.encode(),
                self.hash.encode(),
                self.previoushash.encode(),
                self.nonce.encode(),
                self.infotype.encode(),
                self.infoformat.encode(),
            ]
            number, total, priority = self.sequencenumber, self.sequencetotal, self.priority
            stamp, chain, target = self.timestamp, self.chainposition, self.difficultytarget
            if number | total | priority | stamp | chain | target < 0 or self.version != VERSION:
                raise_for_field(self)
            integers = [
                number.to_bytes(4, "big", signed=True) if number else b"",
                total.to_bytes(4, "big", signed=True) if total else b"",
                priority.to_bytes(1, "big", signed=True) if priority else b"",
                stamp.to_bytes(8, "big", signed=True) if stamp else b"",
                chain.to_bytes(8, "big", signed=True) if chain else b"",
                target.to_bytes(4, "big", signed=True) if target else b"",
            ]
            values = [
                *strings[:3],
                *integers[:4],
                *strings[3:6],
                integers[4],
                *strings[6:9],
                integers[5],
                *strings[9:],
                self.contextdata,
                self.contentdata,
            ]
            return b"".join((_LENGTHS.pack(VERSION, *map(len, values)), *values))
        except (struct.error, OverflowError, TypeError, AttributeError, UnicodeError):
            raise_for_field(self)

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview) -> IoMessage:
        """Decodes the binary form of exactly one message. Raises MessageError on anything else."""
        data = bytes(data)
        if len(data) < HEADER_SIZE:
            raise MessageError("frame", f"shorter than the {HEADER_SIZE}-byte header", len(data))
        head = data[:_SHAPE_SIZE]
        shape = _shapes.get(head) or _learn_shape(head)
        end = HEADER_SIZE + shape.values.size
        if end + _read_size(data, _SHAPE_SIZE)[0] != len(data):
            raise MessageError("frame", f"{len(data)} bytes, but its header states another length")
        raw = shape.values.unpack_from(data, HEADER_SIZE)
        try:
            members = {name: read(value) for (name, read), value in zip(shape.fields, raw)}  # noqa: B905
        except UnicodeDecodeError:
            _raise_for_text(shape, raw)
        members["contentdata"] = data[end:]
        return cls(**members)

    def to_json(self) -> dict[str, Any]:
        """The JSON form as a mapping ready for a JSON encoder; content in base64, once."""
        members: dict[str, Any] = msgspec.structs.asdict(self)
        for name in DATA_FIELDS:
            members[name] = base64.b64encode(members[name]).decode("ascii")
        return members

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> IoMessage:
        """Builds a message from its JSON form.

        Members may be missing or null, unknown ones are ignored, and any version is accepted, as the agent's `next`
        writes 0. Raises MessageError when a member has the wrong type or is not base64.
        """
        if not isinstance(members, Mapping):
            raise MessageError("frame", "the JSON form is an object", members)
        known: dict[str, Any] = {}
        for name, value in members.items():
            if value is None or name not in _FIELD_TYPES:
                continue
            kind = _FIELD_TYPES[name]
            if kind is bytes:
                known[name] = _from_base64(name, value)
            elif kind is int:
                known[name] = _integer(name, value)
            elif isinstance(value, str):
                known[name] = value
            else:
                raise MessageError(name, "must be text", value)
        return cls(**known)


def find_non_ascii(data: bytes) -> tuple[str, bytes]:
    """The first text field of a binary form with other characters, and its value; "" and nothing where there is none.

    Raises MessageError for data without a header.
    """
    head = data[:_SHAPE_SIZE]
    if len(data) < HEADER_SIZE:
        raise MessageError("frame", f"shorter than the {HEADER_SIZE}-byte header", len(data))
    shape = _shapes.get(head) or _learn_shape(head)
    if HEADER_SIZE + shape.values.size > len(data):
        raise MessageError("frame", f"{len(data)} bytes, but its header states another length")
    texts = shape.texts.unpack_from(data, HEADER_SIZE)
    if b"".join(texts).isascii():  # once for all of them: this is done for every message
        return "", b""
    names = [name for name, read in shape.fields if read is bytes.decode]
    return next((name, text) for name, text in zip(names, texts, strict=True) if not text.isascii())


class MessageTemplate:
    """Encodes messages that differ only in number and content, several times faster than IoMessage.to_bytes.

    Parameters:
        message: the other fields; its number and content are ignored.

    Raises MessageError when a limit of the format is exceeded.
    """

    def __init__(self, message: IoMessage) -> None:
        fixed = msgspec.structs.replace(message, sequencenumber=1, contentdata=b"")
        encoded = fixed.to_bytes()
        number_at = HEADER_SIZE + sum(len(text.encode()) for text in (message.id, message.tag, message.groupid))
        self._lengths = encoded[: HEADER_SIZE - 4]
        self._before_number = encoded[HEADER_SIZE:number_at]
        self._after_number = encoded[number_at + 4 :]

    def encode(self, sequencenumber: int, contentdata: bytes) -> bytes:
        """The binary form with this number, from 1, and this content."""
        try:
            number = sequencenumber.to_bytes(4, "big", signed=True)
            size = len(contentdata).to_bytes(4, "big", signed=True)
        except OverflowError:
            number = b""
        if sequencenumber < 1 or not number:
            raise MessageError("sequencenumber", f"must be a whole number from 1 to {INT32_MAX}", sequencenumber)
        return b"".join((self._lengths, size, self._before_number, number, self._after_number, contentdata))


_FIELD_TYPES: dict[str, type] = {
    name: str if name in STRING_LIMITS else bytes if name in DATA_FIELDS else int
    for name in IoMessage.__struct_fields__
}


_SHAPE_SIZE = HEADER_SIZE - 4
_MAX_SHAPES = 256


class _Shape(NamedTuple):
    """How to decode messages with the same header: one call for all values, and only the fields present.

    A publisher's messages mostly differ only in their content, whose length is not part of the shape.
    """

    values: struct.Struct
    texts: struct.Struct
    fields: tuple[tuple[str, Callable[[bytes], Any]], ...]


_shapes: dict[bytes, _Shape] = {}


def _learn_shape(head: bytes) -> _Shape:
    version, *lengths = _LENGTHS_READ.unpack(head + bytes(4))
    if version != VERSION:
        raise MessageError("version", f"only version {VERSION} can be decoded", version)
    names = [name for name in _FIELD_TYPES if name not in ("version", "contentdata")]
    present = [(name, length) for name, length in zip(names, lengths[:-1], strict=True) if length]
    for name, length in present:
        if _FIELD_TYPES[name] is int and length > 8:
            raise MessageError(name, "an integer has at most 8 bytes", length)
    layout = struct.Struct("".join(f"{length}s" for _, length in present))
    texts = struct.Struct("".join(f"{length}{'s' if _FIELD_TYPES[name] is str else 'x'}" for name, length in present))
    shape = _Shape(layout, texts, tuple((name, _READERS[_FIELD_TYPES[name]]) for name, _ in present))
    if len(_shapes) >= _MAX_SHAPES:
        _shapes.clear()
    _shapes[head] = shape
    return shape


def _raise_for_text(shape: _Shape, raw: tuple[bytes, ...]) -> NoReturn:
    for (name, read), value in zip(shape.fields, raw, strict=True):
        try:
            read(value)
        except UnicodeDecodeError:
            raise MessageError(name, "is not UTF-8", value) from None
    raise MessageError("frame", "cannot be decoded")


_read_size = struct.Struct(">I").unpack_from
_READERS: dict[type, Callable[[bytes], Any]] = {str: bytes.decode, int: int.from_bytes, bytes: bytes}


def _from_base64(name: str, value: object) -> bytes:
    if not isinstance(value, str):
        raise MessageError(name, "must be base64 text", value)
    try:
        return base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise MessageError(name, "is not base64 of the standard alphabet", value) from None


def _integer(name: str, value: object) -> int:
    if isinstance(value, float) and value.is_integer():  # older documentation shows difficultytarget 0.0
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise MessageError(name, "must be a whole number", value)
