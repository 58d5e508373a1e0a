"""ioMessages: encodings, tags, sequence numbers, and SenML content. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy_exports

if TYPE_CHECKING:
    from .content import decode_json
    from .iomessage import IoMessage, MessageTemplate
    from .limits import INT32_MAX
    from .senml import SENML_TYPE, SenmlError, SenmlRecord, parse_senml, sanitize_name, split_by_quantity
    from .sequence import SequenceTracker
    from .tag import Address, address_of
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "content": ("decode_json",),
            "iomessage": ("IoMessage", "MessageTemplate"),
            "limits": ("INT32_MAX",),
            "sequence": ("SequenceTracker",),
            "senml": ("SENML_TYPE", "SenmlError", "SenmlRecord", "parse_senml", "sanitize_name", "split_by_quantity"),
            "tag": ("Address", "address_of"),
        },
    )

__all__ = [
    "INT32_MAX",
    "SENML_TYPE",
    "Address",
    "IoMessage",
    "MessageTemplate",
    "SenmlError",
    "SenmlRecord",
    "SequenceTracker",
    "address_of",
    "decode_json",
    "parse_senml",
    "sanitize_name",
    "split_by_quantity",
]
