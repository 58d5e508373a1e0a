"""A BME280 or BMP280 on an emulated bus: with its resolution and conversion times."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable

from simulated_devices import (
    Clock,
    RegisterChip,
    SimulatedI2cBus,
    Surroundings,
    add_bus_options,
    bus_of,
    emulator_parser,
    serve_until_stopped,
)

from . import chip
from .chip import Calibration, Raw

CALIBRATION = Calibration(
    *(27504, 26435, -1000, 36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000),  # the data sheet's example
    *(75, 362, 0, 324, 50, 30),
)
_TIMES = {code: times for times, code in chip.OVERSAMPLING.items()}
_STANDBY_S = {code: ms / 1000 for ms, code in chip.STANDBY_MS.items()}
_CALIBRATED = range(chip.CALIBRATION, chip.CALIBRATION + chip.CALIBRATION_SIZE)


class ClimateChip(RegisterChip):
    """The chip.

    Parameters:
        identity: BME280_ID or BMP280_ID.
        calibration: its constants.
        clock: seconds.
    """

    def __init__(
        self,
        identity: int = chip.BME280_ID,
        calibration: Calibration = CALIBRATION,
        clock: Clock = time.monotonic,
    ) -> None:
        self._humid = identity == chip.BME280_ID
        self._calibration, self._clock = calibration, clock
        limits = {"temperature": (-60.0, 100.0), "humidity": (0.0, 100.0), "pressure": (20_000.0, 120_000.0)}
        typical = {"temperature": 21.5, "pressure": 101_325.0} | ({"humidity": 48.0} if self._humid else {})
        self.surroundings = Surroundings(typical, limits, clock=clock)
        self._ready_at = self._copied_at = 0.0
        main, humidity = calibration.to_bytes()
        power_on = {chip.ID: identity} | dict(enumerate(main, chip.CALIBRATION))
        if self._humid:
            power_on |= dict(enumerate(humidity, chip.HUMIDITY_CALIBRATION))
        super().__init__(power_on, write_pairs=True)

    def set(self, quantity: str, value: float) -> None:
        """Fixes a physical value, in the unit of the service's reading."""
        self.surroundings.set(quantity, value)

    def reset(self) -> None:
        """Is as after power-on, and busy copying its calibration."""
        super().reset()
        self._store_data(Raw(chip.SKIPPED_20, chip.SKIPPED_20, chip.SKIPPED_16))
        self._copied_at = self._clock() + chip.START_UP_S
        self._ready_at = 0.0

    def store(self, register: int, value: int) -> None:
        """Takes settings; starts a measurement where they ask for one."""
        if register == chip.RESET:
            if value == chip.RESET_WORD:
                self.reset()
        elif register in (chip.CONFIG, chip.CONTROL_HUMIDITY):
            self.memory[register] = value
        elif register == chip.CONTROL_MEASUREMENT:
            self.memory[register] = value
            # Humidity takes effect with a write to this register (section 5.4.3).
            self._humidity_times = _TIMES.get(self.memory[chip.CONTROL_HUMIDITY] & 7, 16) if self._humid else 0
            if value & 3 != chip.SLEEP:
                self._ready_at = self._clock() + self._takes_s()

    def read(self, count: int) -> bytes:
        """Gives registers as they are now; a burst is of one measurement."""
        now = self._clock()
        mode = self.memory[chip.CONTROL_MEASUREMENT] & 3
        if self._ready_at and now >= self._ready_at:
            self._store_data(self._measured())
            self._ready_at = 0.0
            if mode == chip.NORMAL:
                standby_s = _STANDBY_S[self.memory[chip.CONFIG] >> 5]
                self._ready_at = now + standby_s + self._takes_s()
            else:
                self.memory[chip.CONTROL_MEASUREMENT] &= ~3
        measuring = self._ready_at and now >= self._ready_at - self._takes_s()
        self.memory[chip.STATUS] = (chip.MEASURING if measuring else 0) | (
            chip.COPYING if now < self._copied_at else 0
        )
        return super().read(count)

    def _times(self) -> tuple[int, int, int]:
        control = self.memory[chip.CONTROL_MEASUREMENT]
        return _TIMES.get(control >> 5, 16), _TIMES.get(control >> 2 & 7, 16), self._humidity_times

    def _takes_s(self) -> float:
        return chip.measurement_s(*self._times()) * 0.9  # typical; what the data sheet promises is the longest

    def _store_data(self, raw: Raw) -> None:
        self.memory[chip.DATA : chip.DATA + 8] = raw_bytes = chip.raw_to_bytes(raw)
        assert len(raw_bytes) == 8  # noqa: S101 - the slice must not change the memory's size

    def _measured(self) -> Raw:
        c, value = self._calibration, self.surroundings.value
        temperature_times, pressure_times, humidity_times = self._times()
        celsius = value("temperature")
        temperature = _solve(lambda raw: chip.temperature(raw, c)[0], celsius, 20)
        fine = chip.temperature(temperature, c)[1]
        # Pressure is the one that falls with its raw value.
        pressure = _solve(lambda raw: -(chip.pressure(raw, fine, c) or 0.0), -value("pressure"), 20)
        humidity = _solve(lambda raw: chip.humidity(raw, fine, c), value("humidity"), 16) if self._humid else 0
        return Raw(
            self._rounded(pressure, pressure_times) if pressure_times else chip.SKIPPED_20,
            self._rounded(temperature, temperature_times) if temperature_times else chip.SKIPPED_20,
            humidity if humidity_times else chip.SKIPPED_16,
        )

    def _rounded(self, raw: int, times: int) -> int:
        """16 bits without oversampling, one more with each doubling, all 20 with the filter (section 3.4)."""
        if self.memory[chip.CONFIG] >> 2 & 7:
            return raw
        coarse = 4 - (chip.OVERSAMPLING[times] - 1)
        return (raw + (1 << coarse >> 1)) >> coarse << coarse


def _solve(compensated: Callable[[int], float], wanted: float, bits: int) -> int:
    """The raw value that a rising function takes nearest to a wanted one."""
    low, high = 0, (1 << bits) - 1
    while low < high:
        middle = (low + high) // 2
        if compensated(middle) < wanted:
            low = middle + 1
        else:
            high = middle
    return low - 1 if low and abs(compensated(low - 1) - wanted) < abs(compensated(low) - wanted) else low


async def _run(options: argparse.Namespace) -> None:
    with bus_of(options) as bus:
        identity = chip.BMP280_ID if options.profile == "bmp280" else chip.BME280_ID
        bus.add("climate", options.address, ClimateChip(identity))
        await serve_until_stopped({"address": options.address, "interval": 1.0}, bus)


def main(arguments: list[str] | None = None) -> None:
    """Prints one line of JSON, the settings a service needs to reach it, then plays until SIGTERM or SIGINT."""
    parser = emulator_parser("climate_sensor.emulator", __doc__, SimulatedI2cBus)
    add_bus_options(parser)
    parser.add_argument("--profile", choices=("bme280", "bmp280"), default="bme280", help="chip (default bme280)")
    parser.add_argument("--address", type=lambda text: int(text, 0), default=0x76, help="default 0x76")
    asyncio.run(_run(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
