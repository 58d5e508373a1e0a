"""What edges mean: pulses and their rate, duty, turns of an encoder. No I/O."""

from __future__ import annotations

RISING = 1
_STEPS = {0b0001: 1, 0b0111: 1, 0b1110: 1, 0b1000: 1, 0b0010: -1, 0b1011: -1, 0b1101: -1, 0b0100: -1}
"""Old and new state of A (bit 1) and B (bit 0): a step forward or back. Others are none, or two at once."""


class RateMeter:
    """Pulses a second, from the times between them.

    Parameters:
        standstill_s: without a pulse for so long there is no rate.
        now_ns: the time; nothing is known of pulses before.
    """

    def __init__(self, standstill_s: float, now_ns: int) -> None:
        self._standstill_ns = round(standstill_s * 1e9)
        self._began_ns = now_ns
        self._before_ns: int | None = None
        """The last pulse before the last report."""
        self._first_ns = self._last_ns = 0
        self._count = self._after_first = 0
        self._was_steady = False
        self._rate: float | None = None

    def feed(self, first_ns: int, last_ns: int, count: int, dropped: int = 0) -> None:
        """Takes pulses.

        Parameters:
            first_ns, last_ns: times of the first and the last of them, in nanoseconds.
            count: how many, these included.
            dropped: how many there were before, at times that are not known.
        """
        if self._count:
            self._after_first += dropped + count
        else:
            self._first_ns, self._after_first = first_ns, count - 1
        self._count += dropped + count
        self._last_ns = last_ns

    def report(self, now_ns: int) -> float | None:
        """Pulses a second since the last report; None while nothing is known."""
        if not self._count:
            self._was_steady = False
            silent_ns = now_ns - (self._began_ns if self._before_ns is None else self._before_ns)
            if silent_ns >= self._standstill_ns:
                self._rate = 0.0
            elif self._rate:
                self._rate = min(self._rate, 1e9 / silent_ns)  # it cannot be faster than that
            return self._rate
        self._rate = self._measured()
        self._before_ns, self._was_steady = self._last_ns, True
        self._count = self._after_first = 0
        return self._rate

    def _measured(self) -> float | None:
        """From the last pulse before, unless it belongs to a time before a pause; then from the first one."""
        before_ns = self._before_ns
        is_one_train = before_ns is not None and self._first_ns - before_ns < self._standstill_ns
        if before_ns is not None and is_one_train and (self._was_steady or not self._after_first):
            periods, lasted_ns = self._count, self._last_ns - before_ns
        else:
            periods, lasted_ns = self._after_first, self._last_ns - self._first_ns
        return periods * 1e9 / lasted_ns if periods and lasted_ns > 0 else None


class DutyMeter:
    """The share of the time that a signal is on.

    Parameters:
        on: the level at first.
        now_ns: the time.
    """

    def __init__(self, on: bool, now_ns: int) -> None:
        self._on, self._changed_ns = on, now_ns
        self._on_ns = self._known_ns = 0

    def feed(self, time_ns: int, on: bool, *, dropped: bool = False) -> None:
        """Takes an edge; with `dropped` there were others before it, and the time before it is left out."""
        self._pass(time_ns, is_known=not dropped)
        self._on = on

    def look(self, on: bool, now_ns: int) -> None:
        """The level as it is now."""
        self._pass(now_ns, is_known=on == self._on)
        self._on = on

    def report(self, now_ns: int) -> float | None:
        """0 to 1 since the last report; None when nothing is known of that time."""
        self._pass(now_ns, is_known=True)
        duty = self._on_ns / self._known_ns if self._known_ns > 0 else None
        self._on_ns = self._known_ns = 0
        return duty if duty is None else min(max(duty, 0.0), 1.0)

    def _pass(self, time_ns: int, *, is_known: bool) -> None:
        """The level has lasted until this time; one before the last time takes back what was counted since."""
        lasted_ns, self._changed_ns = time_ns - self._changed_ns, time_ns
        if is_known:
            self._known_ns += lasted_ns
            self._on_ns += lasted_ns if self._on else 0


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
        self.errors = 0
        """How often both lines had changed between two looks: two steps of unknown direction."""

    def feed(self, kind: int, offset: int) -> None:
        """Takes an edge of one of the lines."""
        bit = 0b10 if offset == self._a else 0b01
        self._move(self._state | bit if kind == RISING else self._state & ~bit)

    def look(self, state: int) -> None:
        """The lines as they are now, after edges were lost."""
        self._move(_ab(state))

    def _move(self, state: int) -> None:
        self.errors += self._state ^ state == 0b11
        self.position += _STEPS.get(self._state << 2 | state, 0)
        self._state = state


def _ab(values: int) -> int:
    return (values & 1) << 1 | values >> 1 & 1
