"""One output: its line, and what it is doing over time."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from device_bridge import CommandError, DeviceError, Reading, Value
from device_bridge.buses import GpioBus, GpioLines, LineConfig
from device_bridge.control import Member, SafeAct

from .interlock import Interlock
from .life_cycle import Life, OutputState
from .settings import LONGEST_S, OutputSettings

log = logging.getLogger("digital_outputs")


class Output:
    """One output.

    Parameters:
        settings: its own.
        bus: where its line is.
        interlock: what it may do.
        changed: called with its name when it has been switched by itself: by a pattern, at the end of a time.
    """

    def __init__(
        self, settings: OutputSettings, bus: GpioBus, interlock: Interlock, changed: Callable[[str], None]
    ) -> None:
        self.settings, self.name = settings, settings.name
        self.member = Member(settings.name, [settings.quantity], retry_s=0.25, max_retry_s=5.0)
        self._bus, self._interlock, self._changed = bus, interlock, changed
        self._lines: GpioLines | None = None
        self._work: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self.duty = float(settings.safe)
        """What it is at: 0 off, 1 on, between them for PWM."""
        self.reading: Reading = settings.quantity.bad("it is not open yet")
        """As it was read back last."""

    @property
    def is_open(self) -> bool:
        """Whether its line is in use."""
        return self._lines is not None

    @property
    def state(self) -> OutputState:
        """Its state."""
        return self._interlock.state(self.name)

    @property
    def has_to_be_safe(self) -> bool:
        """Whether its safe state is to be tried, unless that is being done."""
        return self.state is not OutputState.READY and not self._turn.locked()

    @property
    def is_steady(self) -> bool:
        """Whether it is known to be on or off, and to stay so."""
        return self.state is OutputState.READY and (self._work is None or self._work.done())

    @property
    def safe_act(self) -> SafeAct:
        """What brings it into its safe state when this process has died."""
        lines = self._opened()
        (fd, request, off, off_answer), (*_, on, on_answer) = lines.set_act(0), lines.set_act(1)
        return SafeAct(fd, request, off, on, self.settings.safe, self.settings.group, off_answer, on_answer)

    async def bring(self, on: bool, *, if_uncertain: bool = False) -> None:
        """Is on or off, whatever it is doing; off, if another of its group is on. Opens its line. Raises DeviceError.

        Parameters:
            on: what it is to be.
            if_uncertain: only if it is still to be brought into its safe state when its turn has come.
        """
        async with self._turn:
            if if_uncertain and self.state is OutputState.READY:
                return
            if not self.is_open and self._interlock.life in (Life.CLOSING, Life.CLOSED):
                return
            await self._stop()
            on = on and not self._interlock.conflict(self.name)
            await (self._put(on) if self.is_open else self._open(on))
        await self.read_back()

    async def _open(self, on: bool) -> None:
        """Takes its line into use with this level from its first instant on."""
        config = LineConfig(output=True, drive=self.settings.drive, values=int(on))
        self._lines = await self._bus.request([self.settings], config)
        self._is_at(on)

    async def release(self) -> None:
        """Gives its line back."""
        await self._stop()
        lines, self._lines = self._lines, None
        self._interlock.mark_closed(self.name)
        if lines is not None:
            await lines.close()

    async def execute(self, parameters: Mapping[str, Value]) -> None:
        """Does what a command says, which is as declared. Raises CommandError, DeviceError."""
        given, pattern = set(parameters), {"on_s", "off_s", "times"}
        if "value" in given and not given & pattern:
            await self.set(float(parameters["value"]), float(parameters.get("for", 0.0)))
        elif given == pattern:
            await self._blink(float(parameters["on_s"]), float(parameters["off_s"]), int(parameters["times"]))
        else:
            raise CommandError(
                "write `value`, and `for` in seconds if it is for a time; or `on_s`, `off_s` and `times`"
            )

    async def set(self, value: float, for_s: float = 0.0) -> None:
        """Is on, off or at a duty, for some seconds or for good. Raises CommandError, DeviceError."""
        if not math.isfinite(value):
            raise CommandError(f"{self.name} cannot be switched to {value}")
        async with self._turn:
            self._allow(value > 0, for_s or None)
            await self._stop()
            if 0.0 < value < 1.0:
                self._check_life()
                self._claim()
                self._is_at(True)
                self.duty = value
                self._start(lambda: self._pulse_width(value, for_s))
                return
            await self._switch(value > 0)
            if for_s:
                self._start(lambda: asyncio.sleep(for_s))

    async def _blink(self, on_s: float, off_s: float, times: int) -> None:
        """On and off, so many times, then its safe state."""
        limits = self.settings
        if (on_s + off_s) * times > LONGEST_S:
            raise CommandError(f"`times` = {times}: the pattern lasts longer than {LONGEST_S:g} s")
        if on_s < limits.min_on or off_s < limits.min_off:
            raise CommandError(f"`on_s` and `off_s` have to respect min_on, min_off and max_on of {self.name}")
        async with self._turn:
            self._allow(True, on_s)
            await self._stop()
            await self._switch(True)
            self._start(lambda: self._pattern(on_s, off_s, times))

    async def read_back(self) -> Reading:
        """Its state, read back from the line. Raises DeviceError."""
        on = bool(await self._opened().get())
        quantity, is_pwm = self.settings.quantity, self.settings.kind == "pwm"
        value = self.duty if 0.0 < self.duty < 1.0 else float(on) if is_pwm else on
        if self.state is not OutputState.READY:
            reading = quantity.uncertain(value, self.state.value)
        elif 0.0 < self.duty < 1.0 or on == bool(self.duty):
            reading = quantity.good(value)
        else:
            commanded = "on" if self.duty else "off"
            reading = quantity.uncertain(
                value, f"switched {commanded}, yet its line says otherwise: overload or short circuit"
            )
        self.reading = reading
        return reading

    def _opened(self) -> GpioLines:
        if self._lines is None:
            raise CommandError(f"{self.name} cannot be used now: {self.member.reason or 'its line is not open'}")
        return self._lines

    def _allow(self, on: bool, lasts_s: float | None) -> None:
        """Raises CommandError when it must not be switched so now, or not for so long."""
        self._opened()
        now = asyncio.get_running_loop().time()
        state = "on" if on else "off"
        if reason := self._interlock.reason_against(self.name, on, now):
            raise CommandError(f"{self.name} cannot be switched {state} now: {reason}")
        if lasts_s is None:
            return
        limits = self.settings
        least_s = 0.0 if on == limits.safe else limits.min_on if on else limits.min_off
        if lasts_s < least_s:
            raise CommandError(f"{self.name} has to stay {state} for min_{state} = {least_s:g} s at least")
        if on and lasts_s > (most_s := self._interlock.on_left_s(self.name, now)):
            raise CommandError(f"{self.name} may be on for {most_s:g} s at most now (max_on = {limits.max_on:g} s)")

    def _check_life(self) -> None:
        if self._interlock.life is not Life.OPEN:
            raise CommandError(f"{self.name} cannot be switched now: outputs are {self._interlock.life.value}")

    def _claim(self) -> None:
        """From here on it may be on: no other of its group. Raises CommandError."""
        if conflict := self._interlock.conflict(self.name):
            raise CommandError(f"{self.name} cannot be switched on now: {conflict}")

    async def _switch(self, on: bool) -> None:
        """What a command, a rule or a pattern wants."""
        self._check_life()
        await self._put(on)

    async def _put(self, on: bool) -> None:
        """Uncertain until the chip has confirmed it: one that is not waited for any more may do it later."""
        lines = self._opened()
        if on:
            self._claim()
        self._interlock.mark_uncertain(self.name)
        await lines.set(int(on))
        self._is_at(on)

    def _is_at(self, on: bool) -> None:
        if self._lines is not None:
            self.duty = float(on)
            self._interlock.mark_switched(self.name, on, asyncio.get_running_loop().time())

    def _start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._work = asyncio.ensure_future(self._run(work))

    async def _run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Does something over time, then goes to its safe state; what breaks it off leaves that to be tried again."""
        try:
            await work()
            async with self._turn:
                await self._put(self.settings.safe and not self._interlock.conflict(self.name))
            await self.read_back()
        except Exception as error:
            self._interlock.mark_uncertain(self.name)
            is_expected = isinstance(error, DeviceError | CommandError)
            log.error("%s: %s", self.name, error if is_expected else repr(error), exc_info=not is_expected)
        finally:
            self._interlock.reserve(self.name, False)
        self._changed(self.name)

    async def _stop(self) -> None:
        """Breaks off what it is doing over time; it is uncertain until it is switched."""
        work, self._work = self._work, None
        if work is not None and not work.done():
            self._interlock.mark_uncertain(self.name)
            work.cancel()
            await asyncio.wait((work,))

    async def _pattern(self, on_s: float, off_s: float, times: int) -> None:
        self._interlock.reserve(self.name, True)
        loop = asyncio.get_running_loop()
        due = loop.time()
        for left in range(times - 1, -1, -1):
            due = await self._switch_at(due + on_s, False)
            if left:
                due = await self._switch_at(due + off_s, True)
        if self.settings.safe:
            await asyncio.sleep(max(off_s, self._interlock.wait_s(self.name, True, loop.time())))

    async def _switch_at(self, due: float, on: bool) -> float:
        """Switches at a time, or as soon as `min_on` and `min_off` let it; returns from when the next time counts."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(due - loop.time(), self._interlock.wait_s(self.name, on, loop.time())))
        async with self._turn:
            await self._switch(on)
        return due

    async def _pulse_width(self, duty: float, for_s: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        end = due + for_s if for_s else math.inf
        period_s = 1 / self.settings.frequency
        while due < end:
            for on, at in ((1, due + period_s * duty), (0, due + period_s)):
                async with self._turn:
                    self._check_life()
                    await self._opened().set(on)
                await asyncio.sleep(max(0.0, at - loop.time()))
            due += period_s
