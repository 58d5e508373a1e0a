"""What edges mean: pulses, frequency and duty, turns of an encoder. No I/O."""

from __future__ import annotations

from collections.abc import Iterable

RISING = 1
Edge = tuple[int, int, int, int, int]
"""Time in nanoseconds, RISING or not, offset of the line, and two numbers."""

_STANDSTILL_NS = 10_000_000_000
"""Without a rise for this long a signal is none."""
_STEPS = {0b0001: 1, 0b0111: 1, 0b1110: 1, 0b1000: 1, 0b0010: -1, 0b1011: -1, 0b1101: -1, 0b0100: -1}
"""Old and new state of A (bit 1) and B (bit 0): a step forward or back. Others are none, or two at once."""


class FrequencyMeter:
    """Frequency and duty of a signal between two reports.

    Parameters:
        on: the level at first.
        now_ns: the time.
    """

    def __init__(self, on: bool, now_ns: int) -> None:
        self._on, self._changed_ns = on, now_ns
        self._on_ns = 0
        self._first_ns = self._last_ns = 0
        self._rises = 0
        self._hertz = 0.0

    def feed(self, edges: Iterable[Edge]) -> None:
        """Takes edges in their order."""
        for time_ns, kind, *_ in edges:
            if self._on:
                self._on_ns += time_ns - self._changed_ns
            self._on, self._changed_ns = kind == RISING, time_ns
            if self._on:
                self._first_ns = self._first_ns or time_ns
                self._last_ns = time_ns
                self._rises += 1

    def report(self, since_ns: int, now_ns: int) -> tuple[float, float]:
        """Hertz, from whole periods, 0 after 10 s without one; and the share of the time that it was on."""
        on_ns = self._on_ns + (now_ns - max(self._changed_ns, since_ns) if self._on else 0)
        duty = min(max(on_ns / (now_ns - since_ns), 0.0), 1.0) if now_ns > since_ns else float(self._on)
        self._on_ns, self._changed_ns = 0, now_ns
        if periods_ns := self._last_ns - self._first_ns:
            self._hertz = (self._rises - 1) * 1e9 / periods_ns
        elif self._hertz and now_ns > self._last_ns:
            # A period that lasts longer than those before: it cannot be faster than this.
            self._hertz = min(self._hertz, 1e9 / (now_ns - self._last_ns))
        # The last rise begins the next report's first period.
        self._first_ns, self._rises = self._last_ns, min(self._rises, 1)
        return self._hertz if now_ns - self._last_ns < _STANDSTILL_NS else 0.0, duty


class Quadrature:
    """Turns of an incremental encoder, four steps to each of its lines' periods.

    Parameters:
        a: offset of line A.
        state: values at first, A in bit 0 and B in bit 1, as lines give them.
    """

    def __init__(self, a: int, state: int) -> None:
        self._a = a
        self._state = _ab(state)
        self.position = 0
        self.slips = 0
        """How often both lines had changed between two looks: two steps that nobody can tell the direction of."""

    def feed(self, edges: Iterable[Edge]) -> None:
        """Takes edges of both lines in their order."""
        for _, kind, offset, *_ in edges:
            bit = 0b10 if offset == self._a else 0b01
            self._move(self._state | bit if kind == RISING else self._state & ~bit)

    def resync(self, state: int) -> None:
        """After edges were lost: how the lines stand now."""
        self._move(_ab(state))

    def _move(self, state: int) -> None:
        step = _STEPS.get(self._state << 2 | state, 0)
        self.slips += self._state ^ state == 0b11
        self.position += step
        self._state = state


def _ab(values: int) -> int:
    return (values & 1) << 1 | values >> 1 & 1
