"""The page over HTTP: files, JSON, CSV, a stream of frames, commands."""

from .server import PageServer
from .switching import CommandFailed, Switching

__all__ = ["CommandFailed", "PageServer", "Switching"]
