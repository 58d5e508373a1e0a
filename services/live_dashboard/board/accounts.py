"""Accounting of one sender's messages by `groupid` and `sequencenumber`: what came, came twice, or is missing."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import NamedTuple

import msgspec

from iofog_sdk import IoMessage, SequenceTracker

_GROUPS = 4
"""Runs of a sender whose numbers are remembered: after a restart the last messages of the run before may come."""
_PARTS, _MORE_PARTS = 64, 4096
"""Of a run: messages of which further parts may come, and such parts that are remembered."""
_BEFORE = 4096
_RATE_OVER_S = 10


class Kept(msgspec.Struct):
    """An account as it survives a restart.

    Parameters:
        received, duplicates, late, missing: of all runs.
        runs: seen so far.
        group, highest: where the last run was.
    """

    received: int = 0
    duplicates: int = 0
    late: int = 0
    missing: int = 0
    runs: int = 0
    group: str = ""
    highest: int = 0


class Verdict(NamedTuple):
    """What a message was.

    Parameters:
        is_new: whether it is to be read.
        missing: numbers that were skipped just before it.
        is_late: whether it had been missing.
        is_restart: whether it begins another run.
    """

    is_new: bool
    missing: int = 0
    is_late: bool = False
    is_restart: bool = False


AS_EXPECTED = Verdict(is_new=True)
"""Of nearly all messages."""


class _Rate:
    """Counts by second, of the last ones."""

    def __init__(self) -> None:
        self._counts: deque[list[int]] = deque(maxlen=_RATE_OVER_S + 1)
        self._first = 0

    def count(self, now: float) -> None:
        second = int(now)
        self._first = self._first or second
        if self._counts and self._counts[-1][0] == second:
            self._counts[-1][1] += 1
        else:
            self._counts.append([second, 1])

    def of(self, now: float) -> float:
        end = int(now)
        over = min(_RATE_OVER_S, max(end - self._first, 1))
        return sum(count for second, count in self._counts if end - over <= second < end) / over


class _Run:
    def __init__(self, *, from_start: bool, highest: int = 0) -> None:
        self.tracker = SequenceTracker(from_start=from_start, max_groups=1)
        self.highest = 0
        self._parts: OrderedDict[int, str] = OrderedDict()
        self._more_parts: OrderedDict[tuple[int, str], None] = OrderedDict()
        self._number = IoMessage(groupid="run")
        self._first: int | None = 0 if from_start else None
        self._before: set[int] = set()
        if highest:
            self._is_new(highest)

    def is_new(self, number: int, part: str) -> bool:
        """Notes a number and which part has come; whether the number comes for the first time."""
        if not self._is_new(number):
            return False
        self._parts[number] = part
        if len(self._parts) > _PARTS:
            self._parts.popitem(last=False)
        return True

    def is_another_part(self, number: int, part: str) -> bool:
        """Notes a part of a message of which another one has come first; false when it has come before, too."""
        first = self._parts.get(number)
        if first is None or part == first or (number, part) in self._more_parts:
            return False
        self._more_parts[number, part] = None
        if len(self._more_parts) > _MORE_PARTS:
            self._more_parts.popitem(last=False)
        return True

    def _is_new(self, number: int) -> bool:
        if self._first is None:
            self._first = number
        self.highest = max(self.highest, number)
        if number < self._first:  # nobody has listened when it was due, so it was not missing
            if number in self._before or len(self._before) >= _BEFORE:
                return False
            self._before.add(number)
            return True
        self._number.sequencenumber = number
        return self.tracker.is_new(self._number)


class Account:
    """The account of one sender.

    Parameters:
        kept: from before a restart of the dashboard.
    """

    def __init__(self, kept: Kept | None = None) -> None:
        self._before = kept or Kept()
        self._runs: OrderedDict[str, _Run] = OrderedDict()
        self.received, self.duplicates = self._before.received, self._before.duplicates
        self.late, self.missing = self._before.late, self._before.missing
        self.runs = self._before.runs
        self._group = self._before.group
        self._rate = _Rate()
        if self._before.group:
            self._runs[self._before.group] = _Run(from_start=False, highest=self._before.highest)

    def take(self, group: str, number: int, part: str, now: float) -> Verdict:
        """Counts a message.

        Parameters:
            group, number: of the message; without them nothing can be missing.
            part: tells parts of one message apart.
            now: in seconds, for the rate.
        """
        if not group or number <= 0:
            self._count(now)
            return AS_EXPECTED
        run, is_restart = self._run(group)
        tracker = run.tracker
        missing, late = tracker.missing, tracker.reordered
        if not run.is_new(number, part):
            if run.is_another_part(number, part):
                return Verdict(is_new=True, is_restart=is_restart)
            self.duplicates += 1
            return Verdict(is_new=False)
        self._count(now)
        if not is_restart and tracker.missing == missing and tracker.reordered == late:
            return AS_EXPECTED
        skipped, is_late = max(tracker.missing - missing, 0), tracker.reordered > late
        self.missing += tracker.missing - missing
        self.late += is_late
        return Verdict(is_new=True, missing=skipped, is_late=is_late, is_restart=is_restart)

    def rate(self, now: float) -> float:
        """Messages a second over the last ten."""
        return self._rate.of(now)

    def kept(self) -> Kept:
        """What survives a restart."""
        run = self._runs.get(self._group)
        return Kept(
            received=self.received,
            duplicates=self.duplicates,
            late=self.late,
            missing=self.missing,
            runs=self.runs,
            group=self._group,
            highest=run.highest if run else 0,
        )

    def _run(self, group: str) -> tuple[_Run, bool]:
        run = self._runs.get(group)
        if run is not None:
            return run, False
        is_restart = self.runs > 0
        # Who has listened all the time misses what comes before the first message of a new run.
        run = self._runs[group] = _Run(from_start=is_restart)
        self.runs += 1
        self._group = group
        if len(self._runs) > _GROUPS:
            self._runs.popitem(last=False)
        return run, is_restart

    def _count(self, now: float) -> None:
        self.received += 1
        self._rate.count(now)
