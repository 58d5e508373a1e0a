"""The author's tools for bytes. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iofog_sdk.lazy import lazy_exports

if TYPE_CHECKING:
    from .checksums import AlgorithmSettings, Checksum, ChecksumSettings
    from .escapes import unescaped
    from .exchange import Exchange, Question, Verdict
    from .fields import FieldSettings, Raw, RecordField, at_path, scaled
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
    from .patterns import Pattern
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "checksums": ("AlgorithmSettings", "Checksum", "ChecksumSettings"),
            "escapes": ("unescaped",),
            "exchange": ("Exchange", "Question", "Verdict"),
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
            "patterns": ("Pattern",),
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
    "framer_for",
    "layout_of",
    "scaled",
    "unescaped",
]
