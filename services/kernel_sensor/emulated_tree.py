"""An emulated /sys: a tree of files that behaves. Reading takes time, fails, and devices come and go."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from simulated_devices import MessageServer, execute_command, is_on, read_message, write_message

File = str | Callable[[], "str | Awaitable[str]"]
"""What a file holds, or what its driver answers; an OSError that it raises is the kernel's."""
Store = Callable[[str], "Awaitable[None] | None"]

FOLDERS = {
    "hwmon": ("class/hwmon", "hwmon"),
    "iio": ("bus/iio/devices", "iio:device"),
    "thermal": ("class/thermal", "thermal_zone"),
    "power_supply": ("class/power_supply", ""),
    "w1": ("bus/w1/devices", ""),
}
"""By class: its folder, and what the names of its entries begin with; "" where a device has a name of its own."""
_LONGEST_DELAY_S = 60.0


@dataclass
class EmulatedDevice:
    """A device and its faults.

    Parameters:
        kind: its class.
        parent: the path of what it is on.
        name: of the entry, where it has one of its own.
        files: by name.
        stores: what writing to a file does.
        number: of the entry, where it is counted.
    """

    kind: str
    parent: str
    name: str
    files: dict[str, File]
    stores: dict[str, Store] = field(default_factory=dict)
    number: int = 0
    absent: bool = False
    error: int = 0
    """With which reading fails; 0 for none."""
    again: int = 0
    """How many reads more find no value yet (EAGAIN)."""
    empty: bool = False
    cut: int = -1
    """Characters of a value that are left; -1 for all."""
    text: str = ""
    """Instead of any value; "" for none."""
    delay_s: float = 0.0
    """That each read takes, beside what the driver takes."""
    measured: Callable[[str, float], None] | None = None
    """Sets a quantity."""
    fix: Callable[[], None] = lambda: None
    """Keeps all quantities where they are."""

    #: Files that say what the device is; they do not fail with its measurements.
    STEADY: ClassVar[tuple[str, ...]] = ("name", "type", "label", "present")

    @property
    def entry(self) -> str:
        """Its name in its class."""
        prefix = FOLDERS[self.kind][1]
        return f"{prefix}{self.number}" if prefix else self.name

    @property
    def path(self) -> str:
        """Without links."""
        middle = "hwmon/" if self.kind == "hwmon" else ""
        return f"{self.parent}/{middle}{self.entry}"


class SimulatedSysfs:
    """The tree.

    Parameters:
        path: of the socket to serve; `sim:` and this path is the tree for a service.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.devices: dict[str, EmulatedDevice] = {}
        self.folders: dict[str, tuple[dict[str, File], dict[str, Store]]] = {}
        """Other folders with files, as 1-Wire masters: what they hold, and what writing does."""
        self.reads = 0
        self._server = MessageServer(path, self._serve)
        self.serving = self._server.serving
        self._commands: dict[str, tuple[int, Callable[..., object]]] = {
            "set": (2, self._set),
            "absent": (2, lambda name, word: setattr(self.devices[name], "absent", is_on(word))),
            "fail": (2, lambda name, error: setattr(self.devices[name], "error", _error(error))),
            "again": (2, lambda name, count: setattr(self.devices[name], "again", int(count))),
            "empty": (2, lambda name, word: setattr(self.devices[name], "empty", is_on(word))),
            "cut": (2, lambda name, count: setattr(self.devices[name], "cut", int(count))),
            "text": (2, lambda name, text: setattr(self.devices[name], "text", text)),
            "delay": (2, lambda name, s: setattr(self.devices[name], "delay_s", min(float(s), _LONGEST_DELAY_S))),
            "renumber": (2, self._renumber),
        }

    def add(self, name: str, device: EmulatedDevice) -> EmulatedDevice:
        """Puts a device in; where entries are counted it has the next number."""
        taken = {one.number for one in self.devices.values() if one.kind == device.kind}
        device.number = next(number for number in range(len(taken) + 1) if number not in taken)
        self.devices[name] = device
        return device

    def execute(self, text: str) -> str:
        """Executes one line of the control input and returns the result.

        `set DEVICE/QUANTITY VALUE`, `absent DEVICE on|off`, `fail DEVICE EIO|…|0`, `again DEVICE COUNT`,
        `empty DEVICE on|off`, `cut DEVICE CHARACTERS`, `text DEVICE TEXT`, `delay DEVICE SECONDS`,
        `renumber DEVICE NUMBER`.
        """
        return execute_command(text, self._commands, also=self.devices)

    async def play(self) -> None:
        """Waits until cancelled: files only answer."""
        await asyncio.Event().wait()

    async def answer(self, verb: str, path: str, text: str = "") -> Any:
        """What a verb gives, or an error number."""
        try:
            match verb:
                case "entries":
                    return sorted(self._entries(path))
                case "real":
                    return self._real(path)
                case "read":
                    return await self._read(path)
                case "write":
                    return await self._write(path, text)
            return errno.EINVAL
        except OSError as error:
            return error.errno or errno.EIO

    def _present(self) -> Iterator[EmulatedDevice]:
        return (device for device in self.devices.values() if not device.absent)

    def _entries(self, path: str) -> set[str]:
        if not path:
            return {"bus", "class", "devices"}
        for kind, (folder, _) in FOLDERS.items():
            if path == folder:
                found = {device.entry for device in self._present() if device.kind == kind}
                if not found and kind not in {device.kind for device in self.devices.values()}:
                    raise OSError(errno.ENOENT, path)
                return found
        if path in self.folders:
            return set(self.folders[path][0])
        return set(self._at(path).files)

    def _real(self, path: str) -> str:
        for device in self._present():
            if f"{FOLDERS[device.kind][0]}/{device.entry}" == path:
                return device.path
        return self._at(path).path

    def _at(self, path: str) -> EmulatedDevice:
        for device in self._present():
            if device.path == path:
                return device
        raise OSError(errno.ENOENT, path)

    async def _read(self, path: str) -> str:
        folder, _, name = path.rpartition("/")
        self.reads += 1
        if folder in self.folders:
            return await _called(self._known(self.folders[folder][0], name))
        device = self._at(folder)
        found = self._known(device.files, name)
        if name in EmulatedDevice.STEADY:
            return await _called(found)
        if device.delay_s:
            await asyncio.sleep(device.delay_s)
        if device.absent:
            raise OSError(errno.ENODEV, path)
        if device.error:
            raise OSError(device.error, path)
        if device.again:
            device.again -= 1
            raise OSError(errno.EAGAIN, path)
        content = "" if device.empty else await _called(found)
        content = device.text if content and device.text else content
        return content[: device.cut] if device.cut >= 0 else content

    async def _write(self, path: str, text: str) -> None:
        folder, _, name = path.rpartition("/")
        if folder in self.folders:
            files, stores = self.folders[folder]
        else:
            device = self._at(folder)
            files, stores = device.files, device.stores
        self._known(files, name)
        if name not in stores:
            raise OSError(errno.EACCES, path)
        if (waited := stores[name](text)) is not None:
            await waited

    @staticmethod
    def _known(files: dict[str, File], name: str) -> File:
        if name not in files:
            raise OSError(errno.ENOENT, name)
        return files[name]

    def _set(self, quantity: str, value: str) -> None:
        name, _, quantity = quantity.rpartition("/")
        device = self.devices[name]
        if device.measured is None:
            raise ValueError(f"{name} measures nothing that can be set")
        device.measured(quantity, float(value))

    def _renumber(self, name: str, number: str) -> None:
        """Gives a device another number, and who has that number this one's."""
        device, wanted = self.devices[name], int(number)
        for other in self.devices.values():
            if other.kind == device.kind and other.number == wanted:
                other.number = device.number
        device.number = wanted

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            verb, path, text = await read_message(reader, tuple[str, str, str])
            await write_message(writer, await self.answer(verb, path, text))


async def _called(file: File) -> str:
    found = file() if callable(file) else file
    return found if isinstance(found, str) else await found


def _error(name: str) -> int:
    known = {text: number for number, text in errno.errorcode.items()} | {"0": 0}
    if name not in known:
        raise ValueError(f"{name!r} is no error of the kernel; write EIO, EAGAIN, ENODATA, ETIMEDOUT or 0")
    return known[name]
