"""Log lines: JSON objects in containers, plain text on a terminal. Both go to standard error.

What is passed as `extra={"data": {...}}` becomes members of the JSON object. A reader that stops reading never stops
the service: unread lines are given up and counted. Lines that repeat are summed up.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import msgspec

from iofog_sdk import BackgroundWriter

from ..clocks import monotonic, utc_text
from ..secrets import without_url_secrets
from .metrics import Metric
from .repeated_lines import RepeatedLines

BRIDGE: ContextVar[str] = ContextVar("bridge", default="")
"""The bridge that logs, of several in one process."""
_BUFFER_BYTES = 256 * 1024
_FLUSH_S = 1.0
"""Seconds that the end of the process waits for a reader."""


class LogHandler(logging.Handler):
    """Writes lines without ever waiting for who reads them.

    Parameters:
        fd: file descriptor to write to.
    """

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._writer = BackgroundWriter(fd, "log")
        self._repeated = RepeatedLines()
        self.unread = 0
        """Lines given up unread."""
        self._unreported = 0
        self._is_stuck = False
        self.setFormatter(_HumanFormatter() if os.isatty(fd) else _JsonFormatter())

    @property
    def repeated(self) -> int:
        """Lines that were counted instead of written."""
        return self._repeated.suppressed

    def emit(self, record: logging.LogRecord) -> None:
        now = monotonic()
        record.bridge = BRIDGE.get()
        self._write_all(self._repeated.due(now))
        if self._repeated.admits(record, now):
            self._write(record)

    def report(self) -> None:
        """Writes the summaries that are due; to be called now and then."""
        self.acquire()
        try:
            self._write_all(self._repeated.due(monotonic()))
        finally:
            self.release()

    def flush(self) -> None:
        """Waits a second at most, and not again, until all is written; called at the end of the process."""
        self.acquire()
        try:
            self._write_all(self._repeated.due(float("inf")))
        finally:
            self.release()
        self._is_stuck = not self._writer.flush(0 if self._is_stuck else _FLUSH_S)

    def _write_all(self, records: list[logging.LogRecord]) -> None:
        for record in records:
            self._write(record)

    def _write(self, record: logging.LogRecord) -> None:
        try:
            line = f"{self.format(record)}\n".encode("utf-8", "backslashreplace")
        except Exception as error:  # logging itself must not fail
            line = f"log line of {record.pathname}:{record.lineno} cannot be formatted: {error!r}\n".encode()
        if self._writer.waiting_bytes + len(line) > _BUFFER_BYTES:
            self.unread += 1
            self._unreported += 1
            return
        if self._unreported:
            count, self._unreported = self._unreported, 0
            text = "%d log lines were given up unread"
            self._write(logging.LogRecord("device_bridge", logging.WARNING, "", 0, text, (count,), None))
        self._writer.write(line)


def _is_no_loss_reported_by_a_library(record: logging.LogRecord) -> bool:
    """Leaves out what asyncio and nats-py say of a lost connection: its link says so, in one line, with a remedy."""
    if record.name not in ("asyncio", "nats.aio.client"):
        return True
    failed = record.exc_info[1] if record.exc_info else None
    return not isinstance(failed, OSError) and not record.getMessage().startswith(
        "returning true from eof_received()"
    )


_handler: LogHandler | None = None


def configure(level: str = "info", fd: int = 2) -> LogHandler:
    """Sends all logging to a descriptor, standard error by default, in the form that fits it."""
    global _handler  # noqa: PLW0603 - logging is the process's
    _handler = LogHandler(fd)
    _handler.addFilter(_is_no_loss_reported_by_a_library)
    logging.basicConfig(handlers=[_handler], force=True)
    set_level(level)
    return _handler


def set_level(level: str) -> None:
    """Changes the minimum level of log lines."""
    logging.getLogger().setLevel(level.upper())


def report_repeated() -> None:
    """Writes the summaries of repeated lines that are due; to be called now and then."""
    if _handler is not None:
        _handler.report()


def log_metrics() -> Iterator[Metric]:
    """For `/metrics`."""
    if _handler is not None:
        name, text = "bridge_log_lines_dropped_total", "Log lines that were not written."
        yield Metric(name, "counter", text, _handler.repeated, {"reason": "repeated"})
        yield Metric(name, "counter", text, _handler.unread, {"reason": "not read"})


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": f"{utc_text(record.created)}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _encodable(without_url_secrets(record.getMessage())),
        }
        if bridge := getattr(record, "bridge", ""):
            line["bridge"] = bridge
        line |= getattr(record, "data", {})
        if record.exc_info:
            line["traceback"] = _encodable(without_url_secrets(self.formatException(record.exc_info)))
        return msgspec.json.encode(line).decode()


def _encodable(text: str) -> str:
    """Text that may hold lone surrogates, as those of file names, so that UTF-8 can carry it."""
    return text.encode("utf-8", "backslashreplace").decode()


class _HumanFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s", datefmt="%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        bridge = getattr(record, "bridge", "")
        return without_url_secrets(super().format(record) + (f" [{bridge}]" if bridge else ""))

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        try:
            return super().formatTime(record, datefmt)
        except (OverflowError, OSError):  # the C library's times end in 2038
            return utc_text(record.created)[11:]
