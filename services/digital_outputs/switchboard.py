"""What outputs may do: never two of a group, times between switching, a longest time on. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Limits(NamedTuple):
    """What one output may do.

    Parameters:
        safe: its safe state.
        group: outputs of a group are never on together; "" for none.
        min_on_s: once on, it stays on for so long.
        min_off_s: once off, it stays off for so long.
        max_on_s: then it goes to its safe state; 0 for never.
    """

    safe: bool = False
    group: str = ""
    min_on_s: float = 0.0
    min_off_s: float = 0.0
    max_on_s: float = 0.0


@dataclass
class _Output:
    limits: Limits
    on: bool
    changed_at: float
    certain: bool = True
    """Whether the last switching is known to have happened."""


class Switchboard:
    """All outputs and what they may do.

    Parameters:
        outputs: limits by name.
        now: seconds.
    """

    def __init__(self, outputs: Mapping[str, Limits], now: float) -> None:
        # As if just switched: what they did before, nobody knows.
        self._outputs = {name: _Output(limits, limits.safe, now) for name, limits in outputs.items()}

    def is_on(self, name: str) -> bool:
        """Whether an output is on, or may be."""
        output = self._outputs[name]
        return output.on or not output.certain

    def conflict(self, name: str) -> str:
        """Why an output must not be on now, whoever wants it: another of its group is. "" if it may."""
        group = self._outputs[name].limits.group
        for other, its in self._outputs.items():
            if group and other != name and its.limits.group == group and self.is_on(other):
                return f"{other} is on, and both belong to {group!r}: switch that off first"
        return ""

    def objection(self, name: str, on: bool, now: float) -> str:
        """Why a command or a rule must not switch an output so now, "" if it may."""
        output = self._outputs[name]
        if on and (conflict := self.conflict(name)):
            return conflict
        if on == output.on:
            return ""
        lasts_s = output.limits.min_on_s if output.on else output.limits.min_off_s
        left_s = output.changed_at + lasts_s - now
        if left_s > 0:
            return f"it has to stay {'on' if output.on else 'off'} for another {left_s:.1f} s"
        return ""

    def switched(self, name: str, on: bool, now: float) -> None:
        """An output was switched, and it is certain."""
        output = self._outputs[name]
        if on != output.on:
            output.changed_at = now
        output.on, output.certain = on, True

    def doubted(self, name: str) -> None:
        """Switching an output has failed: it may be on."""
        self._outputs[name].certain = False

    def overdue(self, now: float) -> Sequence[str]:
        """Outputs that have been on for longer than they may."""
        return [
            name
            for name, output in self._outputs.items()
            if output.on and output.limits.max_on_s and now - output.changed_at >= output.limits.max_on_s
        ]
