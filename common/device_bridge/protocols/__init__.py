"""The author's tools for bytes. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iofog_sdk.lazy import lazy_exports

if TYPE_CHECKING:
    from .checksums import Checksum, ChecksumSettings
    from .exchange import Exchange, Question, Verdict
    from .fields import FieldSettings, Raw, RecordField, at_path, scaled
    from .framing import (
        CobsFraming,
        DelimiterFraming,
        FixedFraming,
        Framer,
        Framing,
        IdleFraming,
        LengthFraming,
        LineFraming,
        MarksFraming,
        SlipFraming,
        framer_for,
    )
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "checksums": ("Checksum", "ChecksumSettings"),
            "exchange": ("Exchange", "Question", "Verdict"),
            "fields": ("FieldSettings", "Raw", "RecordField", "at_path", "scaled"),
            "framing": (
                "CobsFraming",
                "DelimiterFraming",
                "FixedFraming",
                "Framer",
                "Framing",
                "IdleFraming",
                "LengthFraming",
                "LineFraming",
                "MarksFraming",
                "SlipFraming",
                "framer_for",
            ),
        },
    )

__all__ = [
    "Checksum",
    "ChecksumSettings",
    "CobsFraming",
    "DelimiterFraming",
    "Exchange",
    "FieldSettings",
    "FixedFraming",
    "Framer",
    "Framing",
    "IdleFraming",
    "LengthFraming",
    "LineFraming",
    "MarksFraming",
    "Question",
    "Raw",
    "RecordField",
    "SlipFraming",
    "Verdict",
    "at_path",
    "framer_for",
    "scaled",
]
