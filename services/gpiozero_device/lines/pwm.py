"""Pulse width modulation in software: one thread switches all lines at their times."""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from device_bridge import DeviceError

_END_S = 5.0
_SLACK_NS = 1000
"""How much later than asked for the kernel may wake this thread; the default is 50 us."""
_SHORT_S = 0.003
_SPIN_S = 0.0002
"""The end of a short pulse, as a servo's, is waited for awake: 0.1 ms are 18 degrees of a servo of 180."""
_SWITCH_S = 0.0005
"""How long another thread of this process may keep the interpreter from this one; the default is 5 ms."""


class Wave:
    """Pulses on one line.

    Parameters:
        set_level: switches the line; raises DeviceError.
        on_error: is called when that has failed; the pulses then end.
        frequency: in Hz.
        duty: share of the time that the line is high.
    """

    def __init__(
        self,
        set_level: Callable[[int], None],
        on_error: Callable[[DeviceError], None],
        frequency: float,
        duty: float,
    ) -> None:
        self.set_level, self.on_error, self.frequency, self.duty = set_level, on_error, frequency, duty
        self.level = -1
        self.due = -math.inf
        self.next_rise = -math.inf

    @property
    def wake_at(self) -> float:
        """When to wake for what is due."""
        is_short = self.level == 1 and self.duty / self.frequency <= _SHORT_S and self.frequency <= 1 / _SHORT_S
        return self.due - _SPIN_S if is_short else self.due

    def switch(self, now: float) -> None:
        """Does what is due. A pulse is timed from its own start: one that begins late is as long as another."""
        is_steady = self.duty <= 0 or self.duty >= 1
        level = int(self.duty >= 1) if is_steady else int(self.level != 1)
        if level != self.level:
            self.set_level(level)
            self.level = level
        if is_steady:
            self.due, self.next_rise = math.inf, -math.inf
        elif level:
            self.due = now + self.duty / self.frequency
            period_s = 1 / self.frequency
            self.next_rise = (self.next_rise if now - self.next_rise < period_s else now) + period_s
        else:
            self.due = self.next_rise


class SoftwarePwm:
    """The thread, started with the first wave."""

    def __init__(self) -> None:
        self._waves: set[Wave] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._ends = False

    def start(self, wave: Wave) -> None:
        """Begins."""
        with self._changed:
            self._waves.add(wave)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="gpio pwm", daemon=True)
                self._thread.start()
            self._changed.notify()

    def change(self, wave: Wave, *, frequency: float | None = None, duty: float | None = None) -> None:
        """Other pulses from the next one on."""
        with self._changed:
            was_steady = wave.due == math.inf
            wave.frequency = wave.frequency if frequency is None else frequency
            wave.duty = wave.duty if duty is None else duty
            if was_steady or wave.duty <= 0 or wave.duty >= 1:
                wave.due = -math.inf
                self._changed.notify()

    def stop(self, wave: Wave) -> None:
        """Ends; the line is not touched any more when this returns, and is as it was left."""
        with self._changed:
            self._waves.discard(wave)

    def close(self) -> None:
        """Ends the thread."""
        with self._changed:
            self._waves.clear()
            self._ends = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(_END_S)

    def _run(self) -> None:
        _reduce_timer_slack()
        sys.setswitchinterval(min(sys.getswitchinterval(), _SWITCH_S))
        with self._changed:
            while not self._ends:
                now = monotonic()
                for wave in [wave for wave in self._waves if wave.wake_at <= now]:
                    while monotonic() < wave.due:
                        pass
                    try:
                        wave.switch(monotonic())
                    except DeviceError as error:
                        self._waves.discard(wave)
                        wave.on_error(error)
                due = min((wave.wake_at for wave in self._waves), default=math.inf)
                left_s = due - monotonic()
                if left_s > 0:
                    self._changed.wait(None if due == math.inf else left_s)


def _reduce_timer_slack() -> None:
    """Has the kernel wake this thread when it asked to be; without, pulses are some 50 us longer."""
    try:
        Path(f"/proc/{threading.get_native_id()}/timerslack_ns").write_text(str(_SLACK_NS))
    except OSError:
        return
