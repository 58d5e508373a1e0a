"""Log lines that say the same again and again, as a steady failure does: some are written, the rest are summed up.

No I/O. Lines are the same when they differ in nothing but numbers.
"""

from __future__ import annotations

import logging
import re

BURST = 20
"""Lines of a kind that are written at once; one more after each of these times."""
_REFILL_S = 180.0
_FIRST_SUMMARY_S = 60.0
_MAX_SUMMARY_S = 3600.0
MAX_KINDS = 200
_MAX_KEY = 200
_NUMBER = re.compile(r"\b(?:\d[\d.]*|[0-9a-f-]{8,})\b")


class _Kind:
    __slots__ = ("counted", "last", "since", "summary_at", "summary_s", "tokens")

    def __init__(self, now: float) -> None:
        self.tokens, self.since = float(BURST), now
        self.summary_at, self.summary_s = now + _FIRST_SUMMARY_S, _FIRST_SUMMARY_S
        self.counted = 0
        self.last: logging.LogRecord | None = None

    def refill(self, now: float) -> None:
        self.tokens, self.since = min(float(BURST), self.tokens + (now - self.since) / _REFILL_S), now


class RepeatedLines:
    """Decides which lines are written, and makes the summaries of the others.

    A summary is due after a minute, then after two, four and so on to an hour, while the line keeps repeating. Debug
    lines are never counted: who asks for them wants all.
    """

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, int, str], _Kind] = {}
        self._next_at = float("inf")
        self.suppressed = 0
        """Lines counted instead of written."""

    def __len__(self) -> int:
        return len(self._kinds)

    def admits(self, record: logging.LogRecord, now: float) -> bool:
        """Whether this line is to be written; otherwise it has been counted.

        Parameters:
            record: the line.
            now: seconds of a clock that never steps.
        """
        if record.levelno <= logging.DEBUG:
            return True
        try:
            text = record.getMessage()
        except Exception:  # its arguments do not fit; who formats it says so
            text = str(record.msg)
        bridge = getattr(record, "bridge", "")
        key = (f"{record.name} {bridge}", record.levelno, _NUMBER.sub("#", text[:_MAX_KEY]))
        if key not in self._kinds and len(self._kinds) >= MAX_KINDS:
            key = ("", record.levelno, "")  # all others count as one
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = _Kind(now)
            self._next_at = min(self._next_at, kind.summary_at)
        kind.refill(now)
        if kind.tokens >= 1:
            kind.tokens -= 1
            return True
        kind.counted += 1
        self.suppressed += 1
        where = (record.name, record.levelno, record.pathname, record.lineno)
        kind.last = logging.LogRecord(*where, text, None, None, record.funcName)
        kind.last.bridge = bridge
        return False

    def due(self, now: float) -> list[logging.LogRecord]:
        """The summaries that are due; at infinity, all that is left to be said."""
        if now < self._next_at:
            return []
        summaries = []
        for key, kind in list(self._kinds.items()):
            if now < kind.summary_at:
                continue
            if kind.last is not None:
                summary, kind.last = kind.last, None
                summary.msg = f"{summary.msg} (and {kind.counted} more like it in {kind.summary_s:g} s)"
                summary.__dict__["data"] = {"repeated": kind.counted}
                summaries.append(summary)
                kind.summary_s = min(2 * kind.summary_s, _MAX_SUMMARY_S)
                kind.counted = 0
            else:
                kind.refill(now)
                kind.summary_s = _FIRST_SUMMARY_S
            kind.summary_at = now + kind.summary_s
            if kind.tokens >= BURST:
                del self._kinds[key]
        self._next_at = min((kind.summary_at for kind in self._kinds.values()), default=float("inf"))
        return summaries
