"""Payloads of Sparkplug B: the part of its protobuf definition that a bridge needs. No I/O.

Eclipse Sparkplug 3.0, section 6.4: `Payload` and what it is made of, by name, number and type. Fields that are left
out here are kept when a payload is read, as protobuf says.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

_PACKAGE = "org.eclipse.tahu.protobuf"
_FIELD = descriptor_pb2.FieldDescriptorProto


class _Field(NamedTuple):
    number: int
    name: str
    kind: str
    """A type of protobuf, or the name of a message."""
    is_repeated: bool = False
    is_value: bool = False
    """One of those of which a metric or property has one."""


_VALUES = (("int_value", "uint32"), ("long_value", "uint64"), ("float_value", "float"), ("double_value", "double"))
_MORE_VALUES = (("boolean_value", "bool"), ("string_value", "string"))


def _values(first: int) -> tuple[_Field, ...]:
    return tuple(
        _Field(first + at, name, kind, is_value=True) for at, (name, kind) in enumerate(_VALUES + _MORE_VALUES)
    )


_MESSAGES: dict[str, tuple[_Field, ...]] = {
    "PropertyValue": (_Field(1, "type", "uint32"), _Field(2, "is_null", "bool"), *_values(3)),
    "PropertySet": (_Field(1, "keys", "string", True), _Field(2, "values", "PropertyValue", True)),
    "Metric": (
        _Field(1, "name", "string"),
        _Field(2, "alias", "uint64"),
        _Field(3, "timestamp", "uint64"),
        _Field(4, "datatype", "uint32"),
        _Field(5, "is_historical", "bool"),
        _Field(6, "is_transient", "bool"),
        _Field(7, "is_null", "bool"),
        _Field(9, "properties", "PropertySet"),
        *_values(10),
    ),
    "Payload": (
        _Field(1, "timestamp", "uint64"),
        _Field(2, "metrics", "Metric", True),
        _Field(3, "seq", "uint64"),
        _Field(4, "uuid", "string"),
        _Field(5, "body", "bytes"),
    ),
}


@functools.cache
def message_type(name: str) -> Any:
    """The class of the messages of this name, as `Payload`."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"{_PACKAGE}.{name}"))


def decode(payload: bytes) -> Any | None:
    """A payload as a message, None for what is none."""
    try:
        return message_type("Payload").FromString(payload)
    except DecodeError:
        return None


@functools.cache
def _pool() -> descriptor_pool.DescriptorPool:
    file = descriptor_pb2.FileDescriptorProto(name="sparkplug_b.proto", package=_PACKAGE, syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if any(field.is_value for field in fields):
            message.oneof_decl.add(name="value")
        for field in fields:
            label = _FIELD.LABEL_REPEATED if field.is_repeated else _FIELD.LABEL_OPTIONAL
            added = message.field.add(name=field.name, number=field.number, label=label)
            if field.kind in _MESSAGES:
                added.type, added.type_name = _FIELD.TYPE_MESSAGE, f".{_PACKAGE}.{field.kind}"
            else:
                added.type = getattr(_FIELD, f"TYPE_{field.kind.upper()}")
            if field.is_value:
                added.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool
