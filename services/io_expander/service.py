"""Bridges the lines of an I/O expander on an I2C bus: contacts in, relays and lamps out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

from device_bridge import Command, CommandSpec, DeviceService, Parameter, Quantity, Reading, Result, Sample, run
from device_bridge.buses import GpioBus, I2cBus
from device_bridge.control import ChangeReporter, Debounce, Put, Ticker, leave_first_place, merged, without_samples

from .chip import EXPANDERS
from .driven import DrivenExpander
from .interrupt import Interrupt
from .settings import ExpanderSettings, LineSettings, OutputSettings, check

_CHECK_S = 1.0


class IoExpander(DeviceService[ExpanderSettings]):
    """Lines of an MCP23017 or PCF8574."""

    def __init__(self, settings: ExpanderSettings) -> None:
        super().__init__(settings)
        expander = EXPANDERS[settings.chip]()
        self.names = expander.lines
        device = self.own(I2cBus(settings.bus)).device(settings.address or expander.default_address)
        safe = self._bits(line for line in settings.outputs if line.safe != line.active_low)
        off = self._bits(line for line in settings.outputs if line.active_low)
        self.chip = DrivenExpander(expander, device, off, safe, settings.watchdog_timeout)
        self.interrupt: Interrupt | None = None
        if settings.interrupt is not None:
            self.interrupt = Interrupt(settings.interrupt, self.own(GpioBus(settings.gpio)), settings.interval)
            self.members = [self.interrupt.member]

    @classmethod
    def check_settings(cls, settings: ExpanderSettings) -> None:
        check(settings)

    @classmethod
    def quantities_of(cls, settings: ExpanderSettings) -> tuple[Quantity, ...]:
        return tuple(line.quantity for line in (*settings.inputs, *settings.outputs))

    @classmethod
    def commands_of(cls, settings: ExpanderSettings) -> tuple[CommandSpec, ...]:
        value = Parameter("value", "boolean", description="on or off")
        return tuple(CommandSpec(line.label, (value,), "switches it", line.safe) for line in settings.outputs)

    async def open(self) -> None:
        await super().open()
        inputs = self._bits(self.settings.inputs)
        pull_ups = self._bits(line for line in self.settings.inputs if line.pull_up)
        # Lines that nobody uses are inputs: they drive nothing into whatever is there.
        unused = ((1 << len(self.names)) - 1) & ~inputs & ~self._bits(self.settings.outputs)
        await self.chip.open(inputs | unused, pull_ups, inputs if self.interrupt else 0)
        if self.settings.watchdog and self.settings.outputs:
            await self.chip.protect(self.settings.bus.path)

    async def close(self) -> None:
        await self.chip.close(keep=self.settings.on_stop == "keep" or not self.settings.outputs)
        if self.interrupt is not None:
            await self.interrupt.close()
        await super().close()

    def stream(self) -> AsyncIterator[Sample]:
        return merged([self._report, without_samples(self.chip.keep_guarded)])

    async def _report(self, put: Put) -> None:
        """Reports what changes, and all from time to time."""
        loop = asyncio.get_running_loop()
        debounce = Debounce(await self.chip.levels(), self.settings.debounce)
        reporter, ticker = ChangeReporter(self.settings.report_interval), Ticker(self.settings.interval)
        check_at = loop.time() + _CHECK_S
        while True:
            if changes := reporter.select(self._readings(debounce.levels, debounce.seen), loop.time()):
                await put(changes)
            if self.interrupt is not None and debounce.levels == debounce.seen:
                await self.interrupt.wait()
            else:
                await ticker.wait()
            if not self.chip.is_certain:
                await self.chip.check()
            levels = await self.chip.levels()
            if levels != debounce.seen or loop.time() >= check_at:  # a chip that was reset reads otherwise
                check_at = loop.time() + _CHECK_S
                await self.chip.check()
            debounce.update(levels, loop.time())

    def _readings(self, settled: int, seen: int) -> list[Reading]:
        """Inputs as they have settled, outputs as they are."""
        inputs = [line.reading(self._is_high(line, settled)) for line in self.settings.inputs]
        return inputs + [self._output(line, seen) for line in self.settings.outputs]

    def _output(self, line: OutputSettings, levels: int) -> Reading:
        return line.reading(self._is_high(line, levels), self._is_high(line, self.chip.driven))

    def _is_high(self, line: LineSettings, levels: int) -> bool:
        return bool(levels & self._bits([line]))

    async def execute(self, command: Command) -> Result:
        line = next(line for line in self.settings.outputs if line.label == command.name)
        levels = await self.chip.drive(self._bits([line]), high=bool(command.value) != line.active_low)
        reading = self._output(line, levels)
        return Result(ok=not reading.reason, detail=reading.reason or "switched and read back", readings=[reading])

    def _bits(self, lines: Iterable[LineSettings]) -> int:
        return sum(1 << self.names.index(line.line) for line in lines)

    def counters(self) -> dict[str, int]:
        return super().counters() | {"watchdog_restarts": self.chip.guard.restarts}


def main() -> None:
    """Runs the service as this process, or as its child where this is the first one of a container."""
    leave_first_place()
    run(IoExpander)
