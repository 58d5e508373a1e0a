"""BME280 and BMP280: registers, calibration, compensation, and how the chip is set up and read.

Bosch Sensortec BST-BME280-DS001-23 (revision 1.23): calibration section 4.2.2, compensation 4.2.3 (integers) and 8.1
(floating point), registers 5.3 and 5.4, measurement time 9.1. BST-BMP280-DS001-26 for the BMP280, which is the same
without humidity.
"""

from __future__ import annotations

import asyncio
import struct
from typing import NamedTuple

from device_bridge import DeviceErrorKind
from device_bridge.buses import I2cDevice

BME280_ID, BMP280_ID = 0x60, 0x58
NAMES = {BME280_ID: "BME280", BMP280_ID: "BMP280"}
ID, RESET, STATUS, CONFIG, DATA = 0xD0, 0xE0, 0xF3, 0xF5, 0xF7
CONTROL_HUMIDITY, CONTROL_MEASUREMENT = 0xF2, 0xF4
CALIBRATION, CALIBRATION_SIZE = 0x88, 26
HUMIDITY_CALIBRATION, HUMIDITY_CALIBRATION_SIZE = 0xE1, 7
RESET_WORD = 0xB6
MEASURING, COPYING = 0x08, 0x01
"""Bits of STATUS: a conversion runs; calibration is being copied from the chip's memory."""
START_UP_S = 0.002

OVERSAMPLING = {0: 0, 1: 1, 2: 2, 4: 3, 8: 4, 16: 5}
FILTER = {0: 0, 2: 1, 4: 2, 8: 3, 16: 4}
STANDBY_MS = {0.5: 0, 62.5: 1, 125.0: 2, 250.0: 3, 500.0: 4, 1000.0: 5, 10.0: 6, 20.0: 7}
"""As on the BME280; on the BMP280 the last two mean 2000 and 4000 ms."""
SLEEP, FORCED, NORMAL = 0, 1, 3
SKIPPED_20, SKIPPED_16 = 0x80000, 0x8000
"""After a reset, and for good in a quantity that is not measured (section 5.4.7 and on); a measured value, too."""


class Raw(NamedTuple):
    """Measured values as the chip has them: 20, 20 and 16 bits."""

    pressure: int
    temperature: int
    humidity: int


class Calibration(NamedTuple):
    """The chip's own constants, by their names in the data sheet."""

    t1: int
    t2: int
    t3: int
    p1: int
    p2: int
    p3: int
    p4: int
    p5: int
    p6: int
    p7: int
    p8: int
    p9: int
    h1: int = 0
    h2: int = 0
    h3: int = 0
    h4: int = 0
    h5: int = 0
    h6: int = 0

    @classmethod
    def from_bytes(cls, main: bytes, humidity: bytes = b"") -> Calibration:
        """From registers 0x88 to 0xA1 and, on a BME280, 0xE1 to 0xE7."""
        constants: list[int] = list(struct.unpack("<HhhHhhhhhhhh", main[:24]))
        if humidity:
            h2, h3, high4, middle, high5, h6 = struct.unpack("<hBbBbb", humidity)
            constants += [main[25], h2, h3, high4 << 4 | middle & 0x0F, high5 << 4 | middle >> 4, h6]
        return cls(*constants)

    def to_bytes(self) -> tuple[bytes, bytes]:
        """As the chip holds it."""
        main = struct.pack("<HhhHhhhhhhhh", *self[:12]) + bytes((0, self.h1))
        middle = (self.h5 & 0x0F) << 4 | self.h4 & 0x0F
        return main, struct.pack("<hBbBbb", self.h2, self.h3, self.h4 >> 4, middle, self.h5 >> 4, self.h6)


def raw_from_bytes(data: bytes) -> Raw:
    """From registers 0xF7 to 0xFE; to 0xFC on a BMP280, which has no humidity."""
    humidity = int.from_bytes(data[6:8], "big") if len(data) == 8 else SKIPPED_16
    return Raw(int.from_bytes(data[0:3], "big") >> 4, int.from_bytes(data[3:6], "big") >> 4, humidity)


def raw_to_bytes(raw: Raw) -> bytes:
    """As the chip holds it."""
    return (
        (raw.pressure << 4).to_bytes(3, "big") + (raw.temperature << 4).to_bytes(3, "big") + raw.humidity.to_bytes(2)
    )


def fine_temperature(raw: int, c: Calibration) -> int:
    """`t_fine`, which the other two need; integer form."""
    first = (((raw >> 3) - (c.t1 << 1)) * c.t2) >> 11
    second = (((((raw >> 4) - c.t1) * ((raw >> 4) - c.t1)) >> 12) * c.t3) >> 14
    return first + second


def integer_temperature(fine: int) -> int:
    """Hundredths of a degree Celsius."""
    return (fine * 5 + 128) >> 8


def integer_pressure(raw: int, fine: int, c: Calibration) -> int | None:
    """256ths of a pascal; None when the constants allow no answer, as P1 = 0 does. 64-bit form."""
    var1 = fine - 128000
    var2 = var1 * var1 * c.p6 + ((var1 * c.p5) << 17) + (c.p4 << 35)
    var1 = ((var1 * var1 * c.p3) >> 8) + ((var1 * c.p2) << 12)
    var1 = (((1 << 47) + var1) * c.p1) >> 33
    if var1 == 0:
        return None
    p = 1048576 - raw
    p = _quotient(((p << 31) - var2) * 3125, var1)
    var1 = (c.p9 * (p >> 13) * (p >> 13)) >> 25
    var2 = (c.p8 * p) >> 19
    return ((p + var1 + var2) >> 8) + (c.p7 << 4)


def integer_humidity(raw: int, fine: int, c: Calibration) -> int:
    """1024ths of a percent of relative humidity, 0 to 100 %."""
    v = fine - 76800
    scaled = ((raw << 14) - (c.h4 << 20) - c.h5 * v + 16384) >> 15
    slope = (((((v * c.h6) >> 10) * (((v * c.h3) >> 11) + 32768)) >> 10) + 2097152) * c.h2 + 8192
    v = scaled * (slope >> 14)
    v -= ((((v >> 15) * (v >> 15)) >> 7) * c.h1) >> 4
    return min(max(v, 0), 419430400) >> 12


def temperature(raw: int, c: Calibration) -> tuple[float, float]:
    """Degrees Celsius and `t_fine`; floating-point form."""
    first = (raw / 16384.0 - c.t1 / 1024.0) * c.t2
    second = (raw / 131072.0 - c.t1 / 8192.0) ** 2 * c.t3
    fine = first + second
    return fine / 5120.0, fine


def pressure(raw: int, fine: float, c: Calibration) -> float | None:
    """Pascals; None when the constants allow no answer, as P1 = 0 does."""
    var1 = fine / 2.0 - 64000.0
    var2 = var1 * var1 * c.p6 / 32768.0
    var2 += var1 * c.p5 * 2.0
    var2 = var2 / 4.0 + c.p4 * 65536.0
    var1 = (c.p3 * var1 * var1 / 524288.0 + c.p2 * var1) / 524288.0
    var1 = (1.0 + var1 / 32768.0) * c.p1
    if var1 == 0.0:
        return None
    p = (1048576.0 - raw - var2 / 4096.0) * 6250.0 / var1
    return p + (c.p9 * p * p / 2147483648.0 + p * c.p8 / 32768.0 + c.p7) / 16.0


def humidity(raw: int, fine: float, c: Calibration) -> float:
    """Percent of relative humidity, 0 to 100."""
    v = fine - 76800.0
    v = (raw - (c.h4 * 64.0 + c.h5 / 16384.0 * v)) * (
        c.h2 / 65536.0 * (1.0 + c.h6 / 67108864.0 * v * (1.0 + c.h3 / 67108864.0 * v))
    )
    v *= 1.0 - c.h1 * v / 524288.0
    return min(max(v, 0.0), 100.0)


def compensated(raw: Raw, c: Calibration, *, integer: bool) -> dict[str, float | None]:
    """Degrees Celsius, pascals and percent, rounded to what the chip resolves; None where there is no answer."""
    if integer:
        whole = fine_temperature(raw.temperature, c)
        pascals = integer_pressure(raw.pressure, whole, c)
        return {
            "temperature": integer_temperature(whole) / 100,
            "pressure": None if pascals is None else round(pascals / 256, 3),
            "humidity": round(integer_humidity(raw.humidity, whole, c) / 1024, 3),
        }
    celsius, fine = temperature(raw.temperature, c)
    pressed = pressure(raw.pressure, fine, c)
    return {
        "temperature": round(celsius, 4),
        "pressure": None if pressed is None else round(pressed, 3),
        "humidity": round(humidity(raw.humidity, fine, c), 3),
    }


def measurement_s(temperature_times: int, pressure_times: int, humidity_times: int) -> float:
    """The longest time one measurement takes (section 9.1)."""
    ms = 1.25
    for times, fixed in ((temperature_times, 0.0), (pressure_times, 0.575), (humidity_times, 0.575)):
        if times:
            ms += 2.3 * times + fixed
    return ms / 1000


def _quotient(dividend: int, divisor: int) -> int:
    """Division as in C: toward zero."""
    return abs(dividend) // abs(divisor) * (1 if (dividend < 0) == (divisor < 0) else -1)


class Oversampling(NamedTuple):
    """How many measurements are averaged; 0 leaves the quantity out."""

    temperature: int
    pressure: int
    humidity: int


class Config(NamedTuple):
    """How it measures: the filter's coefficient, milliseconds between measurements, all the time or when asked."""

    filter: int = 0
    standby_ms: float = 125.0
    normal: bool = False


class ClimateChip:
    """One BME280 or BMP280.

    Parameters:
        device: where it is.
        oversampling: a BMP280 leaves humidity out.
        config: how it measures.
    """

    def __init__(self, device: I2cDevice, oversampling: Oversampling, config: Config) -> None:
        self._device, self._wanted, self._config = device, oversampling, config
        self.identity = 0
        self.oversampling = oversampling
        """As far as this chip can; known once it is set up."""
        self.calibration = Calibration(*(0,) * 12)

    @property
    def _control(self) -> int:
        return OVERSAMPLING[self.oversampling.temperature] << 5 | OVERSAMPLING[self.oversampling.pressure] << 2

    @property
    def _humidity_control(self) -> int:
        return OVERSAMPLING[self.oversampling.humidity]

    async def set_up(self) -> None:
        """Identifies, resets, reads the calibration and configures. Raises DeviceError."""
        async with self._device.transaction() as device:
            self.identity = await self._identify(device)
            if self.identity == BMP280_ID:
                self.oversampling = self._wanted._replace(humidity=0)
            await device.write_byte(RESET, RESET_WORD)
            await asyncio.sleep(START_UP_S)
            await _until_clear(device, COPYING, 0.05)
            self.calibration = await self._read_calibration(device)
            await self._configure(device)

    async def measure(self) -> Raw | None:
        """One measurement, None before the first. Raises DeviceError, also when the chip has lost its settings."""
        async with self._device.transaction() as device:
            if not self._config.normal:
                await device.write_byte(CONTROL_MEASUREMENT, self._control | FORCED)
                await self._until_measured(device)
            # In one burst, values are of one measurement (section 4.1), and the settings those they were made with.
            end = DATA + (8 if self.identity == BME280_ID else 6)
            registers = await device.write_read(bytes([CONTROL_HUMIDITY]), end - CONTROL_HUMIDITY)
            expected = self._control | (NORMAL if self._config.normal else SLEEP)
            found = registers[CONTROL_MEASUREMENT - CONTROL_HUMIDITY]
            if found != expected or (self.oversampling.humidity and registers[0] & 7 != self._humidity_control):
                raise device.error(DeviceErrorKind.GARBLED, "it has lost its settings: its supply was interrupted")
        raw = raw_from_bytes(registers[DATA - CONTROL_HUMIDITY :])
        return None if self._is_reset(raw) else raw

    def _is_reset(self, raw: Raw) -> bool:
        """Whether each measured quantity reads as after a reset. A single one may: it is a value like any other."""
        resets = (SKIPPED_20, SKIPPED_20, SKIPPED_16)
        values = (raw.temperature, raw.pressure, raw.humidity)
        measured = [value == reset for value, reset, on in zip(values, resets, self.oversampling, strict=True) if on]
        return len(measured) > 1 and all(measured)

    async def _identify(self, device: I2cDevice) -> int:
        identity = await device.read_byte(ID)
        if identity not in NAMES:
            known = " or ".join(f"0x{known:02x} ({name})" for known, name in NAMES.items())
            detail = f"chip id is 0x{identity:02x}, {known} is expected; another chip has this address"
            raise device.error(DeviceErrorKind.NOT_FOUND, detail)
        return identity

    async def _read_calibration(self, device: I2cDevice) -> Calibration:
        """The chip's constants, read twice: a wrong bit here would bend every reading from now on, unseen."""

        async def read() -> tuple[bytes, bytes]:
            main = await device.write_read(bytes([CALIBRATION]), CALIBRATION_SIZE)
            if self.identity != BME280_ID:
                return main, b""
            return main, await device.write_read(bytes([HUMIDITY_CALIBRATION]), HUMIDITY_CALIBRATION_SIZE)

        first, second = await read(), await read()
        if first != second:
            detail = "two reads of its calibration differ: check wires and pull-ups"
            raise device.error(DeviceErrorKind.GARBLED, detail)
        if len(set(first[0])) == 1:
            raise device.error(DeviceErrorKind.GARBLED, f"its calibration is nothing but 0x{first[0][0]:02x}")
        return Calibration.from_bytes(*first)

    async def _configure(self, device: I2cDevice) -> None:
        # Asleep, for config may be ignored otherwise; humidity before the rest, which makes it take effect (5.4.3).
        await device.write_byte(CONFIG, STANDBY_MS[self._config.standby_ms] << 5 | FILTER[self._config.filter] << 2)
        if self.oversampling.humidity:
            await device.write_byte(CONTROL_HUMIDITY, self._humidity_control)
        if self._config.normal:
            await device.write_byte(CONTROL_MEASUREMENT, self._control | NORMAL)
            await self._until_measured(device)

    async def _until_measured(self, device: I2cDevice) -> None:
        takes_s = measurement_s(*self.oversampling)
        await asyncio.sleep(takes_s)
        await _until_clear(device, MEASURING, takes_s)


async def _until_clear(device: I2cDevice, bits: int, timeout_s: float) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while await device.read_byte(STATUS) & bits:
        if loop.time() > deadline:
            raise device.error(DeviceErrorKind.TIMEOUT, f"it is still busy after {timeout_s:g} s too many")
        await asyncio.sleep(0.001)
