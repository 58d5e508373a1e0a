"""The outbox's files: records in segments, what recovers them, and the file system below."""

from __future__ import annotations

from .disk import Disk
from .store import Store

__all__ = ["Disk", "Store"]
