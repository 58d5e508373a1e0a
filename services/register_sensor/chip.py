"""An I2C chip as a profile describes it: what is written and read, and what the bytes mean. No I/O."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from device_bridge import Interval, Quantity, Settings, SettingsError, require_unique
from device_bridge.buses import I2cAddress
from device_bridge.settings import read_profile, with_new_names

from .codings import clock_bytes
from .compensation import CalibrationSettings
from .computed import ComputedSettings
from .fields import ChipField, ChipValue
from .parameters import Choice, FieldChange, ParameterSettings, changed
from .transfers import Bytes, FlagSettings, InsertSettings, MatchSettings, Pause, ReadSettings, StepSettings

__all__ = [
    "ChipField",
    "ChipSettings",
    "ConversionSettings",
    "checked",
    "chip_of",
    "clock_bytes",
    "named",
    "resolved",
]

PACKAGE = "register_sensor"
replace = msgspec.structs.replace
log = logging.getLogger(PACKAGE)


class ConversionSettings(Settings, frozen=True, kw_only=True):
    """One measurement: started, awaited, read."""

    renamed: ClassVar[Mapping[str, str]] = {
        "wait_s": "wait",
        "ready_timeout_s": "ready_timeout",
        "update_s": "update_interval",
        "invalid": "flags",
    }

    wake: Annotated[Bytes, Meta(description="written first; a chip that sleeps need not acknowledge it")] = ()
    wake_wait: Annotated[Pause, Meta(description="after that")] = 0.0
    start: Annotated[Bytes, Meta(description="what starts it; nothing where the chip measures by itself")] = ()
    insert: Annotated[tuple[InsertSettings, ...], Meta(description="codes of parameters, into `start`")] = ()
    wait: Annotated[Pause, Meta(description="the longest time it takes")] = 0.0
    ready: Annotated[MatchSettings | None, Meta(description="how the chip says that it has finished")] = None
    ready_timeout: Annotated[Pause, Meta(description="how much longer it may take then")] = 0.1
    read: ReadSettings
    flags: Annotated[tuple[FlagSettings, ...], Meta(description="what the chip says about its values")] = ()
    fields: Annotated[tuple[ChipField, ...], Meta(min_length=1)]
    warm_up: Annotated[
        float, Meta(ge=0, le=3600, description="seconds after it was set up in which its values are bad")
    ] = 0.0
    update_interval: Annotated[
        Pause, Meta(description="how often a chip that measures by itself has a new value")
    ] = 0.0
    while_busy: Annotated[
        Literal["no_acknowledge", "stale"], Meta(description="what an emulated chip does when read too early")
    ] = "stale"


class ChipSettings(Settings, frozen=True, kw_only=True):
    """A chip: how it is made ready, and what is read from it."""

    address: I2cAddress
    interval: Annotated[Interval | None, Meta(description="how often it has to be read, if that matters to it")] = (
        None
    )
    parameters: Annotated[dict[str, ParameterSettings], Meta(description="numbers that a sensor may change")] = {}
    init: tuple[StepSettings, ...] = ()
    calibration: Annotated[
        CalibrationSettings | None, Meta(description="the chip's own constants, for its own formulas in `computed`")
    ] = None
    reads: Annotated[tuple[ConversionSettings, ...], Meta(min_length=1)]
    computed: Annotated[tuple[ComputedSettings, ...], Meta(description="values computed from fields, in order")] = ()

    @property
    def fields(self) -> tuple[ChipField, ...]:
        """Everything it measures."""
        return tuple(field for conversion in self.reads for field in conversion.fields)

    @property
    def values(self) -> tuple[ChipValue, ...]:
        """Everything it measures, and what is computed from it, in the order in which it is."""
        return self.fields + self.computed

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """Everything that is sent."""
        return tuple(value.quantity for value in self.values if not value.hidden)


def checked(chip: ChipSettings, where: str) -> ChipSettings:
    """The chip, if its settings fit together. Raises SettingsError."""
    at = f"{where}.reads.fields"
    names = [field.name for field in chip.values]
    require_unique(f"{at}.name", names, "Give each value its own name.")
    for conversion in chip.reads:
        for field in conversion.fields:
            if problem := field.problem(conversion.read.body_size):
                raise SettingsError(f"{at}.{field.name}", *problem)
        for flag in conversion.flags:
            own = [field.name for field in conversion.fields]
            if unknown := [name for name in flag.fields if name not in own]:
                remedy = f"Write one of {', '.join(own)}."
                raise SettingsError(f"{where}.reads.flags.{flag.name}", unknown[0], "is not in this read", remedy)
            if not flag.read and flag.at + flag.size > conversion.read.body_size:
                rule = f"ends after the {conversion.read.body_size} bytes that are read"
                raise SettingsError(f"{where}.reads.flags.{flag.name}", flag.at, rule, "Correct `at` and `size`.")
    for n, computed in enumerate(chip.computed):
        if problem := computed.problem(names[: len(chip.fields) + n]):
            raise SettingsError(f"{where}.computed.{computed.name}", *problem)
        if computed.is_calibrated and chip.calibration is None:
            remedy = "Describe `calibration`: how the chip's constants are read."
            raise SettingsError(f"{where}.computed.{computed.name}", computed.form, "needs constants", remedy)
    for name in _parameters_used(chip):
        if name not in chip.parameters:
            remedy = "Describe it in `parameters`."
            raise SettingsError(f"{where}.parameters", name, "is no parameter of this profile", remedy)
    return chip


def _parameters_used(chip: ChipSettings) -> list[str]:
    inserts = [insert for step in chip.init for insert in (*step.insert, *(step.kept.insert if step.kept else ()))]
    inserts += [insert for read in chip.reads for insert in read.insert]
    inserts += [insert for read in chip.reads for flag in read.flags for insert in flag.insert]
    scaled = [name for field in chip.values for name in field.scaled_by]
    return [insert.parameter for insert in inserts] + scaled


def resolved(
    chip: ChipSettings, parameters: Mapping[str, float], changes: Mapping[str, FieldChange], where: str
) -> ChipSettings:
    """The chip with a sensor's own parameters and changes.

    Parameters:
        chip: as its profile describes it.
        parameters: values, by name.
        changes: of fields, by name.
        where: of the sensor, in the settings.

    Raises SettingsError for names and values that the profile does not allow.
    """
    choice = Choice(chip.parameters, parameters, f"{where}.parameters")
    names = [field.name for field in chip.values]
    for name in changes:
        if name not in names:
            raise SettingsError(f"{where}.fields", name, "is no field", f"Write one of {', '.join(names)}.")
    none = FieldChange()
    return replace(
        chip,
        init=tuple(
            replace(step, write=choice.insert_bytes(step.write, step.insert), kept=choice.match(step.kept))
            for step in chip.init
        ),
        reads=tuple(
            replace(
                read,
                start=choice.insert_bytes(read.start, read.insert),
                flags=tuple(replace(f, equals=choice.insert(f.equals, f.insert)) for f in read.flags),
                fields=tuple(changed(choice.scale(field), changes.get(field.name, none)) for field in read.fields),
            )
            for read in chip.reads
        ),
        computed=tuple(changed(choice.scale(field), changes.get(field.name, none)) for field in chip.computed),
    )


def named(chip: ChipSettings, sensor: str) -> ChipSettings:
    """The chip with its values as they are called in readings: `sensor/name`."""
    if not sensor:
        return chip
    return replace(
        chip,
        reads=tuple(
            replace(
                read,
                flags=tuple(replace(f, fields=tuple(f"{sensor}/{name}" for name in f.fields)) for f in read.flags),
                fields=tuple(replace(field, name=f"{sensor}/{field.name}") for field in read.fields),
            )
            for read in chip.reads
        ),
        computed=tuple(
            replace(field, name=f"{sensor}/{field.name}", of=tuple(f"{sensor}/{name}" for name in field.of))
            for field in chip.computed
        ),
    )


@functools.lru_cache
def chip_of(profile: str) -> ChipSettings:
    """The chip that a profile of this service describes. Raises SettingsError."""
    members = read_profile(PACKAGE, profile)
    if not members:
        raise SettingsError("sensors.profile", profile, "is empty", "Name a profile, or a chip of `chips`.")
    try:
        return checked(_converted(members, profile), f"profiles.{profile}")
    except msgspec.ValidationError as error:
        raise SettingsError("sensors.profile", profile, f"is wrong: {error}", "Correct the profile's file.") from None


def _converted(members: Mapping[str, Any], profile: str) -> ChipSettings:
    try:
        return msgspec.convert(members, ChipSettings)
    except msgspec.ValidationError:  # maybe of an earlier version
        members = with_new_names(members, ChipSettings, lambda text: log.warning("profile %s: %s", profile, text))
        return msgspec.convert(members, ChipSettings)
