"""The author's tools for bytes. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iofog_sdk.lazy import lazy_exports

if TYPE_CHECKING:
    from ..reading import scaled
    from .checksums import AlgorithmSettings, Checksum, ChecksumSettings
    from .escapes import unescaped
    from .fields import FieldSettings, Raw, RecordField, at_path
    from .framer import Framer
    from .framing import framer_for
    from .framing_settings import (
        CobsFraming,
        DelimiterFraming,
        FixedFraming,
        Framing,
        IdleFraming,
        LengthFraming,
        LineFraming,
        MarksFraming,
        SlipFraming,
    )
    from .layouts import layout_of
    from .loose_json import decoded_json
    from .numerals import short_float32
    from .patterns import Pattern
    from .questions.exchange import Exchange
    from .questions.question import Question, Verdict
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "checksums": ("AlgorithmSettings", "Checksum", "ChecksumSettings"),
            "escapes": ("unescaped",),
            "fields": ("FieldSettings", "Raw", "RecordField", "at_path", "scaled"),
            "framer": ("Framer",),
            "framing": ("framer_for",),
            "framing_settings": (
                "CobsFraming",
                "DelimiterFraming",
                "FixedFraming",
                "Framing",
                "IdleFraming",
                "LengthFraming",
                "LineFraming",
                "MarksFraming",
                "SlipFraming",
            ),
            "layouts": ("layout_of",),
            "loose_json": ("decoded_json",),
            "numerals": ("short_float32",),
            "patterns": ("Pattern",),
            "questions.exchange": ("Exchange",),
            "questions.question": ("Question", "Verdict"),
        },
    )

__all__ = [
    "AlgorithmSettings",
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
    "Pattern",
    "Question",
    "Raw",
    "RecordField",
    "SlipFraming",
    "Verdict",
    "at_path",
    "decoded_json",
    "framer_for",
    "layout_of",
    "scaled",
    "short_float32",
    "unescaped",
]
