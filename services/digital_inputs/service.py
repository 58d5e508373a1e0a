"""Bridges GPIO inputs: contacts, pulse counters, signals, encoders."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from msgspec import Meta

from device_bridge import (
    Command,
    CommandedSettings,
    CommandError,
    CommandSpec,
    DeviceService,
    Quantity,
    Result,
    Sample,
    SettingsError,
    require_unique,
    run,
)
from device_bridge.buses import GpioBus, GpioSettings
from device_bridge.control import merged

from .input_lines import InputLine, input_lines, line_text
from .kinds import AnyInput, CountedSettings, by_line


class InputsSettings(CommandedSettings, frozen=True, kw_only=True):
    """Settings of this service, beside those of every service."""

    gpio: GpioSettings = GpioSettings()
    inputs: Annotated[
        tuple[AnyInput, ...],
        Meta(
            min_length=1,
            description="each with `kind`, `name` and `line`; kinds are listed above",
        ),
    ]
    state_directory: Annotated[
        str, Meta(max_length=200, description="folder for totals; by default `$STATE_DIRECTORY`")
    ] = ""


class DigitalInputs(DeviceService[InputsSettings]):
    """GPIO inputs."""

    def __init__(self, settings: InputsSettings) -> None:
        super().__init__(settings)
        self.bus = self.own(GpioBus(settings.gpio))
        self.lines: list[InputLine] = []

    @classmethod
    def check_settings(cls, settings: InputsSettings) -> None:
        names = [quantity.name for quantity in cls.quantities_of(settings)]
        require_unique("inputs.name", names, "Give every input a name of its own.")
        by_line(settings.inputs, line_text)
        for one in settings.inputs:
            if isinstance(one, CountedSettings) and not one.step:
                raise SettingsError("inputs.per_step", 0, "makes every position 0", "Write what one step stands for.")

    @classmethod
    def quantities_of(cls, settings: InputsSettings) -> tuple[Quantity, ...]:
        return tuple(quantity for one in settings.inputs for quantity in one.quantities())

    @classmethod
    def commands_of(cls, settings: InputsSettings) -> tuple[CommandSpec, ...]:
        return tuple(command for one in settings.inputs for command in one.commands())

    async def open(self) -> None:
        await super().open()
        self.lines = input_lines(self.settings.inputs, self.bus, self.totals)
        self.members = [line.member for line in self.lines]

    def stream(self) -> AsyncIterator[Sample]:
        return merged(line.run for line in self.lines)

    async def execute(self, command: Command) -> Result:
        counters = {one.name: one for one in self.settings.inputs if isinstance(one, CountedSettings)}
        if command.name not in counters or command.value is None:
            raise CommandError(f"{command.name!r} has no total; those of counters and encoders can be set")
        total = counters[command.name].set_total(command.value, self.totals)
        return Result(ok=True, detail="set", readings=[total])


def main() -> None:
    """Runs the service as this process."""
    run(DigitalInputs)
