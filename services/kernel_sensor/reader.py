"""Reads one sensor: finds its device, sets it up once, evaluates its files, and notices when it is another one."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator, Mapping, Sequence

from device_bridge import DeviceError, DeviceErrorKind, Quantity, Reading, Sample
from device_bridge.control import Member, Put

from .finder import Device, chosen, labelled, scan
from .protocol import Fault, Recipe, describe, evaluate
from .protocol.iio import frequency_file
from .protocol.model import Content
from .protocol.one_wire import RESOLUTION
from .sensors import Sensor, Value
from .sysfs import Lane, Sysfs

log = logging.getLogger("kernel_sensor")

TREE = "tree"
"""The lane by which devices are looked for."""
_GONE = (errno.ENOENT, errno.ENODEV, errno.ENOTDIR)
_KINDS = {
    errno.EACCES: DeviceErrorKind.PERMISSION,
    errno.EPERM: DeviceErrorKind.PERMISSION,
    errno.ETIMEDOUT: DeviceErrorKind.TIMEOUT,
    errno.EBUSY: DeviceErrorKind.BUSY,
    errno.EAGAIN: DeviceErrorKind.BUSY,
    errno.ENOENT: DeviceErrorKind.NOT_FOUND,
}


class SensorReader:
    """One sensor and its health.

    Parameters:
        sensor: that is wanted.
        place: of its settings; its lane is called so, for its device has another path when it comes back.
        sysfs: where it is looked for.
        interval_s: from one measurement to the next, and to the first attempt at one that has failed.
        max_retry_s: the most seconds between attempts.
    """

    def __init__(self, sensor: Sensor, place: str, sysfs: Sysfs, interval_s: float, max_retry_s: float) -> None:
        self.sensor, self._place, self._sysfs, self._interval_s = sensor, place, sysfs, interval_s
        measured = [value.quantity for value in sensor.values]
        self.member = Member(sensor.label, measured, retry_s=interval_s, max_retry_s=max_retry_s)
        self.device: Device | None = None
        self._recipes: dict[Value, Recipe | Fault] = {}
        self._labels: dict[str, Content] = {}
        """Files of the labels by which channels were found, and what was in them."""
        self._found_at = ""
        self._not_set = ""

    @property
    def _lane(self) -> Lane:
        """That of its wire, where it has one: its sensors are read one after another."""
        assert self.device is not None, "not found yet"  # noqa: S101 - misuse by a programmer
        return self._sysfs.lane(wire_of(self.device) if self.sensor.kind.name == "w1" else self._place)

    async def measure(self) -> Sample:
        """Its readings. Raises DeviceError when none of them has a value."""
        is_complete = all(isinstance(recipe, Recipe) for recipe in self._recipes.values())
        if self.device is None or not is_complete:
            await self.take(await scan(self._sysfs.lane(TREE), self.sensor.kind))
        elif self.member.is_failing:
            await self._set_up(self.device)  # what it was set to may have gone with its supply
        assert self.device is not None  # noqa: S101 - taken
        recipes = [recipe for recipe in self._recipes.values() if isinstance(recipe, Recipe)]
        files = [file for recipe in recipes for file in recipe.files]
        name_file = self.sensor.kind.name_file
        contents = await self._lane.read(self.device.path, [*files, *self._labels, *filter(None, (name_file,))])
        if self._is_gone(recipes, contents):
            path, self.device = self.device.path, None
            raise DeviceError(DeviceErrorKind.NOT_FOUND, self.sensor.label, f"{path} is gone")
        return self._readings(contents)

    async def poll(self, put: Put, attempts: int) -> None:
        """Measures at its interval until cancelled; `attempts` before it has failed."""
        await self.member.poll(self.measure, put, self._interval_s, attempts=attempts)

    async def take(self, devices: Sequence[Device]) -> None:
        """Takes the device that is wanted out of all of its class, and sets it up. Raises DeviceError."""
        self.device = device = chosen(self.sensor.wanted, devices)
        try:
            self._recipes = await self._recipes_of(device)
            self.member.quantities = tuple(self._reported())
            await self._set_up(device)
        except BaseException:
            self.device = None
            raise
        if device.path != self._found_at:
            self._found_at = device.path
            log.info("%s is %s at %s", self.sensor.label, device.name, device.path)

    async def _recipes_of(self, device: Device) -> dict[Value, Recipe | Fault]:
        kind, named, self._labels = self.sensor.kind, {}, {}
        if any(":" in value.channel for value in self.sensor.values):
            labels = kind.labels(device.files)
            contents = await self._lane.read(device.path, labels)
            named = labelled(kind, device, {file: text for file, text in contents.items() if isinstance(text, str)})
            wanted = {named.get(value.channel) for value in self.sensor.values}
            self._labels = {file: contents[file] for file, channel in labels.items() if channel in wanted}
        recipes: dict[Value, Recipe | Fault] = {}
        for value in self.sensor.values:
            try:
                recipes[value] = kind.recipe(value.channel, device.files, named)
            except Fault as fault:
                recipes[value] = fault
        return recipes

    def _reported(self) -> Iterator[Quantity]:
        """What this device tells: an alarm only where it has one."""
        for value, recipe in self._recipes.items():
            yield value.quantity
            if value.alarm is not None and isinstance(recipe, Recipe) and recipe.alarms:
                yield value.alarm

    def _is_gone(self, recipes: Sequence[Recipe], contents: Mapping[str, Content]) -> bool:
        """Whether its files are no longer there, or are those of another device, or labelled otherwise."""
        assert self.device is not None  # noqa: S101 - it was read
        if recipes and all(contents[recipe.value] in _GONE for recipe in recipes):
            return True
        if any(contents[file] != text for file, text in self._labels.items()):
            return True
        name = contents.get(self.sensor.kind.name_file, "")
        return bool(self.sensor.kind.name_file) and (isinstance(name, int) or name.strip() != self.device.name)

    def _readings(self, contents: Mapping[str, Content]) -> list[Reading]:
        readings: list[Reading] = []
        first: DeviceError | None = None
        usable = False
        for value, recipe in self._recipes.items():
            if isinstance(recipe, Fault):
                kind, reason, alarm = DeviceErrorKind.NOT_FOUND, str(recipe), None
                readings.append(value.quantity.bad(reason))
            else:
                found = evaluate(recipe, contents)
                content, reason, alarm = contents[recipe.value], found.reason, found.alarm
                kind = (
                    _KINDS.get(content, DeviceErrorKind.BUS_FAULT)
                    if isinstance(content, int)
                    else DeviceErrorKind.GARBLED
                )
                readings.append(
                    value.quantity.bad(reason) if found.value is None else value.quantity.good(found.value)
                )
            usable = usable or not reason
            if reason and first is None:
                first = DeviceError(kind, self.sensor.label, reason)
            if value.alarm is not None and isinstance(recipe, Recipe) and recipe.alarms:
                unknown = value.alarm.bad("the driver cannot say now whether a limit is passed")
                readings.append(unknown if alarm is None else value.alarm.good(alarm))
        if first is not None and not usable:
            raise first
        return readings

    async def _set_up(self, device: Device) -> None:
        """Resolution and sampling frequency, where settings name one and the device has another."""
        sensor = self.sensor
        if sensor.resolution is not None:
            await self._set(device, RESOLUTION if RESOLUTION in device.files else "", sensor.resolution, "resolution")
        if sensor.frequency_hz is not None:
            file = frequency_file([value.channel for value in sensor.values], device.files)
            await self._set(device, file, sensor.frequency_hz, "sampling_frequency")

    async def _set(self, device: Device, file: str, wanted: float, setting: str) -> None:
        reason = "its driver has no file for that"
        if file:
            content = (await self._lane.read(device.path, [file]))[file]
            if isinstance(content, int):
                reason = describe(content)
            elif content.strip() == f"{wanted:g}":
                return
            elif failed := await self._lane.write(f"{device.path}/{file}", f"{wanted:g}\n"):
                reason = describe(failed)
            else:
                log.info("%s: %s was %s, is now %g", self.sensor.label, setting, content.strip(), wanted)
                self._not_set = ""
                return
        self.member.counters["not_set"] += 1
        if reason != self._not_set:
            self._not_set = reason
            log.warning("%s: %s = %g is not set: %s; it stays as it is", self.sensor.label, setting, wanted, reason)


def wire_of(device: Device) -> str:
    """The path of the 1-Wire master that a sensor is on."""
    return device.path.rpartition("/")[0]
