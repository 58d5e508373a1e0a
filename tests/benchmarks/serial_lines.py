"""Reading lines from a tty against pyserial and serial_asyncio_fast, and ten Modbus units of which three are dead."""

from __future__ import annotations

import asyncio
import itertools
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from device_bridge import Quality, Sample
from device_bridge.settings.sources import SettingsSources
from device_bridge.supervision.supervisor import Supervisor
from modbus_meter.service import ModbusMeter, ModbusSettings
from serial_instrument.emulator import ArduinoJson
from serial_instrument.service import InstrumentSettings, SerialInstrument
from simulated_devices import PlayedDevice, SimulatedSerialLine

from .bed import LINE, lines
from .bridges import lean_python, peers_python
from .report import Row, at_least, at_most, cannot_run

_BYTES_PER_S = 11_520
_INTERVAL_S = 1.0
_CHUNK_S = 0.002
"""A UART of 115200 baud with a FIFO of 16 bytes interrupts about every millisecond; USB adapters less often."""


class Took:
    """What one reader needed."""

    def __init__(self, cpu_s: float, wall_s: float, count: int) -> None:
        self.cpu_us = cpu_s / count * 1e6
        self.per_s = count / wall_s


async def rows(quick: bool) -> list[Row]:
    """At full speed, at a paced 115200 baud, and the interval of a Modbus line."""
    count = 5_000 if quick else 40_000
    table: list[Row] = []
    full = {kind: await _read(kind, count, paced=False) for kind in ("bus", "streams")}
    full["readline"] = await _read("readline", count // 10, paced=False)
    table += _against(full, "lines at full speed", 0.01, 0.5)
    bus, peer = full["bus"], full["readline"]
    if bus and peer:
        name = f"lines/s from a tty ({bus.per_s:,.0f}/s)"
        table.append(at_least(name, bus.per_s / peer.per_s, "x", f"readline() {peer.per_s:,.0f}/s", 50))
    paced_count = int(_BYTES_PER_S / (len(LINE) + 1) * (4 if quick else 15))
    kinds = ("bus", "gathered", "readline", "streams")
    paced = dict(zip(kinds, [await _read(kind, paced_count, paced=True) for kind in kinds], strict=True))
    table += _against(paced, "a line at 115200 baud", 0.6, 1.0)
    gathered = {"bus": paced["gathered"], "readline": paced["readline"]}
    table += _against(gathered, "a line at 115200 baud, gathered for 20 ms", 0.25, 1.0)
    table.append(await _modbus_interval(8 if quick else 20))
    table.append(await _replug(2 if quick else 8))
    return table


def _against(found: dict[str, Took | None], what: str, goal: float, goal_streams: float) -> list[Row]:
    table = []
    ours = found["bus"]
    names = (("readline", "pyserial readline()", goal), ("streams", "serial_asyncio_fast", goal_streams))
    for kind, name, limit in names:
        if kind not in found:
            continue
        theirs = found[kind]
        if ours is None or theirs is None:
            table.append(cannot_run(f"CPU of {what} against {name}", f"{name} could not be run", f"<= {limit:g} x"))
            continue
        row = f"CPU of {what} ({ours.cpu_us:.1f} us)"
        table.append(at_most(row, ours.cpu_us / theirs.cpu_us, "x", f"{name} {theirs.cpu_us:.1f} us", limit))
    return table


async def _read(kind: str, count: int, *, paced: bool) -> Took | None:
    python = peers_python() if kind == "streams" else lean_python()
    with tempfile.TemporaryDirectory() as folder, SimulatedSerialLine(Path(folder) / "tty") as line:
        process = await asyncio.create_subprocess_exec(
            *(python, str(Path(__file__).with_name("line_readers.py")), kind, str(line.path), str(count)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(120):
                if await process.stdout.readline() != b"ready\n":
                    return None
                started = time.monotonic()
                await (_pace(line, lines(count)) if paced else line.send(lines(count)))
                cpu_s = float(await process.stdout.readline())
                return Took(cpu_s, time.monotonic() - started, count)
        except (TimeoutError, ValueError):
            return None
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _pace(line: SimulatedSerialLine, data: bytes) -> None:
    loop = asyncio.get_running_loop()
    started, sent = loop.time(), 0
    while sent < len(data):
        due = min(len(data), int((loop.time() - started) * _BYTES_PER_S) + 1)
        await line.send(data[sent:due])
        sent = due
        await asyncio.sleep(_CHUNK_S)


async def _modbus_interval(rounds: int) -> Row:
    """How far the living units stray from their interval while the dead ones are tried again."""
    dead = ("2", "5", "9")
    emulator = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "modbus_meter.emulator", "--units", "10"),
        *(argument for address in dead for argument in ("--silent", address)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert emulator.stdout is not None
    arrivals: dict[str, list[float]] = {}

    def take(sample: Sample) -> None:
        if sample[0].quality is Quality.GOOD:
            arrivals.setdefault(sample[0].name.partition("/")[0], []).append(time.monotonic())

    async def room() -> None:
        return None

    try:
        settings = msgspec.json.decode(await emulator.stdout.readline())["settings"]
        settings |= {"interval": _INTERVAL_S, "timeout": 0.2}
        settings["serial"]["baud"] = 115_200
        sources = SettingsSources(ModbusSettings, file=None, environment={})
        bridge = Supervisor(ModbusMeter, sources.resolve(msgspec.json.encode(settings).decode()), take, room)
        running = asyncio.ensure_future(bridge.run())
        await asyncio.sleep((rounds + 4) * _INTERVAL_S)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    finally:
        emulator.terminate()
        await emulator.wait()
    # The first rounds find out who is dead.
    waits = [after - before for times in arrivals.values() for before, after in itertools.pairwise(times[3:])]
    strayed = sorted(abs(wait - _INTERVAL_S) / _INTERVAL_S for wait in waits)
    name = f"Modbus: {len(arrivals)} of 10 units alive, strays from interval, p95 of {len(waits)}"
    return at_most(name, strayed[int(len(strayed) * 0.95)], "x", f"its own {_INTERVAL_S:g} s", 0.1)


async def _replug(times: int) -> Row:
    """From plugging a device in again to its first reading; it speaks every 10 ms."""
    device = ArduinoJson()
    device.interval_s = 0.01
    good = asyncio.Event()

    def take(sample: Sample) -> None:
        if sample[0].quality is Quality.GOOD:
            good.set()

    async def room() -> None:
        return None

    waits = []
    with tempfile.TemporaryDirectory() as folder, SimulatedSerialLine(Path(folder) / "tty") as line:
        settings = {"profile": "arduino_json", "serial": {"port": str(line.path)}}
        sources = SettingsSources(InstrumentSettings, file=None, environment={})
        bridge = Supervisor(SerialInstrument, sources.resolve(msgspec.json.encode(settings).decode()), take, room)
        work = [asyncio.ensure_future(PlayedDevice(device, line).run()), asyncio.ensure_future(bridge.run())]
        await good.wait()
        for absence_s in itertools.islice(itertools.cycle((0.2, 3.1, 7.3)), times):
            line.unplug()
            await asyncio.sleep(absence_s)
            line.replug()
            good.clear()
            started = time.monotonic()
            await good.wait()
            waits.append(time.monotonic() - started)
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
    return at_most("replug to first reading, longest", max(waits), "s", f"{times} absences of 0.2 to 7.3 s", 2)
