"""Says which devices the kernel has, as settings would name them."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

from device_bridge import Quantity
from device_bridge.control import Put, Ticker

from .finder import Device, labelled, scan
from .protocol import CLASSES, DeviceClass
from .reader import TREE
from .sysfs import Lane, Sysfs

log = logging.getLogger("kernel_sensor")

DISCOVERED = Quantity("discovered", description="devices that the kernel has, as JSON with the members of `sensors`")
_MOST_CHARACTERS = 8000
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")


async def report(sysfs: Sysfs, interval_s: float, put: Put) -> None:
    """Reports all devices, and again when others are there, until cancelled."""
    ticker, before = Ticker(interval_s), None
    while True:
        found = [await entry(sysfs, kind, one) for kind in CLASSES.values() for one in await _devices(sysfs, kind)]
        drivers = [str(one.get("id", one["driver"])) for one in found]
        for number, one in enumerate(found):
            earlier = drivers[:number].count(drivers[number])
            one["name"] = _NOT_IN_NAMES.sub("_", drivers[number]) + (f"_{earlier + 1}" if earlier else "")
        if found != before:
            before = found
            log.info("the kernel has %d devices", len(found))
            for one in found:
                log.info("found: %s", json.dumps(one))
            await put([DISCOVERED.good(_text(found))])
        await ticker.wait()


async def _devices(sysfs: Sysfs, kind: DeviceClass) -> list[Device]:
    return await scan(sysfs.lane(TREE), kind)


async def entry(sysfs: Sysfs, kind: DeviceClass, device: Device) -> dict[str, Any]:
    """A device as settings name it; nothing of it is measured."""
    lane: Lane = sysfs.lane(TREE)
    labels = await lane.read(device.path, kind.labels(device.files))
    named = labelled(kind, device, {file: text for file, text in labels.items() if isinstance(text, str)})
    by_channel = {channel: name for name, channel in named.items()}
    found: dict[str, Any] = {"kind": kind.name, "driver": device.name.split("@")[0]}
    if kind.name == "w1":
        found["id"] = device.entry
    elif place := device.place:
        found["device"] = place
    if device.label:
        found["label"] = device.label
    channels = [by_channel.get(channel, channel) for channel in kind.channels(device.files)]
    found["channels"] = [{"name": _NOT_IN_NAMES.sub("_", one), "channel": one} for one in channels]
    return found


def _text(found: list[dict[str, Any]]) -> str:
    """As much as goes into one message."""
    for count in range(len(found), -1, -1):
        left = {"left_out": len(found) - count} if count < len(found) else {}
        text = json.dumps({"sensors": found[:count]} | left, separators=(",", ":"))
        if len(text) <= _MOST_CHARACTERS:
            return text
    raise AssertionError("unreachable")
