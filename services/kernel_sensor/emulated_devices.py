"""Emulated devices: chips behind drivers of hwmon and IIO, 1-Wire thermometers on a wire, zones, batteries."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Mapping

from simulated_devices import Surroundings

from .emulated_tree import EmulatedDevice, File, SimulatedSysfs
from .protocol.one_wire import BULK, FAMILIES, checksum

CONVERSION_S = {9: 0.094, 10: 0.188, 11: 0.375, 12: 0.75}
"""The longest conversion, by resolution (DS18B20, table 2)."""
POWER_ON_RAW = 0x0550


def scaled_device(
    kind: str,
    parent: str,
    name: str,
    values: Mapping[str, tuple[str, float, float]],
    extra: Mapping[str, File] | None = None,
    *,
    decimals: int = 0,
) -> EmulatedDevice:
    """A device whose files hold numbers.

    Parameters:
        kind: its class.
        parent: the path of what it is on.
        name: that its driver gives it; for a power supply, of its entry.
        values: by quantity: its file, how many of the kernel's units one of its own is, and what it typically is.
        extra: other files.
        decimals: that its driver writes.
    """
    surroundings = Surroundings({quantity: typical for quantity, (_, _, typical) in values.items()}, drift=0.01)

    def file(quantity: str, factor: float) -> File:
        return lambda: f"{surroundings.value(quantity) * factor:.{decimals}f}\n"

    files: dict[str, File] = {path: file(quantity, factor) for quantity, (path, factor, _) in values.items()}
    name_file = {"thermal": "type", "power_supply": ""}.get(kind, "name")
    files |= ({name_file: f"{name}\n"} if name_file else {}) | dict(extra or {})
    return EmulatedDevice(kind, parent, name, files, measured=surroundings.set, fix=surroundings.fix)


class Wire:
    """A 1-Wire master: `w1_bus_masterN`, of which sensors take turns.

    Parameters:
        tree: where it is.
        number: of the master.
        bulk: whether its driver has conversions of all at once, and lets this user begin them.
    """

    def __init__(self, tree: SimulatedSysfs, number: int = 1, *, bulk: bool = True) -> None:
        self.tree, self.path = tree, f"devices/w1_bus_master{number}"
        self.thermometers: dict[str, Thermometer] = {}
        self.conversions = 0
        self.bulk_conversions = 0
        self.busy = asyncio.Lock()
        self._converting = False
        files: dict[str, File] = {"w1_master_slave_count": lambda: f"{len(self.thermometers)}\n", BULK: self._state}
        self.tree.folders[self.path] = (files, {BULK: self._trigger} if bulk else {})

    def add(self, name: str, id_: str, celsius: float = 21.5) -> Thermometer:
        """Puts a thermometer on the wire."""
        thermometer = self.thermometers[name] = Thermometer(self, id_, celsius)
        self.tree.add(name, thermometer.device)
        return thermometer

    def _present(self) -> list[Thermometer]:
        return [one for one in self.thermometers.values() if not one.device.absent]

    def _state(self) -> str:
        return "-1\n" if self._converting else f"{int(any(one.fresh for one in self._present()))}\n"

    async def _trigger(self, text: str) -> None:
        """Returns when the conversion is over, as the driver does."""
        if text != "trigger\n":
            return  # the driver takes anything, and does nothing
        async with self.busy:
            self.bulk_conversions += 1
            self._converting = True
            try:
                await asyncio.sleep(max((CONVERSION_S[one.resolution] for one in self._present()), default=0.0))
            finally:
                self._converting = False
            for one in self._present():
                one.convert()
                one.fresh = True


class Thermometer:
    """A DS18B20.

    Parameters:
        wire: it is on.
        id_: as `28-00000a1b2c3d`.
        celsius: that it is at.
    """

    def __init__(self, wire: Wire, id_: str, celsius: float) -> None:
        self._wire, self.celsius = wire, celsius
        self.resolution = 12
        self.fresh = False
        """Whether it has converted with the others, and was not read since."""
        self.states = dict.fromkeys(("noisy", "shorted", "undersupplied"), False)
        """What is wrong with it: damaged bits, a wire that is held low, a supply that breaks down in a conversion."""
        self._raw, self._counted = POWER_ON_RAW, 0x0C
        files: dict[str, File] = {
            "w1_slave": self._read,
            "resolution": lambda: f"{self.resolution}\n",
            "name": f"{id_}\n",
        }
        if id_[:2] not in FAMILIES:
            raise ValueError(f"{id_}: no thermometer's family")
        self.device = EmulatedDevice(
            "w1", wire.path, id_, files, {"resolution": self._set_resolution}, measured=self._set
        )

    def convert(self) -> None:
        """Measures, unless its supply breaks down: it then starts again."""
        if self.states["undersupplied"]:
            self._raw, self._counted, self.resolution = POWER_ON_RAW, 0x0C, 12
            return
        step = 1 << 12 - self.resolution
        self._raw = round(self.celsius * 16) // step * step
        self._counted = 0x10 - (self._raw & 0x0F)

    def _set(self, quantity: str, value: float) -> None:
        if quantity == "temperature":
            self.celsius = value
        elif quantity in self.states:
            self.states[quantity] = bool(value)
        else:
            raise KeyError(f"{quantity} (known are temperature, {', '.join(self.states)})")

    def _set_resolution(self, text: str) -> None:
        if int(text) not in CONVERSION_S:
            raise OSError(errno.EINVAL, text)
        self.resolution = int(text)

    async def _read(self) -> str:
        async with self._wire.busy:
            if not self.fresh:
                self._wire.conversions += 1
                await asyncio.sleep(CONVERSION_S[self.resolution])
                self.convert()
            self.fresh = False
        return self.text()

    def text(self) -> str:
        """As w1_therm writes it."""
        raw = self._raw & 0xFFFF
        config = (self.resolution - 9 << 5) | 0x1F
        scratchpad = checksum().append(
            bytes((raw & 0xFF, raw >> 8, 0x4B, 0x46, config, 0xFF, self._counted & 0xFF, 0x10))
        )
        verdict, crc = "YES", scratchpad[8]
        if self.states["shorted"]:
            scratchpad, crc = bytes(9), 0
        elif self.states["noisy"]:
            scratchpad, verdict = bytes((scratchpad[0] ^ 0x40, *scratchpad[1:])), "NO"
        raw = 0 if self.states["shorted"] else self._raw
        value = raw * 1000 // 16 if raw >= 0 else -(-raw * 1000 // 16)
        octets = scratchpad.hex(" ")
        return f"{octets} : crc={crc:02x} {verdict}\n{octets} t={value}\n"
