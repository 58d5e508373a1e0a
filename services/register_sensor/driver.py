"""Drives one chip on its bus, as its profile says."""

from __future__ import annotations

import asyncio
import enum
import itertools
import logging
from collections import Counter

from device_bridge import DeviceError, DeviceErrorKind, Reading
from device_bridge.buses import I2cDevice
from device_bridge.protocols import Raw

from .chip import ChipSettings, ConversionSettings
from .computed import with_computed
from .fields import ChipField
from .transfers import FlagSettings, GarbledError, MatchSettings, ReadSettings

log = logging.getLogger("register_sensor")

_READY_POLL_S = (0.001, 0.2)
_ABSENCE = (DeviceErrorKind.NO_ACKNOWLEDGE, DeviceErrorKind.BUS_FAULT, DeviceErrorKind.GONE)
"""A bus fault may be one: not every adapter tells it from no acknowledge."""
_LOOKS = 2
"""How often something unexpected is read before it is believed: it may be one wrong bit."""


class _NeverReadyError(DeviceError):
    """The chip did not finish a measurement in time: it may not have been set up."""


class State(enum.Enum):
    """What is known of a chip."""

    NEW = "new"
    """To be set up."""
    ABSENT = "absent"
    """It did not answer: to be set up, unless it has kept its settings."""
    DOUBTFUL = "doubtful"
    """Something went wrong: to be looked at before it is measured again."""
    READY = "ready"


class ChipDriver:
    """One chip: set up when needed, then measured.

    It is set up at first, when its identity or its settings (`kept`) are not what they should be, when it does not
    finish a measurement, and after an absence, unless it has kept its settings. Any other error costs one reading.

    Parameters:
        device: where it is.
        chip: what it is.
        counters: takes the counts `checksum_errors` and `resets`.
        label: in the log.
    """

    def __init__(
        self, device: I2cDevice, chip: ChipSettings, counters: Counter[str] | None = None, label: str = ""
    ) -> None:
        self.device, self.chip, self.label = device, chip, label or device.name
        self.counters = Counter() if counters is None else counters
        self.counters.update(checksum_errors=0, resets=0)
        self._state = State.NEW
        self._set_up_at = 0.0
        self._sent: set[str] = set()
        self._constants: tuple[float, ...] = ()

    async def measure(self) -> list[Reading]:
        """Everything it measures, once. Raises DeviceError."""
        try:
            async with self.device.transaction() as device:
                await self._make_ready(device)
                readings = await self._read_all(device)
                if not await self._has_kept(device):  # after reading: it may be reset at any moment
                    await self._set_up_again(device)
                    readings = await self._read_all(device)
                    if not await self._has_kept(device):
                        raise device.error(DeviceErrorKind.GARBLED, "it is reset again and again; check its supply")
        except BaseException as error:
            self._state = self._after(error)
            raise
        hidden = {value.name for value in self.chip.values if value.hidden}
        found = with_computed(readings, self.chip.values, self._constants)
        return [reading for reading in found if reading.name not in hidden]

    def _after(self, error: BaseException) -> State:
        """What is known of the chip after an error."""
        if self._state is State.NEW or isinstance(error, _NeverReadyError):
            return State.NEW
        if self._state is State.ABSENT or (isinstance(error, DeviceError) and error.kind in _ABSENCE):
            return State.ABSENT
        return State.DOUBTFUL

    async def _make_ready(self, device: I2cDevice) -> None:
        if self._state is State.DOUBTFUL:
            await self._identify_again(device)
        if self._state is State.ABSENT:
            if any(step.kept for step in self.chip.init):
                await self._identify_again(device)
            else:
                self._state = State.NEW
        if self._state is State.NEW:
            await self._set_up(device)
        elif self._state is not State.READY:
            if await self._has_kept(device):
                self._state = State.READY
            else:
                await self._set_up_again(device)

    async def _set_up_again(self, device: I2cDevice) -> None:
        self._state = State.NEW
        self.counters["resets"] += 1
        log.warning("%s was reset (its supply?) and is set up again", self.label)
        await self._set_up(device)

    async def _read_all(self, device: I2cDevice) -> list[Reading]:
        return [reading for read in self.chip.reads for reading in await self._read(device, read)]

    async def _set_up(self, device: I2cDevice) -> None:
        for step in self.chip.init:
            if step.identify is not None:
                await self._identify(device, step.identify)
            if step.write:
                await device.write(bytes(step.write))
            if step.wait:
                await asyncio.sleep(step.wait)
        if not await self._has_kept(device):
            raise device.error(DeviceErrorKind.GARBLED, "it does not keep its settings; check its supply")
        if (calibration := self.chip.calibration) is not None:
            first, second = await self._bytes(device, calibration.read), await self._bytes(device, calibration.read)
            if first != second or len(set(first)) == 1:
                detail = "its constants read differently each time, or all alike: check wires and pull-ups"
                raise device.error(DeviceErrorKind.GARBLED, detail)
            self._constants = calibration.constants(first)
        self._set_up_at = asyncio.get_running_loop().time()
        self._state = State.READY

    async def _identify_again(self, device: I2cDevice) -> None:
        """Only by what is read before anything is written: the chip may not answer the rest while it measures."""
        for step in itertools.takewhile(lambda step: not step.write, self.chip.init):
            if step.identify is not None:
                await self._identify(device, step.identify)

    async def _identify(self, device: I2cDevice, expected: MatchSettings) -> None:
        for _ in range(_LOOKS):
            body = await self._bytes(device, expected)
            if expected.holds(body):
                return
        self._state = State.NEW
        detail = f"identification is {body.hex(' ')}, which is not that of this chip; another is there"
        raise device.error(DeviceErrorKind.NOT_FOUND, detail)

    async def _has_kept(self, device: I2cDevice) -> bool:
        """Whether it is the chip that was set up, and has its settings: one without settings shows who it is."""
        kept = [step.kept for step in self.chip.init if step.kept]
        if not kept:
            await self._identify_again(device)
        return all([await self._holds(device, each) for each in kept])

    async def _holds(self, device: I2cDevice, expected: MatchSettings) -> bool:
        for _ in range(_LOOKS):
            if expected.holds(await self._bytes(device, expected)):
                return True
        return False

    async def _read(self, device: I2cDevice, read: ConversionSettings) -> list[Reading]:
        if read.wake:
            await device.wake(bytes(read.wake))
            await asyncio.sleep(read.wake_wait)
        if read.start:
            await device.write(bytes(read.start))
        if read.wait:
            await asyncio.sleep(read.wait)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + read.ready_timeout
        while read.ready is not None and not read.ready.holds(await self._bytes(device, read.ready)):
            if loop.time() > deadline:
                detail = f"no measurement within {read.ready_timeout:g} s"
                raise _NeverReadyError(DeviceErrorKind.TIMEOUT, device.name, detail)
            await _pause(read)
        while True:
            body = await self._bytes(device, read.read)
            flags = [flag for flag in read.flags if flag.holds(await self._flagged(device, flag, body))]
            if not any(flag.then == "read_again" for flag in flags) or loop.time() > deadline:
                break
            await _pause(read)
        if loop.time() < self._set_up_at + read.warm_up:
            return [field.bad("it is warming up") for field in read.fields]
        found = [self._reading(field, field.raw(body), flags) for field in read.fields]
        return [reading for reading in found if reading is not None]

    def _reading(self, field: ChipField, raw: Raw, flags: list[FlagSettings]) -> Reading | None:
        """What a raw value says under these flags; None where the last one stands."""
        raised = {flag.then: flag for flag in flags if not flag.fields or field.name in flag.fields}
        if flag := raised.get("bad") or raised.get("read_again"):
            return field.bad(flag.reason)
        if flag := raised.get("keep"):
            return None if field.name in self._sent else field.bad(flag.reason)
        self._sent.add(field.name)
        reading = field.reading(raw)
        if (flag := raised.get("uncertain")) and reading.value is not None:
            return field.quantity.uncertain(reading.value, flag.reason)
        return reading

    async def _flagged(self, device: I2cDevice, flag: FlagSettings, body: bytes) -> bytes:
        return await self._bytes(device, flag) if flag.read else body[flag.at : flag.at + flag.size]

    async def _bytes(self, device: I2cDevice, read: ReadSettings) -> bytes:
        if read.pause:
            await device.write(bytes(read.write))
            await asyncio.sleep(read.pause)
            data = await device.read(read.read)
        elif read.write:
            data = await device.write_read(bytes(read.write), read.read)
        else:
            data = await device.read(read.read)
        try:
            return read.strip(data, device.address)
        except GarbledError as error:
            self.counters["checksum_errors"] += 1
            raise device.error(DeviceErrorKind.GARBLED, str(error)) from None


async def _pause(read: ConversionSettings) -> None:
    shortest, longest = _READY_POLL_S
    await asyncio.sleep(min(max(read.ready_timeout / 20, read.update_interval / 5, shortest), longest))
