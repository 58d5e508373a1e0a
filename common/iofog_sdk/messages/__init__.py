"""ioMessages: their forms, tags and numbering. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy_exports

if TYPE_CHECKING:
    from .iomessage import IoMessage, MessageTemplate
    from .senml_split import SenmlRecord, safe, senml_records, split_by_quantity
    from .sequence import SequenceTracker
    from .tag import Address, address_of
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "iomessage": ("IoMessage", "MessageTemplate"),
            "sequence": ("SequenceTracker",),
            "senml_split": ("SenmlRecord", "safe", "senml_records", "split_by_quantity"),
            "tag": ("Address", "address_of"),
        },
    )

__all__ = [
    "Address",
    "IoMessage",
    "MessageTemplate",
    "SenmlRecord",
    "SequenceTracker",
    "address_of",
    "safe",
    "senml_records",
    "split_by_quantity",
]
