"""The connection to the broker: what comes by it, what goes by it, and what is logged about it once."""

from .log_once import LogOnce
from .session import Session

__all__ = ["LogOnce", "Session"]
