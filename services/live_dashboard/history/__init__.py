"""What is kept for charts and across restarts: SQLite, in a thread of its own, bounded in bytes."""

from .database import KeptQuantity, Remembered
from .history import History, Series

__all__ = ["History", "KeptQuantity", "Remembered", "Series"]
