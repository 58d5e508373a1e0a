"""What outputs may do: in which state, never two of a group, times between switching, a longest time on. No I/O."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .life_cycle import Life, OutputState


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
    changed_at: float | None = None
    """None until it has been switched for the first time: what it did before is not known."""
    state: OutputState = OutputState.CLOSED
    reserved: bool = False
    """Whether it will be on again in a moment."""


class Interlock:
    """All outputs and what they may do.

    Until it is known how an output was switched it may be on.

    Parameters:
        outputs: limits by name.
    """

    def __init__(self, outputs: Mapping[str, Limits]) -> None:
        self._outputs = {name: _Output(limits, limits.safe) for name, limits in outputs.items()}
        self.life = Life.CLOSED

    def is_on(self, name: str) -> bool:
        """Whether an output is on, may be, or will be again in a moment."""
        output = self._outputs[name]
        return output.on or output.state is not OutputState.READY or output.reserved

    def state(self, name: str) -> OutputState:
        """The state of an output."""
        return self._outputs[name].state

    def conflict(self, name: str) -> str:
        """Why an output must not be on now, whoever wants it: another of its group is. "" if it may."""
        group = self._outputs[name].limits.group
        for other, its in self._outputs.items():
            if group and other != name and its.limits.group == group and self.is_on(other):
                certainly = "is on" if its.state is OutputState.READY else "may be on"
                return f"{other} {certainly}, and both belong to {group!r}: switch that off first"
        return ""

    def reason_against(self, name: str, on: bool, now: float) -> str:
        """Why a command or a rule must not switch an output so now, "" if it may."""
        if self.life is not Life.OPEN:
            return f"outputs are {self.life.value}"
        if (state := self._outputs[name].state) is not OutputState.READY:
            return str(state.value)
        if on and (conflict := self.conflict(name)):
            return conflict
        if (left_s := self.wait_s(name, on, now)) > 0:
            return f"it has to stay {'off' if on else 'on'} for another {left_s:.1f} s"
        return ""

    def wait_s(self, name: str, on: bool, now: float) -> float:
        """Seconds until `min_on` or `min_off` let an output be switched so."""
        output = self._outputs[name]
        if on == output.on:
            return 0.0
        lasts_s = output.limits.min_on_s if output.on else output.limits.min_off_s
        return max(0.0, lasts_s - self._lasted_s(output, now))

    def on_left_s(self, name: str, now: float) -> float:
        """Seconds that an output may be on from now, by `max_on`."""
        output = self._outputs[name]
        if not output.limits.max_on_s:
            return math.inf
        return output.limits.max_on_s - (self._lasted_s(output, now) if output.on else 0.0)

    @staticmethod
    def _lasted_s(output: _Output, now: float) -> float:
        return 0.0 if output.changed_at is None else now - output.changed_at

    def mark_switched(self, name: str, on: bool, now: float) -> None:
        """An output was switched, which its chip has confirmed."""
        output = self._outputs[name]
        if on != output.on or output.changed_at is None:
            output.changed_at = now
        output.on, output.state = on, OutputState.READY

    def mark_uncertain(self, name: str) -> None:
        """An output is commanded, or interrupted: it may be on, until it is switched."""
        output = self._outputs[name]
        if output.state is OutputState.READY:
            output.state = OutputState.UNCERTAIN

    def mark_closed(self, name: str) -> None:
        """The line of an output is given back: it may be on."""
        self._outputs[name].state = OutputState.CLOSED

    def reserve(self, name: str, reserved: bool) -> None:
        """An output is off only for a moment, within a pattern."""
        self._outputs[name].reserved = reserved

    def overdue(self, now: float) -> Sequence[str]:
        """Outputs that have been on for longer than they may."""
        return [name for name, output in self._outputs.items() if output.on and self.on_left_s(name, now) <= 0]
