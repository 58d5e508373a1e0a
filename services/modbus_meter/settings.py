"""Settings of modbus_meter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from device_bridge import CommandedSettings, Interval, OptionalName, Seconds, Settings, SettingsError, require_unique
from device_bridge.buses import SerialSettings
from device_bridge.settings import read_profile

from .registers import RegisterSettings, named
from .rtu import MAX_REGISTERS


class UnitSettings(Settings, frozen=True, kw_only=True):
    """One device on the line."""

    address: Annotated[int, Meta(ge=1, le=255, description="1 to 247; some devices use the reserved 248 to 255")] = 1
    name: OptionalName = ""
    profile: str = ""
    pause: Annotated[Seconds, Meta(le=60, description="seconds that it wants after each of its answers")] = 0.0

    @property
    def label(self) -> str:
        """What it is called in logs and metrics."""
        return self.name or f"unit {self.address}"


class ModbusSettings(CommandedSettings, frozen=True, kw_only=True):
    """Settings of this service, beside those of every service."""

    profiles: ClassVar[str] = "modbus_meter"
    renamed: ClassVar[Mapping[str, str]] = {
        **CommandedSettings.renamed,
        "timeout_s": "timeout",
        "longest_absence": "max_retry_interval",
    }

    profile: Annotated[str, Meta(description="ready settings for a known device; all others change them")] = ""
    serial: SerialSettings
    units: Annotated[
        tuple[UnitSettings, ...],
        Meta(
            min_length=1,
            description="each with `address`, `name` (put before its readings), `pause`, and `profile` if not "
            "that of all",
        ),
    ] = (UnitSettings(),)
    registers: Annotated[tuple[RegisterSettings, ...], Meta(description="what is read from every unit")] = ()
    interval: Interval = 5.0
    timeout: Annotated[float, Meta(ge=0.02, le=60, description="seconds to wait for an answer")] = 0.5
    pause: Annotated[Seconds, Meta(le=60, description="seconds of silence before each request")] = 0.0
    retries: Annotated[int, Meta(ge=0, le=10, description="more attempts before a unit has failed")] = 1
    max_retry_interval: Annotated[
        float, Meta(ge=1, le=3600, description="most seconds between attempts at a unit that does not answer")
    ] = 60.0
    max_gap: Annotated[int, Meta(ge=0, le=120, description="unwanted registers that may be read along")] = 0
    max_registers: Annotated[int, Meta(ge=1, le=MAX_REGISTERS, description="most registers in a request")] = 80


def registers_of(settings: ModbusSettings) -> list[tuple[UnitSettings, tuple[RegisterSettings, ...]]]:
    """Each unit with its registers, as they are named in readings. Raises SettingsError."""
    found: list[tuple[UnitSettings, tuple[RegisterSettings, ...]]] = []
    for unit in settings.units:
        registers = settings.registers
        if unit.profile:
            profile = read_profile(settings.profiles, unit.profile)
            registers = msgspec.convert(profile.get("registers", []), tuple[RegisterSettings, ...])
        found.append((unit, tuple(named(register, unit.name) for register in registers)))
    return found


def check(settings: ModbusSettings) -> None:
    """Raises SettingsError for settings that are wrong together."""
    found = registers_of(settings)
    for unit, registers in found:
        if not registers:
            where = f" of {unit.label}" if len(found) > 1 else ""
            raise SettingsError("registers", None, f"is empty{where}", "Name a profile, or list what is to be read.")
        for register in registers:
            register.check()
    remedy = "Give every unit an address and a name of its own."
    require_unique("units.address", (unit.address for unit, _ in found), remedy)
    require_unique("units.name", (register.name for _, registers in found for register in registers), remedy)
