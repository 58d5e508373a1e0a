"""What the dashboard knows: sources, live values, accounting, events. No I/O; time is given by the caller."""

from .accounts import Account, Kept
from .arrivals import Arrival, CommandResult, read_message
from .board import Board, Limits
from .buckets import QUALITIES, RANK, STEP_S, Bucket, BucketKey, Buckets
from .events import Event, Kind
from .frames import Frame, changes, snapshot, source_view
from .sources import LiveQuantity, Source

__all__ = [
    "QUALITIES",
    "RANK",
    "STEP_S",
    "Account",
    "Arrival",
    "Board",
    "Bucket",
    "BucketKey",
    "Buckets",
    "CommandResult",
    "Event",
    "Frame",
    "Kept",
    "Kind",
    "Limits",
    "LiveQuantity",
    "Source",
    "changes",
    "read_message",
    "snapshot",
    "source_view",
]
