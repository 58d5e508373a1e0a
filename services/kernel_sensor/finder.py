"""Finds devices by what they are: driver, label, place, 1-Wire id; never by a number that moves at the next boot."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from device_bridge import DeviceError, DeviceErrorKind

from .protocol import CLASSES, DeviceClass, describe
from .protocol.one_wire import FAMILIES
from .sysfs import Files, Lane

COUNTED = re.compile(r"(hwmon|iio:device|thermal_zone)\d+")
"""Names with a number that may be another at the next boot."""
_MOST_SHOWN = 8
_MOST_DEVICES = 500


class Device(NamedTuple):
    """A device of a class.

    Parameters:
        entry: in the folder of its class, as `hwmon3`; it may be another at the next boot.
        path: without links; it names the place: a bus and an address, a node of the device tree.
        name: by its driver.
        label: by the device tree, "" for none.
        files: it has.
    """

    entry: str
    path: str
    name: str
    label: str
    files: frozenset[str]

    @property
    def place(self) -> str:
        """What of its path is the same at the next boot: without numbers that the kernel gives as devices come."""
        parts = self.path.split("/")
        while parts and (COUNTED.fullmatch(parts[-1]) or parts[-1] in (self.entry, "hwmon", "power_supply")):
            parts.pop()
        return "" if parts[:2] == ["devices", "virtual"] else "/".join(parts)


class Wanted(NamedTuple):
    """What a device has to be; "" and () for any.

    Parameters:
        kind: its class.
        drivers: one of these; a name with a place behind it, as `dht11@4`, counts as `dht11`.
        label: as in the device tree.
        device: consecutive parts of its path, as `1-0048`.
        id: of a 1-Wire device.
    """

    kind: str
    drivers: tuple[str, ...] = ()
    label: str = ""
    device: str = ""
    id: str = ""

    def fits(self, device: Device) -> bool:
        """Whether it is one that is wanted."""
        driver = not self.drivers or device.name in self.drivers or device.name.split("@")[0] in self.drivers
        place = not self.device or f"/{self.device.strip('/')}/" in f"/{device.path}/"
        return driver and place and self.label in ("", device.label) and self.id in ("", device.entry)

    def __str__(self) -> str:
        parts = [self.kind, " or ".join(self.drivers), self.id, self.label, self.device]
        return " ".join(part for part in parts if part)


async def scan(lane: Lane, kind: DeviceClass) -> list[Device]:
    """All devices of a class; none where the kernel has no such class. Raises DeviceError."""

    async def look(files: Files) -> list[Device]:
        entries = [entry for entry in await files.entries(kind.folder) if kind.entries.fullmatch(entry)]
        found = []
        for entry in sorted(entries)[:_MOST_DEVICES]:
            try:
                found.append(await _device(files, kind, entry))
            except OSError:
                continue  # it has just gone, or is no device of this kind
        return found

    try:
        return await lane.call(look)
    except DeviceError:
        raise
    except OSError as error:
        if error.errno == errno.ENOENT:
            return []
        reason = describe(error.errno or errno.EIO)
        raise DeviceError(DeviceErrorKind.PERMISSION, kind.folder, reason) from None


async def _device(files: Files, kind: DeviceClass, entry: str) -> Device:
    path = await files.real(f"{kind.folder}/{entry}")
    names = frozenset(await files.entries(path))
    name = entry
    if kind.name_file:
        name = (await files.read(f"{path}/{kind.name_file}")).strip()
    elif kind is CLASSES["w1"]:
        name = FAMILIES[entry[:2]]
    label = (await files.read(f"{path}/label")).strip() if "label" in names else ""
    return Device(entry, path, name, label, names)


def chosen(wanted: Wanted, devices: Sequence[Device]) -> Device:
    """The one that is wanted. Raises DeviceError (not found) where there is none, and where several fit."""
    fitting = [device for device in devices if wanted.fits(device)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        detail = (
            f"{len(fitting)} fit: {_shown(fitting)}; tell them apart by `device`, a part of these paths, or `label`"
        )
    elif devices:
        detail = f"not among {_shown(devices)}"
    else:
        detail = f"the kernel has no {wanted.kind} device: load its driver, or add its device-tree overlay"
    raise DeviceError(DeviceErrorKind.NOT_FOUND, str(wanted), detail)


def _shown(devices: Sequence[Device]) -> str:
    shown = [f"{device.name} ({device.path})" for device in devices[:_MOST_SHOWN]]
    return ", ".join(shown) + (f" and {len(devices) - _MOST_SHOWN} more" if len(devices) > _MOST_SHOWN else "")


def labelled(kind: DeviceClass, device: Device, labels: Mapping[str, str]) -> dict[str, str]:
    """Channels by kind and label, as `temp:Core 0`; labels that two channels of a kind share name none.

    Parameters:
        labels: text of files that `kind.labels` lists.
    """
    named: dict[str, str] = {}
    twice: set[str] = set()
    for file, channel in kind.labels(device.files).items():
        if label := labels.get(file, "").strip():
            measured = re.split(r"[\d_-]", channel)[0]
            name = f"{measured}:{label}"
            twice |= {name} & set(named)
            named[name] = channel
    return {name: channel for name, channel in named.items() if name not in twice}
