"""The devices of the profiles, on a real tty: they answer, obey commands and misbehave on demand."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import math
import re
import time
from collections.abc import Callable

from device_bridge.protocols import Checksum, ChecksumSettings
from simulated_devices import (
    PlayedDevice,
    SerialDevice,
    add_line_options,
    emulator_parser,
    line_of,
    number,
    play_until_stopped,
)

_MOST_UNREAD = 4096


class _Device:
    """What the emulated devices have in common: physical values that drift until they are fixed.

    Parameters:
        clock: seconds, for the drift.
    """

    interval_s = 1.0
    limits: dict[str, tuple[float, float]] = {}
    """Quantities that can be set, with the range of the device."""
    drift: dict[str, tuple[float, float]] = {}
    """Middle and swing of each quantity that is not fixed."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._fixed: dict[str, float] = {}
        self._unread = b""

    def set(self, quantity: str, value: float | str) -> None:
        if quantity not in self.limits:
            raise KeyError(f"{quantity} (one of {', '.join(self.limits)} can be set)")
        low, high = self.limits[quantity]
        if isinstance(value, str) or not low <= value <= high:
            raise ValueError(f"{quantity} cannot be {value}: from {low:g} to {high:g}")
        self._fixed[quantity] = value

    def value(self, quantity: str) -> float:
        """What it measures now, in the unit of the quantity."""
        middle, swing = self.drift.get(quantity, (0.0, 0.0))
        return self._fixed.get(quantity, middle + swing * math.sin(self._clock() / 20))

    def tick(self) -> list[bytes]:
        return []

    def receive(self, data: bytes) -> list[bytes]:
        self._unread = (self._unread + data)[-_MOST_UNREAD:]
        return []

    def _lines(self, data: bytes) -> list[str]:
        *lines, self._unread = (self._unread + data)[-_MOST_UNREAD:].split(b"\n")
        return [line.decode(errors="replace").strip() for line in lines]

    def _commands(self, data: bytes, start: bytes, length: int, checksum: Checksum) -> list[bytes]:
        """Binary commands of one length, without their checksum; wrong ones are passed over."""
        buffer, found = (self._unread + data)[-_MOST_UNREAD:], []
        while (at := buffer.find(start)) >= 0 and len(buffer) - at >= length:
            command = checksum.strip(buffer[at : at + length])
            buffer = buffer[at + (length if command else 1) :]
            if command:
                found.append(command)
        self._unread = buffer
        return found


class BenchScale(_Device):
    """MT-SICS: SI, S, T, Z, D. Set `load` (grams on the pan) and `moving` (1 while it swings)."""

    interval_s = 0.0
    limits = {"load": (-500.0, 5000.0), "moving": (0, 1)}
    drift = {"load": (250.0, 10.0)}
    capacity_g = 4200.0

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self.tare_g = self.zero_g = 0.0
        self.shown = ""

    def receive(self, data: bytes) -> list[bytes]:
        return [f"{self._answer(line)}\r\n".encode() for line in self._lines(data) if line]

    def _answer(self, line: str) -> str:
        load = self.value("load") - self.zero_g
        moving = bool(self.value("moving"))
        over = "+" if load > self.capacity_g else "-" if load < -self.capacity_g / 50 else ""
        if line in ("SI", "S"):
            if over or (line == "S" and moving):
                return f"S {over or 'I'}"
            return f"S {'D' if moving else 'S'} {load - self.tare_g:10.2f} g"
        if line in ("T", "Z"):
            if over or moving:
                return f"{line} {over or 'I'}"
            if line == "Z":
                self.zero_g, self.tare_g = self.zero_g + load, 0.0
                return "Z A"
            self.tare_g = load
            return f"T S {load:10.2f} g"
        shown = re.fullmatch(r'D "([^"]*)"', line)
        if shown:
            self.shown = shown[1]
            return "D A"
        return "ES"


class ArduinoJson(_Device):
    """One JSON object a line; `{"led":1}` switches its LED."""

    limits = {"temperature": (-40.0, 85.0), "humidity": (0.0, 100.0), "light": (0.0, 1.0)}
    drift = {"temperature": (21.5, 2.0), "humidity": (45.0, 5.0), "light": (0.5, 0.4)}

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self.led = 0
        self._banner = [b"# sensor board ready\n"]

    def tick(self) -> list[bytes]:
        banner, self._banner = self._banner, []
        values = {"temperature": round(self.value("temperature"), 2), "humidity": round(self.value("humidity"), 1)}
        return [*banner, _json_line({**values, "adc": [round(self.value("light") * 1023)]})]

    def receive(self, data: bytes) -> list[bytes]:
        answers = []
        for line in self._lines(data):
            try:
                self.led = {0: 0, 1: 1}[json.loads(line)["led"]]
                answers.append(_json_line({"led": self.led}))
            except (ValueError, KeyError, TypeError):
                answers.append(_json_line({"error": "unknown"}))
        return answers


class Pms5003(_Device):
    """Active and passive mode, sleep and wake."""

    limits = dict.fromkeys(("pm1", "pm2_5", "pm10"), (0.0, 1000.0)) | dict.fromkeys(
        ("particles_0_3um", "particles_2_5um"), (0.0, 65_535.0)
    )
    drift = {
        "pm1": (8, 2),
        "pm2_5": (12, 3),
        "pm10": (15, 4),
        "particles_0_3um": (1800, 200),
        "particles_2_5um": (40, 10),
    }
    checksum = Checksum(ChecksumSettings(algorithm="SUM-16"))

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self.active = self.awake = True

    def tick(self) -> list[bytes]:
        return [self._frame()] if self.active and self.awake else []

    def receive(self, data: bytes) -> list[bytes]:
        answers = []
        for command in self._commands(data, b"BM", 7, self.checksum):
            kind, on = command[2], bool(command[4])
            if kind == 0xE4:
                self.awake = on
            elif kind == 0xE1:
                self.active = on
                answers.append(self.checksum.append(b"BM\x00\x04" + command[2:3] + command[4:5]))
            elif kind == 0xE2 and self.awake:
                answers.append(self._frame())
        return answers

    def _frame(self) -> bytes:
        pm1, pm2_5, pm10 = (round(self.value(name)) for name in ("pm1", "pm2_5", "pm10"))
        small, large = (round(self.value(name)) for name in ("particles_0_3um", "particles_2_5um"))
        words = [28, pm1, pm2_5, pm10, pm1, pm2_5, pm10, small, small // 3, small // 10, large, 2, 1, 0x9700]
        return self.checksum.append(b"BM" + b"".join(word.to_bytes(2, "big") for word in words))


class MhZ19(_Device):
    """CO2 on request, with its commands of calibration."""

    interval_s = 0.0
    limits = {"co2": (0.0, 5000.0)}
    drift = {"co2": (620, 80)}
    checksum = Checksum(ChecksumSettings(algorithm="LRC", skip=1))

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self.obeyed: list[bytes] = []

    def receive(self, data: bytes) -> list[bytes]:
        answers = []
        for command in self._commands(data, b"\xff\x01", 9, self.checksum):
            if command[2] == 0x86:
                answers.append(
                    self.checksum.append(b"\xff\x86" + round(self.value("co2")).to_bytes(2, "big") + bytes(4))
                )
            else:
                self.obeyed = [*self.obeyed, command][-100:]
        return answers


class BarcodeScanner(_Device):
    """A code every few seconds, as from a conveyor, or when triggered; `set code TEXT` for the next ones."""

    interval_s = 2.0
    codes = ("]E04006381333931", "]C0PALLET-00471", "]Q1https://example.org/part/7")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self._codes = itertools.cycle(self.codes)

    def set(self, quantity: str, value: float | str) -> None:
        if quantity != "code":
            raise KeyError(f"{quantity} (code can be set)")
        self._codes = itertools.cycle([str(value)])

    def tick(self) -> list[bytes]:
        return [next(self._codes).encode() + b"\r"]

    def receive(self, data: bytes) -> list[bytes]:
        *commands, self._unread = (self._unread + data)[-_MOST_UNREAD:].split(b"\r")
        return [frame for command in commands if command == b"\x16T" for frame in self.tick()]


DEVICES: dict[str, type[_Device]] = {
    "bench_scale": BenchScale,
    "arduino_json": ArduinoJson,
    "pms5003": Pms5003,
    "mhz19": MhZ19,
    "barcode_scanner": BarcodeScanner,
}
"""The device of each profile."""


def _json_line(members: object) -> bytes:
    return json.dumps(members, separators=(",", ":")).encode() + b"\n"


async def _run(options: argparse.Namespace) -> None:
    device: SerialDevice = DEVICES[options.profile]()
    if options.interval is not None and device.interval_s:
        device.interval_s = options.interval
    with line_of(options) as (line, faults):
        played = PlayedDevice(device, line, faults)
        settings = {"profile": options.profile, "serial": {"port": str(line.path)}}
        await play_until_stopped(settings, played.run(), played)


def main(arguments: list[str] | None = None) -> None:
    """Prints one line of JSON, the settings a service needs to reach it, then plays until SIGTERM or SIGINT."""
    parser = emulator_parser("serial_instrument.emulator", __doc__, PlayedDevice)
    add = parser.add_argument
    add("--profile", choices=DEVICES, default="bench_scale", help="which device (default bench_scale)")
    add("--interval", type=number(float, 0.001, 3600), help="seconds between what it sends by itself")
    add_line_options(parser, "frames")
    options = parser.parse_args(arguments)
    try:
        asyncio.run(_run(options))
    except (OSError, ValueError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
