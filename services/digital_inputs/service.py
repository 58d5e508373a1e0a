"""Bridges GPIO inputs: contacts, pulse counters, signals, encoders."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from device_bridge import DeviceService, Quantity, Sample, ServiceSettings, SettingsError, run
from device_bridge.buses import GpioBus, GpioSettings
from device_bridge.control import Put, Totals, merged

from .kinds import AnyInput, Counter, Input

_SAVE_S = 10.0


class InputsSettings(ServiceSettings, frozen=True, kw_only=True):
    """What this service can be told beside the settings every service has."""

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
        names = [quantity.name for quantity in self.quantities_of(settings)]
        twice = next((name for at, name in enumerate(names) if name in names[:at]), None)
        if twice is not None:
            raise SettingsError("inputs.name", twice, "stands twice", "Give every input a name of its own.")
        self.bus = GpioBus(settings.gpio)
        self.inputs: list[Input] = []

    @classmethod
    def quantities_of(cls, settings: InputsSettings) -> tuple[Quantity, ...]:
        return tuple(quantity for one in settings.inputs for quantity in one.quantities())

    async def open(self) -> None:
        await self.bus.open()
        self.totals = Totals(self._totals_file())
        self.inputs = [Input(settings, self.bus, self.totals) for settings in self.settings.inputs]

    async def close(self) -> None:
        for one in self.inputs:
            one.count_pending()
            await one.close()
        if self.inputs:
            self.totals.save()

    def stream(self) -> AsyncIterator[Sample]:
        return merged([*(partial(one.settings.watch, one) for one in self.inputs), self._save])

    async def _save(self, put: Put) -> None:
        while True:
            await asyncio.sleep(_SAVE_S)
            self.totals.save()

    def _totals_file(self) -> Path | None:
        directory = self.settings.state_directory or os.environ.get("STATE_DIRECTORY", "")
        counts = any(isinstance(settings, Counter) for settings in self.settings.inputs)
        return Path(directory) / "digital_inputs.totals.json" if directory and counts else None

    def counters(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for one in self.inputs:
            name = one.settings.name.replace("-", "_").replace(".", "_")
            if one.lines is not None:
                counts |= {f"{name}_edges": one.lines.edges, f"{name}_lost_edges": one.lines.lost}
            counts |= {f"{name}_healed": one.healed, f"{name}_slips": one.slips}
        return counts


def main() -> None:
    """Runs the service as this process."""
    run(DigitalInputs)
