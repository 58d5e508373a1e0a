"""One device of gpiozero: made, read, commanded and closed in its own thread, and tried again when it has failed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from msgspec.structs import replace

from device_bridge import CommandError, DeviceError, DeviceErrorKind, Quality, Reading, Value, aged
from device_bridge.control import ChangeReporter, Member, Put

from .classes.rows import DeviceSettings, Event, Method, OutputSettings, Row
from .errors import as_device_error
from .threads import DeviceThread, EventQueue
from .values import as_number, assign, has_measured, is_measuring, readback_error, rounded

if TYPE_CHECKING:
    from .lines.pins import GpioChipFactory

log = logging.getLogger("gpiozero_device")

T = TypeVar("T")

_READ_S = 1.0
_FIRST_S = 0.1
_MAKING = threading.Lock()
"""gpiozero shares devices behind devices, as the lines of an SPI bus, without a thought of threads."""


class Snapshot(NamedTuple):
    """A device as it was read.

    Parameters:
        readings: its measures.
        value: as gpiozero has it: 0 to 1, or -1 to 1; None where there is none.
        is_on: whether gpiozero says that it is active.
    """

    readings: list[Reading]
    value: float | None
    is_on: bool = False


class _Failure(NamedTuple):
    error: DeviceError


class GpioDevice:
    """One device.

    Parameters:
        settings: its own.
        row: its class.
        factory: gives the pin factory, once the service is open.
        on_lines_changed: is called with its name when an output's lines were taken into use or given back.
        on_value: is called with each value, for those that follow it.
        has_time: whether the wall clock is right.
    """

    def __init__(
        self,
        settings: DeviceSettings,
        row: Row,
        factory: Callable[[], GpioChipFactory],
        on_lines_changed: Callable[[str], None],
        on_value: Callable[[str, float | None], None],
        *,
        has_time: Callable[[], bool],
    ) -> None:
        self.settings, self.row, self.name = settings, row, settings.name
        self.measures = row.measures_of(settings)
        self.quantities = [measure.quantity(settings) for measure in self.measures]
        self.member = Member(settings.name, self.quantities, retry_s=0.25, max_retry_s=30.0)
        self.is_admitted = True
        """Whether it may leave its safe state."""
        self.deadline = math.inf
        """When it has to go to its safe state, on the loop's clock."""
        self._factory, self._on_lines_changed, self._on_value = factory, on_lines_changed, on_value
        self._has_time = has_time
        self._thread = DeviceThread(settings.name)
        self._device: Any = None
        self._kept_value: Any = None
        self._uncertain_reason = ""
        self._events: EventQueue[tuple[float, Event] | _Failure | None] | None = None
        self._lines = [name for option, name in row.lines_of(settings) if not option.shared]

    @property
    def is_output(self) -> bool:
        """Whether it has a safe state."""
        return isinstance(self.settings, OutputSettings)

    @property
    def is_open(self) -> bool:
        """Whether its lines are in use."""
        return self._device is not None

    def has_line(self, pin: str) -> bool:
        """Whether a pin is one of its own."""
        return any(name == pin for _, name in self.row.lines_of(self.settings))

    async def open(self) -> None:
        """Makes it, an output in its safe state. Raises DeviceError."""
        if self._device is None:
            self._events = EventQueue(asyncio.get_running_loop())
            await self._thread.call(self._make)
            self._report_lines()

    async def close(self) -> None:
        """Closes it; its lines are given back, outputs in their safe state."""
        self.deadline = math.inf
        await self._thread.call(self._unmake, always=True)
        self._report_lines()

    def _report_lines(self) -> None:
        if self.is_output:
            self._on_lines_changed(self.name)

    def end(self) -> None:
        """Ends its thread."""
        self._thread.end()

    def fail(self, error: DeviceError) -> None:
        """A line of it has failed; called in any thread."""
        if self._events is not None:
            self._events.put(_Failure(error))

    async def run(self, put: Put) -> None:
        """Watches it until cancelled, and tries again after each failure."""

        async def watch(working: Put) -> None:
            try:
                await self.open()
                await self._watch(working)
            except DeviceError:
                self._on_value(self.name, None)
                await self.close()
                raise

        await self.member.keep(watch, put)

    async def _watch(self, put: Put) -> None:
        events = self._events
        if events is None:
            return
        sends_all = self.row.sends == "all"
        interval_s = self.settings.interval
        reporter = ChangeReporter(0.0 if sends_all else interval_s)
        loop = asyncio.get_running_loop()
        while True:
            snapshot = await self.read()
            if sample := reporter.select(snapshot.readings, loop.time()):
                await put(sample)
            wait_s = interval_s if sends_all else min(interval_s, _READ_S)
            read_at = loop.time() + (wait_s if snapshot.readings else _FIRST_S)
            is_due = False
            while not is_due:
                found, lost = await events.get_all(max(0.0, read_at - loop.time()))
                self.member.counters["lost_events"] += lost
                is_due = loop.time() >= read_at
                for item in found:
                    if isinstance(item, _Failure):
                        raise item.error
                    if item is None or item[1].value is None:
                        is_due = True
                    else:
                        reading = self._reading_of(item[1])
                        reporter.select([reading], loop.time())
                        await put(aged([reading], time.monotonic() - item[0]))
                        is_due = True  # what else it changes

    def _reading_of(self, event: Event) -> Reading:
        index = next(n for n, measure in enumerate(self.measures) if measure.suffix == event.suffix)
        return self.quantities[index].good(event.value if event.value is not None else False)

    async def read(self) -> Snapshot:
        """Its readings now; none before the first. Raises DeviceError."""
        snapshot = await self._thread.call(self._read)
        if self.row.needs_time and not self._has_time():
            snapshot = Snapshot([quantity.bad("the node's clock is not set") for quantity in self.quantities], None)
        self._on_value(self.name, snapshot.value)
        return snapshot

    def request_read(self) -> None:
        """Has it read and reported."""
        if self._events is not None:
            self._events.put(None)

    async def execute(self, method: Method, parameters: Mapping[str, Value]) -> list[Reading]:
        """Does what a command says; returns its readings then. Raises CommandError, DeviceError."""
        snapshot = await self._call(lambda: self._execute(method, parameters))
        self._update_deadline(snapshot.is_on or method.goes_on)
        if problem := readback_error(method, parameters, snapshot.readings):
            snapshot.readings[0] = self.quantities[0].uncertain(snapshot.readings[0].value or False, problem)
        self._on_value(self.name, snapshot.value)
        self.request_read()
        return snapshot.readings

    async def follow(self, value: float) -> None:
        """Takes the value of another device. Raises CommandError, DeviceError."""
        self._update_deadline(await self._call(lambda: self._do(lambda device: assign(device, value))))
        self.request_read()

    async def switch(self, on: bool) -> None:
        """On by its row's method, or to its safe state. Raises CommandError, DeviceError."""
        method = self.row.on if on else self.row.safe
        self._update_deadline(await self._call(lambda: self._do(lambda device: getattr(device, method)())))
        self.request_read()

    async def _call(self, work: Callable[[], T]) -> T:
        """As its thread does it; a device that fails is closed and made again."""
        try:
            return await self._thread.call(work)
        except DeviceError as error:
            self.fail(error)
            raise

    def _update_deadline(self, is_on: bool) -> None:
        """Counts the time that an output is on from when it was switched on."""
        settings = self.settings
        if not is_on or not isinstance(settings, OutputSettings) or not settings.max_on:
            self.deadline = math.inf
        elif self.deadline == math.inf:
            self.deadline = asyncio.get_running_loop().time() + settings.max_on

    def _make(self) -> None:
        from .classes.makers import make  # noqa: PLC0415 - gpiozero is imported when a device is made, not for --check

        factory = self._factory()
        factory.safe_levels.update(self.row.safe_levels(self.settings))
        factory.externally_driven |= self.row.externally_driven(self.settings)
        try:
            with _MAKING if self.row.shares else contextlib.nullcontext():
                device = make(self.row, self.settings, factory)
        except Exception as error:
            self._give_back()
            raise as_device_error(error, self.name) from None
        for event in self.row.events:
            setattr(device, event.hook, partial(self._happened, event))
        if self._kept_value is not None:
            setattr(device, self.row.keeps, self._kept_value)
            self._uncertain_reason = f"{self.row.keeps} may have been missed while it was away"
        self._device = device

    def _unmake(self) -> None:
        device, self._device = self._device, None
        if device is not None:
            self._kept_value = getattr(device, self.row.keeps, None) if self.row.keeps else None
            with _MAKING if self.row.shares else contextlib.nullcontext():
                try:
                    device.close()
                except Exception as error:
                    log.warning("%s: closing: %s", self.name, as_device_error(error, self.name).detail)
            self._give_back()

    def _give_back(self) -> None:
        """Has nothing of what was made reach its lines any more, whoever still holds it."""
        factory = self._factory()
        for name in self._lines:
            factory.detach(name)

    def _happened(self, event: Event) -> None:
        if self._events is not None:
            self._events.put((time.monotonic(), event))

    def _read(self) -> Snapshot:
        device = self._device
        if device is None:
            raise DeviceError(DeviceErrorKind.GONE, self.name, "it is not open")
        try:
            if not is_measuring(device):
                raise DeviceError(DeviceErrorKind.BUS_FAULT, self.name, "its thread has ended: its values are old")
            if not has_measured(device):
                return Snapshot([], None)
            values = [measure.read(device) for measure in self.measures]
            value = as_number(device.value) if values[0] is not None else None
            is_on = self.is_output and bool(device.is_active)
        except Exception as error:
            raise as_device_error(error, self.name) from None
        readings = [
            quantity.bad(measure.absent) if found is None else quantity.good(rounded(found))
            for measure, quantity, found in zip(self.measures, self.quantities, values, strict=True)
        ]
        if self._uncertain_reason:
            readings = [replace(one, quality=Quality.UNCERTAIN, reason=self._uncertain_reason) for one in readings]
        return Snapshot(readings, value, is_on)

    def _execute(self, method: Method, parameters: Mapping[str, Value]) -> Snapshot:
        self._do(lambda device: method.run(device, parameters))
        self._uncertain_reason = ""
        return self._read()

    def _do(self, act: Callable[[Any], object]) -> bool:
        """Does something; returns whether it is on then. Raises CommandError, DeviceError."""
        device = self._device
        if device is None:
            raise CommandError(f"{self.name} cannot be used now: {self.member.reason or 'it is not open'}")
        try:
            act(device)
            return self.is_output and bool(device.is_active)
        except DeviceError:
            raise
        except ValueError as error:
            raise CommandError(f"{self.name}: {error}") from None
        except Exception as error:
            raise as_device_error(error, self.name) from None
