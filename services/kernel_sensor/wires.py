"""1-Wire thermometers: those of a wire convert together, and are read one after another."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections import defaultdict
from collections.abc import Sequence
from functools import partial

from device_bridge import DeviceError, DeviceErrorKind, Sample
from device_bridge.control import Put, Ticker

from .finder import scan
from .protocol import CLASSES, describe
from .protocol.one_wire import BULK, CONVERTING, TRIGGER, UNREAD, VALUE
from .reader import TREE, SensorReader, wire_of
from .sysfs import Sysfs

log = logging.getLogger("kernel_sensor")

_POLLS_S = (0.05,) * 20
"""A driver of which the trigger does not wait has this long, beside the conversion that it waits for, to finish."""
_REMEDY = "udev has to make it writable for the service's group, and the folder has to be bound read-write (README)"


class Wires:
    """All 1-Wire sensors, whatever wire they are on.

    Parameters:
        readers: of the sensors.
        sysfs: where they are.
        interval_s: from one conversion to the next.
        retries: more attempts at a sensor before it has failed; made when the others of its wire have been read.
    """

    def __init__(self, readers: Sequence[SensorReader], sysfs: Sysfs, interval_s: float, retries: int) -> None:
        self._readers, self._sysfs, self._interval_s, self._retries = readers, sysfs, interval_s, retries
        self._rounds: dict[str, asyncio.Task[None]] = {}
        self._refused: set[str] = set()
        self.bulk_conversions = 0

    async def run(self, put: Put) -> None:
        """Reads them until cancelled; a wire that is slow keeps no other waiting."""
        ticker = Ticker(self._interval_s)
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._find(put)
                for wire, readers in self._due().items():
                    if wire not in self._rounds or self._rounds[wire].done():
                        self._rounds[wire] = tasks.create_task(self._round(wire, readers, put))
                await ticker.wait()

    async def _find(self, put: Put) -> None:
        lost = [one for one in self._readers if one.device is None and not one.member.retry_in_s]
        if not lost:
            return
        try:
            devices = await scan(self._sysfs.lane(TREE), CLASSES["w1"])
        except DeviceError as error:
            for one in lost:
                await self._fail(one, error, put)
            return
        for one in lost:
            try:
                await one.take(devices)
            except DeviceError as error:
                await self._fail(one, error, put)

    def _due(self) -> dict[str, list[SensorReader]]:
        """By wire, those that work first."""
        wires: dict[str, list[SensorReader]] = defaultdict(list)
        for one in sorted(self._readers, key=lambda one: one.member.is_failing):
            if one.device is not None and not one.member.retry_in_s:
                wires[wire_of(one.device)].append(one)
        return wires

    async def _round(self, wire: str, readers: Sequence[SensorReader], put: Put) -> None:
        is_converted = len(readers) > 1 and await self._convert(wire)
        again: list[tuple[SensorReader, DeviceError]] = []
        for one in readers:
            try:
                sample = await (one.measure() if is_converted else self._measure_alone(wire, one))
            except DeviceError as error:
                again.append((one, error))
            else:
                one.member.recover()
                await put(sample)
        for one, failed in again:  # each converts alone now, which takes its time
            if one.member.is_failing or not self._retries:
                await self._fail(one, failed, put)
            elif sample := await one.member.attempt(
                partial(self._measure_alone, wire, one), attempts=self._retries, fatal=()
            ):
                await put(sample)

    async def _fail(self, one: SensorReader, error: DeviceError, put: Put) -> None:
        if sample := one.member.fail(f"{error.kind.value}: {error.detail}"):
            await put(sample)

    async def _convert(self, wire: str) -> bool:
        """Has all sensors of a wire convert at once. Where that is not possible, each converts when it is read."""
        try:
            failed = await self._sysfs.lane(wire).write(f"{wire}/{BULK}", TRIGGER)
            if failed:
                self._refuse(wire, failed)
                return False
            self.bulk_conversions += 1
            for pause_s in _POLLS_S:
                if await self._state(wire) != CONVERTING:
                    return True
                await asyncio.sleep(pause_s)
        except DeviceError as error:
            log.warning("%s: %s", wire, error)
        return False

    async def _measure_alone(self, wire: str, one: SensorReader) -> Sample:
        """Has a sensor convert, and reads it. Raises DeviceError.

        The driver first gives what an earlier conversion of all has left unread, however old that is.
        """
        if one.device is not None and await self._state(wire) == UNREAD:
            unread = (await self._sysfs.lane(wire).read(one.device.path, [VALUE]))[VALUE]
            if not unread or isinstance(unread, int):
                raise DeviceError(DeviceErrorKind.BUSY, one.sensor.label, "an earlier conversion cannot be read")
        return await one.measure()

    async def _state(self, wire: str) -> str:
        content = (await self._sysfs.lane(wire).read(wire, [BULK]))[BULK]
        return content.strip() if isinstance(content, str) else ""

    def _refuse(self, wire: str, failed: int) -> None:
        if wire in self._refused:
            return
        self._refused.add(wire)
        if failed == errno.ENOENT:
            log.info("%s: this kernel has no bulk conversion (Linux 5.8 has it); sensors convert in turn", wire)
        else:
            log.warning("%s/%s: %s; sensors convert in turn. %s", wire, BULK, describe(failed), _REMEDY)
