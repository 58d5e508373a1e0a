"""Devices on a serial line that does all that serial lines do."""

from __future__ import annotations

import asyncio
import contextlib

from device_bridge.buses import attached
from device_bridge.settings import profile_names
from gps_receiver.emulated_sentences import PROFILES as RECEIVERS
from gps_receiver.emulator import GpsEmulator, _Receiver
from gps_receiver.service import GpsReceiver
from modbus_meter.emulator import Meter, MeterLine, registers_of
from modbus_meter.service import ModbusMeter
from serial_instrument.emulator import DEVICES
from serial_instrument.service import SerialInstrument
from simulated_devices import InProcessSerialLine, PlayedDevice, baud_mismatch

from .bench import World

_LATEST_S = 1.5
"""An answer is late by less than six timeouts: what comes later than that cannot be told from a true one."""
_PAUSE_S = 0.003
"""Between two pieces of a frame."""
_BAUDS = (4800, 19_200, 38_400)


class FaultyDevice(PlayedDevice):
    """A device on a line that loses, delays, doubles, damages, cuts, echoes and exchanges what is said on it."""

    def __init__(self, device, line, chance):
        super().__init__(device, line)
        self._chance, self._held, self._busy_until = chance, b"", 0.0
        self.shares = {}
        self.baud = 9600

    def _happens(self, fault):
        return self._chance.random() < self.shares.get(fault, 0.0)

    def later(self, delay_s, *pieces):
        """Has bytes arrive after so many seconds, unless the line is unplugged then; nothing comes between pieces."""
        asyncio.get_running_loop().call_later(delay_s, self._arrive, *pieces)

    def _arrive(self, *pieces):
        loop = asyncio.get_running_loop()
        if loop.time() < self._busy_until:
            loop.call_at(self._busy_until, self._arrive, *pieces)
            return
        self._busy_until = loop.time() + _PAUSE_S * (len(pieces) - 1)
        for at, piece in enumerate(pieces):
            loop.call_later(at * _PAUSE_S, self._write, piece)

    def _write(self, data):
        with contextlib.suppress(ConnectionError):
            self._line.write(data)

    async def send(self, frames):
        for frame in frames:
            self._send_one(frame)

    def _send_one(self, frame):
        if self._happens("drop"):
            return
        if self._happens("swap"):
            frame, self._held = self._held, frame
            asyncio.get_running_loop().call_later(_LATEST_S, self._release)
        elif self._held:
            frame, self._held = frame + self._held, b""
        if frame and self._happens("corrupt"):
            at, bit = self._chance.randrange(len(frame)), self._chance.randrange(8)
            frame = frame[:at] + bytes([frame[at] ^ 1 << bit]) + frame[at + 1 :]
        if self._happens("noise"):
            self.later(self._chance.uniform(0, 0.3), self._chance.randbytes(self._chance.randrange(1, 6)))
        if self.baud != 9600:
            frame = baud_mismatch(frame, self.baud, 9600)
        delay_s = self._chance.uniform(0, _LATEST_S) if self._happens("delay") else 0.0
        cut = self._chance.randrange(len(frame)) if frame and self._happens("split") else 0
        self.later(delay_s, *([frame[:cut], frame[cut:]] if cut else [frame]))
        if self._happens("duplicate"):
            self.later(delay_s + self._chance.choice((0.0, 0.01, 0.3)), frame)

    def _release(self):
        held, self._held = self._held, b""
        self.later(0.0, held)

    async def _answer(self):
        while True:
            try:
                data = await self._line.receive()
            except ConnectionError:
                await asyncio.sleep(0.05)
                continue
            if self._happens("echo"):
                self._write(data)
            await self.send(self._device.receive(data))


class SerialWorld(World):
    """A device on such a line.

    Parameters:
        played: the device.
        line: where it is.
        checked: whether a checksum protects what is sent: else no damage to it can be noticed.
        asked: whether it speaks when it is asked only.
    """

    def __init__(self, service_type, played, line, *, checked, asked, **settings):
        super().__init__(service_type, **settings)
        self._played, self._line = played, line
        shares = ["drop", "delay", "duplicate", "split", "swap"]
        shares += ["corrupt", "noise"] if checked else []
        shares += ["echo"] if asked else []
        self.faults = {name: lambda chance, name=name: self._share(name, chance) for name in shares}
        self.faults |= {"absence": lambda _: line.unplug(), "return": lambda _: line.replug()}
        if checked:
            self.faults["baud"] = lambda chance: setattr(played, "baud", chance.choice(_BAUDS))

    def _share(self, name, chance):
        self._played.shares[name] = chance.uniform(0.05, 0.6)

    def heal(self):
        self._played.shares.clear()
        self._played.baud = 9600
        self._line.replug()


@contextlib.asynccontextmanager
async def _on_line(folder, chance, device, *work):
    path = folder / "tty"
    with InProcessSerialLine(path) as line, attached(str(path), line):
        played = FaultyDevice(device, line, chance)
        tasks = [asyncio.ensure_future(each(played)) for each in (FaultyDevice.run, *work)]
        try:
            yield line, played, {"port": f"sim:{path}"}
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def instrument(profile):
    """The device of a profile of serial_instrument."""

    @contextlib.asynccontextmanager
    async def world(folder, chance):
        device = DEVICES[profile](clock=lambda: 0.0)
        async with _on_line(folder, chance, device) as (line, played, port):
            settings = {"profile": profile, "serial": port}
            made = SerialWorld(SerialInstrument, played, line, checked=False, asked=False, **settings)
            is_asked = bool(made.settings.poll or made.settings.polls or made.settings.start)
            is_checked = getattr(made.settings.framing, "checksum", None) is not None
            yield SerialWorld(SerialInstrument, played, line, checked=is_checked, asked=is_asked, **settings)

    return world


def meters(profile):
    """Two meters of a profile of modbus_meter; no two of their values are alike."""

    @contextlib.asynccontextmanager
    async def world(folder, chance):
        registers = registers_of(profile)
        units = [Meter(address, registers, lambda: 0.0) for address in (1, 2)]
        for unit in units:
            for at, register in enumerate(registers):
                if not register.writable:
                    unit.set(register.name, round(unit.value(register.name), 1) * (1 + 0.001 * (at + 1)))
        device = MeterLine(units)
        async with _on_line(folder, chance, device, device.serve) as (line, played, port):
            named = [{"address": unit.address, "name": f"u{unit.address}"} for unit in units]
            settings = {"profile": profile, "serial": port, "units": named, "interval": 3.0, "timeout": 0.3}
            settings["max_retry_interval"] = 5
            yield SerialWorld(ModbusMeter, played, line, checked=True, asked=True, **settings)

    return world


def receiver(profile):
    """A GPS receiver that stands still."""

    @contextlib.asynccontextmanager
    async def world(folder, chance):
        emulator = GpsEmulator(speed=0.0, profile=profile)

        async def play(played):
            for second in range(10**9):
                await played.send(emulator.epoch(0.0, 1.7e9 + second))
                await asyncio.sleep(1.0)

        async with _on_line(folder, chance, _Receiver(emulator), play) as (line, played, port):
            made = SerialWorld(GpsReceiver, played, line, checked=True, asked=False, serial=port)
            made.varying = frozenset({"receiver_time"})
            made.partial = frozenset({"satellites_in_view"})  # of the systems heard so far
            yield made

    return world


def steady(service_type, make_device, *, checked, asked, **settings):
    """A device whose values are `Surroundings`, all of them fixed; `checked` and `asked` as for SerialWorld."""

    @contextlib.asynccontextmanager
    async def world(folder, chance):
        device = make_device()
        device.fix()
        async with _on_line(folder, chance, device) as (line, played, port):
            yield SerialWorld(service_type, played, line, checked=checked, asked=asked, serial=port, **settings)

    return world


WORLDS = {
    **{f"serial_instrument:{name}": instrument(name) for name in profile_names("serial_instrument")},
    **{f"modbus_meter:{name}": meters(name) for name in profile_names("modbus_meter")},
    **{f"gps_receiver:{name}": receiver(name) for name in RECEIVERS},
}
