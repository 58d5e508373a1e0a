"""How frames are found in a stream of bytes, as settings say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, TypeAlias

from msgspec import Meta

from ..settings.base import Settings
from .checksums import ChecksumSettings

MaxLength = Annotated[int, Meta(ge=1, le=1024 * 1024, description="bytes of the longest frame")]
Mark = Annotated[str, Meta(min_length=1, max_length=16, description="bytes as text; escapes as \\x02 or \\r")]
After = Annotated[int, Meta(ge=0, le=255, description="bytes behind the end that belong to the frame, as a checksum")]


class FramingSettings(Settings, frozen=True, kw_only=True, tag_field="type"):
    checksum: ChecksumSettings | None = None
    max_length: MaxLength = 1024


class LineFraming(FramingSettings, frozen=True, kw_only=True, tag="line"):
    """Lines of text, ended by CR, LF or both. Empty lines are left out."""


class DelimiterFraming(FramingSettings, frozen=True, kw_only=True, tag="delimiter"):
    """Frames ended by certain bytes, which cannot be in them; with `after` these belong to the frame."""

    delimiter: Mark
    after: After = 0
    leave_out: Annotated[
        str,
        Meta(max_length=200, description="pattern of bytes that are no part of a frame, wherever they come"),
    ] = ""


class FixedFraming(FramingSettings, frozen=True, kw_only=True, tag="fixed"):
    """Frames of one length; `start` or a checksum lets it find its way again."""

    length: Annotated[int, Meta(ge=1, le=65_536, description="bytes of a frame, marks and checksum included")]
    start: Annotated[str, Meta(max_length=16, description="bytes every frame starts with")] = ""
    end: Annotated[str, Meta(max_length=16, description="bytes every frame ends with")] = ""


class LengthFraming(FramingSettings, frozen=True, kw_only=True, tag="length"):
    """Frames that say how long they are."""

    size: Annotated[Literal[1, 2, 4], Meta(description="bytes of the length field")] = 1
    byte_order: Annotated[Literal["big", "little"], Meta(description="order of its bytes")] = "big"
    offset: Annotated[int, Meta(ge=0, le=255, description="bytes before the length field")] = 0
    extra: Annotated[int, Meta(ge=-255, le=255, description="bytes behind the field that it does not count")] = 0
    start: Annotated[str, Meta(max_length=16, description="bytes every frame starts with")] = ""
    end: Annotated[str, Meta(max_length=16, description="bytes every frame ends with")] = ""


class MarksFraming(FramingSettings, frozen=True, kw_only=True, tag="marks"):
    """Frames between a start and an end mark; with a checksum, marks within the data do no harm."""

    start: Mark
    end: Mark
    after: After = 0
    keep_marks: Annotated[bool, Meta(description="whether the marks belong to the frame and its checksum")] = False


class IdleFraming(FramingSettings, frozen=True, kw_only=True, tag="idle"):
    """Frames with silence between them."""

    renamed: ClassVar[Mapping[str, str]] = {"gap_s": "gap"}
    gap: Annotated[float, Meta(gt=0, le=60, description="seconds of silence that end a frame")] = 0.05


class SlipFraming(FramingSettings, frozen=True, kw_only=True, tag="slip"):
    """SLIP, RFC 1055."""


class CobsFraming(FramingSettings, frozen=True, kw_only=True, tag="cobs"):
    """Consistent overhead byte stuffing, frames ended by zero (Cheshire and Baker, 1999)."""


Framing: TypeAlias = (
    LineFraming
    | DelimiterFraming
    | FixedFraming
    | LengthFraming
    | MarksFraming
    | IdleFraming
    | SlipFraming
    | CobsFraming
)
