"""Meters on a Modbus line: pymodbus's own server on a serial line, with damage and silence on demand."""

from __future__ import annotations

import argparse
import asyncio
import math
import re
import time
from collections.abc import Callable, Sequence

import msgspec
from pymodbus.constants import ExcCodes
from pymodbus.framer import FramerType
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice

from device_bridge.settings import profile_names, read_profile
from simulated_devices import (
    PlayedDevice,
    add_line_options,
    emulator_parser,
    line_of,
    number,
    play_until_stopped,
)

from .registers import RegisterSettings

PROFILES = "modbus_meter"
_TYPICAL = (
    ("voltage_l1_l2|voltage_l2_l3|voltage_l3_l1", 400.0),
    ("voltage", 231.0),
    ("neutral_current", 0.4),
    ("current", 3.2),
    ("apparent_power", 740.0),
    ("reactive_power", 55.0),
    ("active_power", 735.0),
    ("power_factor", 0.99),
    ("frequency", 50.0),
    ("pulse_width", 100.0),
    ("demand_period", 60.0),
    ("export", 12.5),
    ("energy", 1234.5),
)


class Meter:
    """One meter: its registers, and what it measures.

    Parameters:
        address: 1 to 247.
        registers: of its profile.
        clock: seconds, for the drift of what is not fixed.
    """

    def __init__(
        self, address: int, registers: Sequence[RegisterSettings], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.address = address
        self.silent = False
        self._clock = clock
        self._registers = {register.name: register for register in registers}
        self._fixed = {register.name: _typical(register.name) for register in registers if register.writable}

    def set(self, quantity: str, value: float) -> None:
        """Fixes a physical value, in the unit of the quantity. Raises KeyError, or ValueError out of range."""
        self._registers[quantity].encode(value)
        self._fixed[quantity] = value

    def value(self, quantity: str) -> float:
        """What it measures now."""
        if quantity in self._fixed:
            return self._fixed[quantity]
        phase = self._clock() / 30 + self.address
        return _typical(quantity) * (
            1 + (0.0005 if quantity in ("frequency", "power_factor") else 0.02) * math.sin(phase)
        )

    def device(self) -> SimDevice:
        """The meter as pymodbus's server plays it."""
        blocks = {table: [r for r in self._registers.values() if r.table == table] for table in ("holding", "input")}
        holding, inputs = (
            [SimData(r.address, values=self._words(r), datatype=DataType.REGISTERS) for r in blocks[table]]
            or [SimData(0, values=[0], datatype=DataType.REGISTERS)]
            for table in ("holding", "input")
        )
        no_bits = [SimData(0, count=16, values=False, datatype=DataType.BITS)]
        return SimDevice(self.address, (no_bits, list(no_bits), holding, inputs), action=self._accessed)

    async def _accessed(  # noqa: PLR0917 - as pymodbus calls it
        self,
        function: int,
        start: int,
        address: int,
        count: int,
        current: list[int],
        written: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        table = {3: "holding", 4: "input", 6: "holding", 16: "holding"}.get(function)
        for register in self._registers.values():
            if register.table != table or not address <= register.address < address + count:
                continue
            at = register.address - start
            if written is None:
                current[at : at + register.size] = self._words(register)
                continue
            words = [int(word) for word in written[register.address - address :][: register.size]]
            value = float(register.decode(words)) * register.scale + register.offset
            if not register.writable or (register.valid and not register.valid[0] <= value <= register.valid[1]):
                return ExcCodes.ILLEGAL_VALUE
            self._fixed[register.name] = value
        return None

    def _words(self, register: RegisterSettings) -> list[int]:
        return register.encode(self.value(register.name))


class _Answers(asyncio.Transport):
    """What pymodbus's server writes to, in place of a serial port."""

    def __init__(self) -> None:
        super().__init__()
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Takes an answer."""
        self._queue.put_nowait(bytes(data))

    def close(self) -> None:
        """Has nothing to close."""

    async def send(self, played: PlayedDevice) -> None:
        """Sends answers as they come, until cancelled."""
        while True:
            await played.send([await self._queue.get()])


class MeterLine:
    """Meters on one line, as a serial device: requests go to pymodbus's server, its answers come back damaged.

    Parameters:
        meters: on the line.
    """

    interval_s = 0.0

    def __init__(self, meters: Sequence[Meter]) -> None:
        self.meters = {meter.address: meter for meter in meters}
        self._requests: asyncio.Queue[bytes] = asyncio.Queue()

    def set(self, quantity: str, value: float | str) -> None:
        """`ADDRESS/quantity` in its unit, or `ADDRESS/silent` to 1 or 0."""
        address, _, name = quantity.partition("/")
        meter = self.meters.get(int(address)) if address.isdecimal() else None
        if meter is None or isinstance(value, str):
            raise KeyError(f"{quantity} = {value} (ADDRESS/quantity and a number are needed)")
        if name == "silent":
            meter.silent = bool(value)
        else:
            meter.set(name, value)

    def tick(self) -> list[bytes]:
        """A meter never speaks by itself."""
        return []

    def receive(self, data: bytes) -> list[bytes]:
        """Passes a request on; the answer comes later."""
        meter = self.meters.get(data[0]) if data else None
        if meter is None or not meter.silent:
            self._requests.put_nowait(data)
        return []

    async def serve(self, played: PlayedDevice) -> None:
        """Runs the server and forwards its answers, until cancelled."""
        server = ModbusSerialServer(
            [meter.device() for meter in self.meters.values()],
            framer=FramerType.RTU,
            ignore_missing_devices=True,
        )
        answers = _Answers()
        handler = server.callback_new_connection()  # type: ignore[no-untyped-call]
        handler.connection_made(answers)
        answering = asyncio.ensure_future(answers.send(played))
        try:
            while True:
                handler.data_received(await self._requests.get())
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)
            handler.close()


def _typical(quantity: str) -> float:
    return next((value for pattern, value in _TYPICAL if re.match(pattern, quantity)), 1.0)


def registers_of(profile: str) -> list[RegisterSettings]:
    """The registers of a profile."""
    return msgspec.convert(read_profile(PROFILES, profile)["registers"], list[RegisterSettings])


async def _run(options: argparse.Namespace) -> None:
    with line_of(options) as (line, faults):
        registers = registers_of(options.profile)
        meters = MeterLine([Meter(address, registers) for address in range(1, options.units + 1)])
        for address in options.silent:
            meters.set(f"{address}/silent", 1)
        played = PlayedDevice(meters, line, faults)
        units = [{"address": n, "name": f"meter{n}"} for n in meters.meters]
        settings = {"profile": options.profile, "serial": {"port": str(line.path)}, "units": units}
        settings |= {"interval": 1.0}

        async def play() -> None:
            await asyncio.gather(meters.serve(played), played.run())

        await play_until_stopped(settings, play(), played)


def main(arguments: list[str] | None = None) -> None:
    """Prints one line of JSON, the settings a service needs to reach it, then plays until SIGTERM or SIGINT."""
    parser = emulator_parser("modbus_meter.emulator", __doc__, PlayedDevice)
    add = parser.add_argument
    add("--profile", choices=profile_names(PROFILES), default="sdm120", help="kind of meter (default sdm120)")
    add("--units", type=number(int, 1, 247), default=2, help="how many, from address 1 (default 2)")
    add("--silent", type=number(int, 1, 247), action="append", default=[], help="address of a meter that is dead")
    add_line_options(parser, "answers")
    options = parser.parse_args(arguments)
    try:
        asyncio.run(_run(options))
    except (OSError, ValueError, KeyError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
