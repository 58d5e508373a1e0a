"""Bridges the lines of an I/O expander on an I2C bus: contacts in, relays and lamps out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from device_bridge import (
    Command,
    CommandedSettings,
    CommandError,
    DeviceError,
    DeviceErrorKind,
    DeviceService,
    Quality,
    Quantity,
    Reading,
    Result,
    Sample,
    Settings,
    SettingsError,
    run,
)
from device_bridge.buses import (
    GpioBus,
    GpioLine,
    GpioLines,
    GpioSettings,
    I2cAddress,
    I2cBus,
    I2cSettings,
    LineConfig,
)
from device_bridge.control import Debounce

from .chip import EXPANDERS, Expander

_CHECK_S = 1.0
_LAST_WORD_S = 1.0
_WORDS = {False: "low", True: "high"}
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]*$", max_length=100)]


class LineSettings(Settings, frozen=True, kw_only=True):
    """What inputs and outputs have in common."""

    line: Annotated[str, Meta(description="`A0` to `B7`, or `P0` to `P7`")]
    name: Name = ""
    active_low: bool = False

    @property
    def label(self) -> str:
        """As it is called in readings and commands."""
        return self.name or self.line


class InputSettings(LineSettings, frozen=True, kw_only=True):
    """A line that is read."""

    pull_up: Annotated[bool, Meta(description="for a contact to ground; a PCF8574 always has one")] = True


class OutputSettings(LineSettings, frozen=True, kw_only=True):
    """A line that is driven."""

    safe: Annotated[bool, Meta(description="state when the service starts, ends, or has lost the chip")] = False


class ExpanderSettings(CommandedSettings, frozen=True, kw_only=True):
    """What this service can be told beside the settings every service has."""

    chip: Literal["mcp23017", "pcf8574"] = "mcp23017"
    bus: I2cSettings = I2cSettings()
    address: Annotated[I2cAddress | None, Meta(description="0x20 by default; a PCF8574A begins at 0x38")] = None
    inputs: Annotated[
        tuple[InputSettings, ...], Meta(description="each with `line`, `name`, `active_low`, `pull_up`")
    ] = ()
    outputs: Annotated[
        tuple[OutputSettings, ...], Meta(description="each with `line`, `name`, `active_low`, `safe`")
    ] = ()
    interval: Annotated[float, Meta(ge=0.002, le=60, description="seconds from look to look at the lines")] = 0.02
    interrupt: Annotated[
        GpioLine | None,
        Meta(description="GPIO line that the chip's INT is wired to; lines are then read when it says so"),
    ] = None
    gpio: GpioSettings = GpioSettings()
    debounce: Annotated[float, Meta(ge=0, le=10, description="seconds an input has to stay as it is to count")] = 0.0
    report_interval: Annotated[
        float, Meta(ge=0.1, le=86_400, description="seconds after which all is told again, changed or not")
    ] = 60.0
    at_end: Annotated[
        Literal["safe", "keep"], Meta(description="outputs when the service ends; `keep` leaves them as they are")
    ] = "safe"


class IoExpander(DeviceService[ExpanderSettings]):
    """Lines of an MCP23017 or PCF8574."""

    def __init__(self, settings: ExpanderSettings) -> None:
        super().__init__(settings)
        self.expander: Expander = EXPANDERS[settings.chip]()
        _check(settings, self.expander)
        self.bus = I2cBus(settings.bus)
        self.device = self.bus.device(settings.address or self.expander.default_address)
        self.safe = self.driven = self._bits(line for line in settings.outputs if line.safe != line.active_low)
        self.is_set_up = False
        self.interrupt: GpioLines | None = None

    @classmethod
    def quantities_of(cls, settings: ExpanderSettings) -> tuple[Quantity, ...]:
        return tuple(
            Quantity(line.label, description=kind)
            for kind, lines in (("input", settings.inputs), ("output", settings.outputs))
            for line in lines
        )

    async def open(self) -> None:
        await self.bus.open()
        if self.settings.interrupt is not None:
            gpio = GpioBus(self.settings.gpio)
            await gpio.open()
            # The chip pulls it low; what pulls it up may be this.
            self.interrupt = await gpio.request([self.settings.interrupt], LineConfig(bias="pull_up", falling=True))
        inputs = self._bits(self.settings.inputs)
        pull_ups = self._bits(line for line in self.settings.inputs if line.pull_up)
        # Lines that nobody uses are inputs: they drive nothing into whatever is there.
        unused = ((1 << len(self.expander.lines)) - 1) & ~inputs & ~self._bits(self.settings.outputs)
        async with self.device.transaction() as device:
            watched = inputs if self.interrupt else 0
            await self.expander.set_up(device, inputs | unused, pull_ups, self.safe, watched)
            self.is_set_up = True
            if not await self.expander.kept(device):
                raise device.error(DeviceErrorKind.GARBLED, "it does not keep its settings: another chip is there")

    async def close(self) -> None:
        if self.is_set_up and self.settings.outputs and self.settings.at_end == "safe":
            try:
                async with asyncio.timeout(_LAST_WORD_S):
                    await self.expander.drive(self.device, self.safe)
            except (DeviceError, TimeoutError) as error:
                self.log.error("outputs could not be brought into their safe state: %s", error)
        if self.interrupt is not None:
            await self.interrupt.close()
        await self.bus.close()

    async def stream(self) -> AsyncIterator[Sample]:
        loop = asyncio.get_running_loop()
        debounce = Debounce(await self.expander.levels(self.device), self.settings.debounce)
        told: list[Reading] = []
        due = loop.time()
        check_at = due + _CHECK_S
        report_at = 0.0
        while True:
            readings = self._readings(debounce.levels, debounce.seen)
            if loop.time() >= report_at:
                told, report_at = [], loop.time() + self.settings.report_interval
            changes = [reading for reading in readings if reading not in told]
            told = readings
            if changes:
                yield changes
            if self.interrupt is not None and debounce.levels == debounce.seen:
                await self._await_change(self.interrupt)
            else:
                due = max(due + self.settings.interval, loop.time())
                await asyncio.sleep(due - loop.time())
            if loop.time() >= check_at:
                check_at = loop.time() + _CHECK_S
                if not await self.expander.kept(self.device):
                    raise self.device.error(DeviceErrorKind.GARBLED, "it was reset: its supply was interrupted")
            debounce.update(await self.expander.levels(self.device), loop.time())

    async def _await_change(self, interrupt: GpioLines) -> None:
        """Until the chip says that a line has changed; not for ever, as an edge may be missed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CHECK_S):
                if not await interrupt.get():
                    return  # it says so still
                await interrupt.read()

    def _readings(self, settled: int, seen: int) -> list[Reading]:
        """Inputs as they have settled, outputs as they are."""
        readings = [
            Reading(line.label, bool(settled >> self._bit(line) & 1) != line.active_low)
            for line in self.settings.inputs
        ]
        return readings + [self._output(line, seen) for line in self.settings.outputs]

    def _output(self, line: OutputSettings, levels: int) -> Reading:
        bit = self._bit(line)
        level, driven = (bool(value >> bit & 1) for value in (levels, self.driven))
        reading = Reading(line.label, level != line.active_low)
        if level == driven:
            return reading
        reason = f"driven {_WORDS[driven]}, yet it is {_WORDS[level]}: overload or short circuit"
        return msgspec.structs.replace(reading, quality=Quality.UNCERTAIN, reason=reason)

    async def execute(self, command: Command) -> Result:
        line = next((line for line in self.settings.outputs if line.label == command.name), None)
        if line is None:
            known = ", ".join(line.label for line in self.settings.outputs) or "nothing"
            raise CommandError(f"{command.name!r} is no output; {known} can be switched")
        if unknown := sorted(set(command.parameters) - {"value"}):
            raise CommandError(f"parameter `{unknown[0]}` is unknown; `value` is needed")
        if command.value not in (True, False):  # 1 and 0 are as good
            raise CommandError(f"`value` = {command.value!r} cannot be a state; write true or false")
        bit = 1 << self._bit(line)
        driven = self.driven | bit if bool(command.value) != line.active_low else self.driven & ~bit
        async with self.device.transaction() as device:
            await self.expander.drive(device, driven)
            self.driven = driven
            reading = self._output(line, await self.expander.levels(device))
        return Result(ok=not reading.reason, detail=reading.reason or "switched and read back", readings=[reading])

    def counters(self) -> dict[str, int]:
        return self.bus.counters()

    def _bit(self, line: LineSettings) -> int:
        return self.expander.lines.index(line.line)

    def _bits(self, lines: Iterable[LineSettings]) -> int:
        return sum(1 << self._bit(line) for line in lines)


def _check(settings: ExpanderSettings, expander: Expander) -> None:
    """Raises SettingsError for lines that the chip does not have, or that stand twice."""
    lines: list[tuple[str, LineSettings]] = [("inputs", line) for line in settings.inputs]
    lines += [("outputs", line) for line in settings.outputs]
    if not lines:
        raise SettingsError("inputs", None, "is empty, and so is outputs", "List the lines that are wired.")
    seen: set[str] = set()
    for field, line in lines:
        if line.line not in expander.lines:
            known = f"{expander.lines[0]} to {expander.lines[-1]}"
            raise SettingsError(f"{field}.line", line.line, f"is no line of a {settings.chip}", f"Write {known}.")
        for name in {line.line, line.label}:
            if name in seen:
                raise SettingsError(field, name, "stands twice", "Give every line one entry and a name of its own.")
        seen |= {line.line, line.label}


def main() -> None:
    """Runs the service as this process."""
    run(IoExpander)
