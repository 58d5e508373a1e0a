"""Settings of serial_instrument."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, TypeAlias

from msgspec import Meta

from device_bridge import CommandedSettings, Interval, Seconds, Settings, Value
from device_bridge.buses import SerialSettings
from device_bridge.protocols import Framing, LineFraming, RecordField

from .records import PatternText, Record, RegexRecord
from .templates import Kind, TemplateText

Timeout = Annotated[float, Meta(gt=0, le=600, description="seconds to wait for the answer")]
NoValue: TypeAlias = Annotated[
    dict[str, str], Meta(description="pattern of a record without values: what it means, as `overload`")
]

_ONE_NUMBER = (
    r"(?!\s*(?:0x)?[\dA-Fa-f]*[A-Fa-f]\s*$)"
    r"\s*(?P<value>[-+]? *(?:\d+\.?\d*|\.\d+)(?:[eE][-+]\d+)?)(?: *[^\W\d_]\D*| *[%°]\D*)?\s*"
)
"""A line with another digit, or that may be hexadecimal, does not say which number it is."""


class KindSettings(Settings, frozen=True, kw_only=True):
    """One kind of several kinds of records."""

    match: Annotated[
        PatternText, Meta(description="pattern found in records of this kind; by default any is tried")
    ] = ""
    record: Record
    fields: Annotated[tuple[RecordField, ...], Meta(min_length=1)]
    no_value: NoValue = {}


class PollSettings(Settings, frozen=True, kw_only=True):
    """A question to a device that does not speak by itself."""

    renamed: ClassVar[Mapping[str, str]] = {"timeout_s": "timeout"}

    send: TemplateText
    interval: Annotated[Interval, Meta(description="seconds from question to question")] = 1.0
    timeout: Timeout = 1.0
    answer: Annotated[PatternText, Meta(description="pattern of frames that are answers; by default every frame")] = (
        ""
    )
    record: Annotated[
        str, Meta(description="kind of record that the answer is, of `records`; by default the first that fits")
    ] = ""


class StartSettings(Settings, frozen=True, kw_only=True):
    """What is sent once when the port has been opened."""

    send: TemplateText
    answer: Annotated[PatternText, Meta(description="answer that means: done; without one none is awaited")] = ""
    timeout: Timeout = 1.0


class CommandTemplate(Settings, frozen=True, kw_only=True):
    """What a command sends, and what the device answers."""

    renamed: ClassVar[Mapping[str, str]] = {"timeout_s": "timeout"}

    send: TemplateText
    answer: Annotated[PatternText, Meta(description="answer that means: done; without one none is awaited")] = ""
    failure: Annotated[PatternText, Meta(description="answer that means: not done")] = ""
    timeout: Timeout = 1.0
    kind: Annotated[
        Kind | None, Meta(description="of its parameters: number, integer, boolean, text; by default by their format")
    ] = None
    range: Annotated[tuple[float, float] | None, Meta(description="least and greatest number that may be sent")] = (
        None
    )
    choices: Annotated[tuple[Value, ...], Meta(description="the only values that may be sent")] = ()
    description: str = ""


class InstrumentSettings(CommandedSettings, frozen=True, kw_only=True):
    """Settings of this service, beside those of every service."""

    profiles: ClassVar[str] = "serial_instrument"

    profile: Annotated[str, Meta(description="ready settings for a known device; all others change them")] = ""
    serial: SerialSettings
    framing: Annotated[Framing, Meta(description="how records are found; see device_bridge's README")] = LineFraming()
    encoding: Annotated[
        Literal["", "utf-8", "latin-1", "ascii", "cp437", "cp1252"],
        Meta(
            description="of text, in records, patterns and what is sent; by default UTF-8, in binary records a "
            "character for each byte"
        ),
    ] = ""
    record: Annotated[
        Record,
        Meta(description="how values are found in a record, see below; by default it is one number, perhaps a unit"),
    ] = RegexRecord(pattern=_ONE_NUMBER)
    fields: Annotated[tuple[RecordField, ...], Meta(description="the values, and what they mean", min_length=1)] = (
        RecordField(name="value", exponent=True),
    )
    no_value: NoValue = {}
    records: Annotated[
        dict[str, KindSettings],
        Meta(description="several kinds of records, by name, in place of record, fields and no_value; see below"),
    ] = {}
    ignore: Annotated[PatternText, Meta(description="pattern of records to pass over, as banners or comments")] = ""
    start: Annotated[
        tuple[StartSettings, ...], Meta(description="sent in this order once the port is open; see below")
    ] = ()
    restart_after: Annotated[
        Seconds, Meta(description="seconds of silence after which `start` is sent again; 0 for never")
    ] = 0.0
    poll: Annotated[PollSettings | None, Meta(description="how to ask; without it the service listens")] = None
    polls: Annotated[dict[str, PollSettings], Meta(description="several questions, by name; see below")] = {}
    pause: Annotated[
        Seconds, Meta(le=60, description="seconds of silence that the device wants before a question")
    ] = 0.0
    commands: Annotated[dict[str, CommandTemplate], Meta(description="commands, by name; see below")] = {}
    append_checksum: Annotated[bool, Meta(description="end what is sent with framing's checksum too")] = True

    @property
    def kinds(self) -> dict[str, KindSettings]:
        """All kinds of records, by the path of their settings."""
        if not self.records:
            return {"": KindSettings(record=self.record, fields=self.fields, no_value=self.no_value)}
        return {f"records.{name}.": kind for name, kind in self.records.items()}

    @property
    def questions(self) -> dict[str, PollSettings]:
        """All questions, by the path of their settings."""
        named = {f"polls.{name}": poll for name, poll in self.polls.items()}
        return {"poll": self.poll, **named} if self.poll else named
