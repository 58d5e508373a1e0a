"""Emulated meters, inverter and weather transmitter: what they send, and how they answer."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

from device_bridge.protocols import Checksum, ChecksumSettings

from .emulated_device import MOST_UNREAD, Device
from .emulated_sensors import BenchScale


class DsmrMeter(Device):
    """P1 port of a smart meter, DSMR 5: a telegram a second, ended by its CRC."""

    limits = {"power": (0.0, 99.0), "imported": (0.0, 999_999.0), "voltage": (0.0, 999.0), "gas": (0.0, 99_999.0)}
    drift = {"power": (1.2, 0.8), "imported": (1934.567, 0.0), "voltage": (230.0, 3.0), "gas": (2785.123, 0.0)}
    checksum = Checksum(ChecksumSettings(algorithm="CRC-16/ARC", notation="hex"))

    def tick(self) -> list[bytes]:
        lines = [
            r"/ISk5\2MT382-1000",
            "",
            "1-3:0.2.8(50)",
            "0-0:1.0.0(260102120000W)",
            f"1-0:1.8.1({self.value('imported'):010.3f}*kWh)",
            "1-0:1.8.2(000842.100*kWh)",
            "1-0:2.8.1(000000.000*kWh)",
            "1-0:2.8.2(000000.000*kWh)",
            "0-0:96.14.0(0002)",
            f"1-0:1.7.0({self.value('power'):06.3f}*kW)",
            "1-0:2.7.0(00.000*kW)",
            f"1-0:32.7.0({self.value('voltage'):05.1f}*V)",
            "1-0:31.7.0(005*A)",
            "0-1:24.1.0(003)",
            f"0-1:24.2.1(260102115500W)({self.value('gas'):09.3f}*m3)",
            "!",
        ]
        return [self.checksum.append("\r\n".join(lines).encode()) + b"\r\n"]


class BatteryMonitor(Device):
    """VE.Direct text protocol of a BMV: two blocks by turns, the bytes of each adding up to zero."""

    limits = {"voltage": (0.0, 95.0), "current": (-500.0, 500.0), "charge": (0.0, 100.0), "cycles": (0.0, 9999.0)}
    drift = {"voltage": (12.8, 0.4), "current": (-2.5, 2.0), "charge": (87.0, 5.0), "cycles": (12.0, 0.0)}
    checksum = Checksum(ChecksumSettings(algorithm="LRC"))

    def tick(self) -> list[bytes]:
        volt, ampere = round(self.value("voltage") * 1000), round(self.value("current") * 1000)
        return [
            self._block(
                {
                    "PID": "0xA381",
                    "V": volt,
                    "I": ampere,
                    "P": round(volt * ampere / 1e6),
                    "CE": -13_500,
                    "SOC": round(self.value("charge") * 10),
                    "TTG": -1,
                    "Alarm": "OFF",
                    "Relay": "OFF",
                }
            ),
            self._block({"H1": -55_000, "H4": round(self.value("cycles")), "H7": 11_900, "H8": 14_450, "H18": 3456}),
        ]

    def _block(self, members: dict[str, object]) -> bytes:
        text = "".join(f"\r\n{name}\t{value}" for name, value in members.items())
        return self.checksum.append(f"{text}\r\nChecksum\t".encode())


class Sds011(Device):
    """Dust sensor: a frame a second, sleep and work."""

    limits = {"pm2_5": (0.0, 999.9), "pm10": (0.0, 999.9)}
    drift = {"pm2_5": (12.0, 3.0), "pm10": (19.0, 4.0)}
    checksum = Checksum(ChecksumSettings(algorithm="SUM-8", position=-2, over=(2, -2)))

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self.awake = True

    def tick(self) -> list[bytes]:
        words = [round(self.value(name) * 10).to_bytes(2, "little") for name in ("pm2_5", "pm10")]
        return [self.checksum.append(b"\xaa\xc0" + b"".join(words) + b"\xa1\x60\xab")] if self.awake else []

    def receive(self, data: bytes) -> list[bytes]:
        answers = []
        for command in self.commands(data, b"\xaa\xb4", 19, self.checksum):
            if command[2:4] == b"\x06\x01":
                self.awake = bool(command[4])
                answers.append(self.checksum.append(b"\xaa\xc5\x06\x01" + command[4:5] + b"\x00\xa1\x60\xab"))
        return answers


class QpigsInverter(Device):
    """Off-grid inverter that answers QPIGS, QMOD, QPIRI and obeys POP."""

    interval_s = 0.0
    limits = {"output_power": (0.0, 9999.0), "battery": (0.0, 99.0), "mains": (0, 1)}
    drift = {"output_power": (379.0, 100.0), "battery": (25.2, 0.5), "mains": (1, 0)}
    checksum = Checksum(ChecksumSettings(algorithm="CRC-16/XMODEM", position=-3, avoid="(\\r\\n"))

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self.priority = 0

    def receive(self, data: bytes) -> list[bytes]:
        *lines, self._unread = (self._unread + data)[-MOST_UNREAD:].split(b"\r")
        questions = (self.checksum.strip(line + b"\r") for line in lines)
        return [self.checksum.append(f"({self._answer(asked)}\r".encode()) for asked in questions if asked]

    def _answer(self, asked: bytes) -> str:
        power, mains = round(self.value("output_power")), self.value("mains")
        match asked.rstrip(b"\r"):
            case b"QPIGS":
                grid = "230.4 50.0" if mains else "000.0 00.0"
                load = f"229.9 49.9 {power + 50:04d} {power:04d} {power // 50:03d}"
                return f"{grid} {load} 385 {self.value('battery'):05.2f} 010 100 0035 0001 072.5 26.80 00000 00010110"
            case b"QMOD":
                return "L" if mains else "B"
            case b"QPIRI":
                return (
                    "230.0 21.7 230.0 50.0 21.7 5000 4000 24.0 23.0 21.0 28.2 27.0 0 10 010 1 "
                    f"{self.priority} 0 6 01 0 0 27.0 0 1"
                )
            case b"POP00" | b"POP01" | b"POP02":
                self.priority = int(asked[3:5])
                return "ACK"
        return "NAK"


class StreamingScale(BenchScale):
    """A bench scale that sends its weight by itself after SIR, in the unit that is set on it (0 g, 1 kg, 2 lb)."""

    interval_s = 0.2
    limits = {**BenchScale.limits, "unit": (0, 2)}
    units = (("g", 1.0), ("kg", 1000.0), ("lb", 453.59237))

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self.streams = False

    def tick(self) -> list[bytes]:
        return [f"{self._weight()}\r\n".encode()] if self.streams else []

    def _answer(self, line: str) -> str:
        if line == "SIR":
            self.streams = True
            return self._weight()
        return super()._answer(line)

    def _weight(self) -> str:
        name, grams = self.units[round(self.value("unit"))]
        state = "D" if self.value("moving") else "S"
        return f"S {state} {(self.value('load') - self.zero_g - self.tare_g) / grams:10.5f} {name}"


class WeatherTransmitter(Device):
    """Vaisala WXT in automatic mode: wind, then pressure and temperature, then rain, by turns."""

    limits = {
        "wind_direction": (0.0, 360.0),
        "wind_speed": (0.0, 60.0),
        "temperature": (-52.0, 60.0),
        "humidity": (0.0, 100.0),
        "pressure": (600.0, 1100.0),
    }
    drift = {
        "wind_direction": (236.0, 10.0),
        "wind_speed": (2.8, 1.0),
        "temperature": (23.6, 2.0),
        "humidity": (30.0, 5.0),
        "pressure": (1028.2, 1.0),
    }

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self._lines = itertools.cycle((self._wind, self._air, self._rain))

    def tick(self) -> list[bytes]:
        return [f"{next(self._lines)()}\r\n".encode()]

    def _wind(self) -> str:
        direction, speed = round(self.value("wind_direction")), self.value("wind_speed")
        return f"0R1,Dn={direction:03d}D,Dm={direction:03d}D,Dx={direction:03d}D,Sn={speed:.1f}M,Sm={speed:.1f}M"

    def _air(self) -> str:
        values = self.value("temperature"), self.value("humidity"), self.value("pressure")
        return "0R2,Ta={:.1f}C,Ua={:.1f}P,Pa={:.1f}H".format(*values)

    def _rain(self) -> str:
        return "0R3,Rc=0.00M,Rd=0s,Ri=0.0M,Hc=0.0M,Hd=0s,Hi=0.0M"
