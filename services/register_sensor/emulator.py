"""Any chip that a profile describes, on an emulated bus: registers, conversion times, checksums, physical values."""

from __future__ import annotations

import argparse
import asyncio
import functools
import operator
import struct
import time
from collections.abc import Callable, Iterator
from functools import partial

import msgspec

from device_bridge.buses import number_of
from device_bridge.settings import profile_names
from simulated_devices import (
    Clock,
    NoAcknowledge,
    SimulatedI2cBus,
    Surroundings,
    add_bus_options,
    bus_of,
    emulator_parser,
    number,
    serve_until_stopped,
)

from .chip import PACKAGE, ChipSettings, ConversionSettings, chip_of, resolved
from .computed import ComputedSettings
from .fields import ChipField
from .transfers import ReadSettings

DEFAULT = ("sht31", "bh1750", "ina226")
_UNKNOWN = 0xFF
"""What is read from registers that the profile does not name: the bus's pull-ups."""
_AWAKE_S = 3.0
"""How long a chip that sleeps listens once it is woken (AM2320 data sheet, section 8.2)."""
_TYPICAL_TIME = 0.9
"""Share of the longest conversion time that the chip takes."""


class _Conversion:
    """What one measurement of the chip is at."""

    def __init__(self, settings: ConversionSettings, now: float) -> None:
        self.settings = settings
        self.started_at: float | None = None
        self.taken_at = now
        self.body = bytes(settings.read.body_size)


class ProfileChip:
    """The chip.

    Parameters:
        chip: its profile.
        clock: seconds, for conversions.
        wall_clock: seconds since 1970, for what is a clock.
        address: by default that of the profile; checksums may cover it.
    """

    def __init__(
        self,
        chip: ChipSettings,
        clock: Clock = time.monotonic,
        wall_clock: Clock = time.time,
        address: int | None = None,
    ) -> None:
        chip = resolved(chip, {}, {}, "chip")
        self._chip, self._clock, self._wall_clock = chip, clock, wall_clock
        self._address = number_of(chip.address) if address is None else address
        self._fields = {field.name: field for field in chip.fields}
        self._flags = {flag.name: flag for conversion in chip.reads for flag in conversion.flags}
        typical = {field.name: _typical(field) for field in chip.fields if field.is_number}
        typical |= {computed.name: computed.typical for computed in chip.computed if computed.typical is not None}
        self.surroundings = Surroundings(typical, clock=clock)
        self._raised: set[str] = set()
        self._raw: dict[str, float] = {}
        self._clock_offset: dict[str, float] = {}
        self.reset()

    def reset(self) -> None:
        """Is as after power-on: nothing set up, nothing measured."""
        self._pointer = b""
        self._awake_until = 0.0
        self._written: set[bytes] = set()
        self._conversions = [_Conversion(conversion, self._clock()) for conversion in self._chip.reads]

    def set(self, quantity: str, value: float) -> None:
        """Fixes a physical value in its unit, or raises (1) or lowers (0) a flag by its name.

        Raises KeyError for an unknown quantity, ValueError for a value the chip cannot measure.
        """
        field = self._fields.get(quantity)
        if quantity in self._flags:
            (self._raised.add if value else self._raised.discard)(quantity)
        elif field is not None and not field.is_number:
            self._clock_offset[quantity] = value - self._wall_clock()
        else:
            if field is not None:
                field.raw_for(value)
            self.surroundings.set(quantity, value)
            self._raw.pop(quantity, None)

    def set_raw(self, quantity: str, raw: float) -> None:
        """Fixes a raw value, for sentinels."""
        self._raw[quantity] = raw

    def write(self, data: bytes) -> None:
        """Takes commands, register numbers and settings."""
        if self._deaf() or not self._is_awake():
            raise NoAcknowledge
        self._pointer = data
        self._written.add(data)
        for conversion in self._conversions:
            if conversion.settings.start and bytes(conversion.settings.start) == data:
                conversion.started_at = self._clock()

    def read(self, count: int) -> bytes:
        """Gives what was asked for; where several things are in the same bytes, all of them."""
        if self._deaf():
            raise NoAcknowledge
        answers = [(read, body()) for read, body in self._answers() if self._asked(read, count)]
        if not answers:
            return bytes([_UNKNOWN]) * count
        number = functools.reduce(operator.or_, (int.from_bytes(body, "big") for _, body in answers))
        read = answers[0][0]
        return read.append(number.to_bytes(read.body_size, "big"), self._address)

    def _answers(self) -> Iterator[tuple[ReadSettings, Callable[[], bytes]]]:
        """Everything that can be read, and what it is now."""
        for step in self._chip.init:
            if step.identify is not None:
                yield step.identify, partial(step.identify.body, holds=True)
            if step.kept is not None:
                yield step.kept, partial(step.kept.body, holds=bytes(step.write) in self._written)
        if (calibration := self._chip.calibration) is not None:
            yield calibration.read, partial(struct.pack, calibration.format, *calibration.typical)
        last = max((c.started_at or 0.0 for c in self._conversions), default=0.0)
        for conversion in self._conversions:
            settings = conversion.settings
            if settings.start and conversion.started_at != last:
                continue  # its registers hold a later one's measurement
            yield _with_pointer(settings.read, settings), partial(self._body, conversion)
            if settings.ready is not None:
                ready = _with_pointer(settings.ready, settings)
                yield ready, partial(settings.ready.body, holds=self._has_new(conversion))
            for flag in (flag for flag in settings.flags if flag.read):
                yield flag, partial(flag.body, holds=flag.name in self._raised)

    def _asked(self, read: ReadSettings, count: int) -> bool:
        return read.read == count and bytes(read.write) == self._pointer

    def _body(self, conversion: _Conversion) -> bytes:
        settings = conversion.settings
        if self._has_new(conversion):
            body = bytearray(settings.read.body_size)
            for field in settings.fields:
                self._put(field, body)
            for flag in (flag for flag in settings.flags if not flag.read):
                place = slice(flag.at, flag.at + flag.size)
                others = int.from_bytes(body[place], "big") & ~flag.mask
                body[place] = (others | flag.number(holds=flag.name in self._raised)).to_bytes(flag.size, "big")
            conversion.body = bytes(body)
            conversion.taken_at = self._clock()
            if settings.start and settings.while_busy == "no_acknowledge":
                conversion.started_at = None  # such a result is there to be read once
        elif settings.while_busy == "no_acknowledge":
            raise NoAcknowledge
        return conversion.body

    def _put(self, field: ChipField, body: bytearray) -> None:
        if not field.is_number:
            field.put(self._wall_clock() + self._clock_offset.get(field.name, 0.0), body)
            return
        raw = self._raw.get(field.name)
        field.put(self._measured(field) if raw is None else raw, body)

    def _measured(self, field: ChipField) -> float:
        """The raw value of what it measures, or from which the chip's own formula makes that."""
        for computed in self._chip.computed:
            if computed.is_calibrated and computed.of[-1] == field.name:
                return self._solved(field, computed)
        return field.raw_for(self.surroundings.value(field.name))

    def _solved(self, field: ChipField, computed: ComputedSettings) -> float:
        calibration, wanted = self._chip.calibration, self.surroundings.value(computed.name)
        constants = calibration.typical if calibration else ()
        others = [self._measured(self._fields[name]) for name in computed.of[:-1]]
        return _solve(lambda raw: computed.value([*others, raw], constants) - wanted, field.raw_limits)

    def _has_new(self, conversion: _Conversion) -> bool:
        settings, now = conversion.settings, self._clock()
        if settings.start:
            return conversion.started_at is not None and now >= conversion.started_at + settings.wait * _TYPICAL_TIME
        set_up = all(bytes(step.write) in self._written for step in self._chip.init if step.write)
        return set_up and now >= conversion.taken_at + settings.update_interval

    def _is_awake(self) -> bool:
        """Whether it listens; a chip that sleeps is woken by what it does not acknowledge."""
        if not any(c.settings.wake for c in self._conversions) or self._clock() < self._awake_until:
            return True
        self._awake_until = self._clock() + _AWAKE_S
        return False

    def _deaf(self) -> bool:
        return any(
            c.settings.while_busy == "no_acknowledge" and c.started_at is not None and not self._has_new(c)
            for c in self._conversions
        )


def _solve(excess: Callable[[float], float], limits: tuple[float, float]) -> float:
    """The whole number between two limits at which a function that rises or falls comes nearest to 0."""
    low, high = limits
    rises = excess(high) > excess(low)
    while high - low > 1:
        middle = (low + high) // 2
        if (excess(middle) > 0) is rises:
            high = middle
        else:
            low = middle
    return min((low, high), key=lambda raw: abs(excess(raw)))


def _with_pointer(read: ReadSettings, conversion: ConversionSettings) -> ReadSettings:
    """Without a register's number, what is read belongs to the command before."""
    return read if read.write else msgspec.structs.replace(read, write=conversion.start)


def _typical(field: ChipField) -> float:
    if field.typical is not None:
        return field.typical
    if field.values:
        return float(next(iter(field.values)))
    low, high = field.valid or field.raw_limits
    return (low + high) / 2 if field.coding != "float32" else 1.0


async def _run(options: argparse.Namespace) -> None:
    profiles = options.profile or DEFAULT
    with bus_of(options) as bus:
        sensors: list[dict[str, object]] = []
        for profile in profiles:
            chip = chip_of(profile)
            for n in range(options.copies):
                name = profile if options.copies == 1 else f"{profile}_{n}"
                mux, channel = 0x70 + n // 8, n % 8
                behind = None if options.copies == 1 else (mux, channel)
                bus.add(name, number_of(chip.address), ProfileChip(chip), behind)
                sensors.append({"profile": profile, "name": name if len(profiles) * options.copies > 1 else ""})
                if behind:
                    sensors[-1]["mux"] = {"address": mux, "channel": channel}
        await serve_until_stopped({"sensors": sensors, "interval": 1.0}, bus)


def main(arguments: list[str] | None = None) -> None:
    """Prints one line of JSON, the settings a service needs to reach it, then plays until SIGTERM or SIGINT."""
    parser = emulator_parser("register_sensor.emulator", __doc__, SimulatedI2cBus)
    add_bus_options(parser)
    parser.add_argument(
        "--profile",
        choices=profile_names(PACKAGE),
        action="append",
        help=f"a chip on the bus; may be given several times (default {', '.join(DEFAULT)})",
    )
    parser.add_argument(
        "--copies",
        type=number(int, 1, 64),
        default=1,
        help="this many of each, behind the channels of multiplexers from 0x70 on (default 1, and no multiplexer)",
    )
    options = parser.parse_args(arguments)
    try:
        asyncio.run(_run(options))
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
