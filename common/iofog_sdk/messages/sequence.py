"""For receivers: detects gaps and duplicates by the sequence numbers of messages.

A sender gives each of its runs a `groupid` and numbers the messages of the run from 1 in `sequencenumber`.
"""

from __future__ import annotations

from collections import OrderedDict

from .iomessage import IoMessage


class SequenceTracker:
    """Tracks the sequences of any number of senders.

    Parameters:
        from_start: whether messages before the first one received count as missing; false for a receiver that may
            start later than the sender.
        window: numbers below the highest one that are tracked individually; an older late message counts as a
            duplicate.
        max_groups: sequences remembered; the least recently used one is dropped first.
    """

    def __init__(self, *, from_start: bool = False, window: int = 4096, max_groups: int = 1024) -> None:
        self._from_start = from_start
        self._window = window
        self._max_groups = max_groups
        self._groups: OrderedDict[str, _Group] = OrderedDict()
        self.received = 0
        """Messages received for the first time."""
        self.duplicates = 0
        """Messages received before."""
        self.reordered = 0
        """Messages received after one with a higher number."""
        self.missing = 0
        """Skipped numbers that have not been received since."""

    def is_new(self, message: IoMessage) -> bool:
        """Records a message; false when it is a duplicate. A message without a number is always new."""
        number = message.sequencenumber
        if number > 0 and message.groupid and not self._is_new(self._group(message.groupid, number), number):
            self.duplicates += 1
            return False
        self.received += 1
        return True

    def _group(self, name: str, number: int) -> _Group:
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = _Group(0 if self._from_start else number - 1)
            if len(self._groups) > self._max_groups:
                self._groups.popitem(last=False)
        else:
            self._groups.move_to_end(name)
        return group

    def _is_new(self, group: _Group, number: int) -> bool:
        ahead = number - group.highest
        if ahead > 0:
            self.missing += ahead - 1
            if ahead > 1 or group.gaps:
                kept = min(ahead, self._window)
                group.gaps = (group.gaps << kept | (1 << kept) - 2) & (1 << self._window) - 1
            group.highest = number
            return True
        if ahead <= -self._window or not group.gaps >> -ahead & 1:
            return False
        group.gaps ^= 1 << -ahead
        self.missing -= 1
        self.reordered += 1
        return True


class _Group:
    """Bit n of `gaps` says that the number n below the highest one is missing."""

    __slots__ = ("gaps", "highest")

    def __init__(self, highest: int) -> None:
        self.highest, self.gaps = highest, 0
