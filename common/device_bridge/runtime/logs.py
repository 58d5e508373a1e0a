"""Log lines: JSON objects in containers, plain text on a terminal. Both go to standard error.

What is passed as `extra={"data": {...}}` becomes members of the JSON object.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

import msgspec

from ..clocks import utc_text
from ..secrets import without_url_secrets


def configure(level: str = "info", stream: TextIO | None = None) -> None:
    """Sends all logging to `stream`, standard error by default, in the form that fits it."""
    target = stream or sys.stderr
    handler = logging.StreamHandler(target)
    handler.setFormatter(_HumanFormatter() if target.isatty() else _JsonFormatter())
    logging.basicConfig(handlers=[handler], force=True)
    set_level(level)


def set_level(level: str) -> None:
    """Changes the least level of log lines."""
    logging.getLogger().setLevel(level.upper())


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": f"{utc_text(record.created)}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": without_url_secrets(record.getMessage()),
        }
        line |= getattr(record, "data", {})
        if record.exc_info:
            line["traceback"] = without_url_secrets(self.formatException(record.exc_info))
        return msgspec.json.encode(line).decode()


class _HumanFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s", datefmt="%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        return without_url_secrets(super().format(record))

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        try:
            return super().formatTime(record, datefmt)
        except (OverflowError, OSError):  # the C library's times end in 2038
            return utc_text(record.created)[11:]
