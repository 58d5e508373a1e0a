"""Keeps one device going: open, read, and after a failure close, wait and open again."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec

from iofog_sdk import Backoff

from ..command import Command, CommandError, Result
from ..errors import DeviceError, DeviceErrorKind, SettingsError
from ..node_state import NodeState
from ..reading import Passed, Quality, Reading, Sample
from ..service import DeviceService
from ..service_settings import ServiceSettings

if TYPE_CHECKING:
    from ..outbox.inbound import Incoming

log = logging.getLogger("device_bridge")

_SHORTEST_INTERVAL_S = 0.001
_STEADY_AFTER_S = 10.0
_REMEMBERED = 1000
_ABSENT = (DeviceErrorKind.NOT_FOUND, DeviceErrorKind.GONE, DeviceErrorKind.PERMISSION, DeviceErrorKind.BUSY)
"""Looking again costs next to nothing, and who plugs a device in again does not want to wait."""


class DeviceState(enum.Enum):
    """How it stands with the device."""

    STARTING = "starting"
    OPEN = "open"
    """Opened; nothing has come yet."""
    READING = "reading"
    SILENT = "silent"
    """Open, but without a reading for longer than `silent_after`."""
    FAILED = "failed"
    """Not usable now; will be tried again."""


class Bridge:
    """Runs a service's instances, one after another.

    Parameters:
        service_type: what to run.
        settings: for the first instance.
        emit: takes each sample.
        wait_room: returns when another sample may be read.
        backoff: waiting times between attempts.
    """

    def __init__(
        self,
        service_type: type[DeviceService[Any]],
        settings: ServiceSettings,
        emit: Callable[[Sample | Passed], None],
        wait_room: Callable[[], Awaitable[None]],
        backoff: Backoff | None = None,
    ) -> None:
        self._service_type = service_type
        self._settings = settings
        self._proven: ServiceSettings | None = None
        self._emit = emit
        self._wait_room = wait_room
        self._backoff = backoff or Backoff(0.5, 30.0)
        self._absence = Backoff(0.25, 1.0)
        self._changed = asyncio.Event()
        self._service: DeviceService[Any] | None = None
        self._told_bad = ""
        self._latest: dict[str, Reading] = {}
        self._heard_at = 0.0
        self._holding_back = False
        self._unreachable = False
        self.state = DeviceState.STARTING
        self.reason = ""
        """Why the device is not usable; "" while it is."""
        self.failures = 0
        self.node = NodeState()
        self.incoming: Incoming | None = None
        self.on_refused: Callable[[SettingsError], None] | None = None
        """Called when new settings turn out to be unusable; the bridge goes on with the old ones."""

    def apply(self, settings: ServiceSettings) -> None:
        """Closes the device and opens it with new settings."""
        self._settings = settings
        self._changed.set()

    @property
    def is_usable(self) -> bool:
        """Whether the device is open."""
        return self.state not in (DeviceState.STARTING, DeviceState.FAILED)

    def counters(self) -> dict[str, int]:
        """The running instance's own counts."""
        return self._service.counters() if self._service else {}

    async def execute(self, command: Command) -> Result:
        """Has the running instance execute a command; a device that cannot be used now is a failed result."""
        service = self._service
        if service is None or not self.is_usable:
            return Result(ok=False, detail=f"the device cannot be used now: {self.reason or 'it is being opened'}")
        try:
            return await service.execute(command)
        except (DeviceError, CommandError) as error:
            return Result(ok=False, detail=str(error))

    async def run(self) -> None:
        """Runs until cancelled. Raises SettingsError when the first settings turn out to be unusable."""
        while True:
            self._changed.clear()
            settings = self._settings
            try:
                await self._until_changed(settings)
                continue
            except SettingsError as error:
                if self._proven is None:
                    raise
                self._settings = self._proven
                if self.on_refused:
                    self.on_refused(error)
                continue
            except DeviceError as error:
                self._failed(str(error))
                wait = self._absence if error.kind in _ABSENT else self._backoff
                self._unreachable = error.kind is DeviceErrorKind.UNREACHABLE
            except Exception as error:
                log.exception("%s: unexpected error, treated as a device failure", self._service_type.name())
                self._failed(f"{type(error).__name__}: {error}")
                wait = self._backoff
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), wait.next_s())

    async def _until_changed(self, settings: ServiceSettings) -> None:
        """One life of the service: returns when the settings have changed, raises what ended it."""
        loop = asyncio.get_running_loop()
        opened_at = math.inf
        service = self._service = self._service_type(settings)
        service.node, service.incoming = self.node, self.incoming
        tasks: list[asyncio.Task[Any]] = []
        try:
            await service.open()
            opened_at = loop.time()
            self._proven = settings
            self.state, self.reason = DeviceState.OPEN, ""
            changed = loop.create_task(self._changed.wait())
            tasks = [changed]
            self._heard_at = opened_at
            if settings.silent_after:
                tasks.append(loop.create_task(self._watch_silence(settings.silent_after)))
            if service.streams():
                tasks.append(loop.create_task(self._stream(service)))
            tasks += [loop.create_task(self._poll(service, name, field)) for name, field in service.polls()]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.gather(*tasks, return_exceptions=True)
            await service.close()
            if loop.time() - opened_at > _STEADY_AFTER_S:
                self._backoff.reset()

    async def _stream(self, service: DeviceService[Any]) -> None:
        samples = service.stream()
        try:
            async for sample in samples:
                self._take(sample)
                await self._room()
        finally:
            if (close := getattr(samples, "aclose", None)) is not None:
                await close()
        raise DeviceError(DeviceErrorKind.GONE, service.name(), "the stream of samples ended")

    async def _poll(self, service: DeviceService[Any], method: str, interval_field: str) -> None:
        loop = asyncio.get_running_loop()
        interval_s = max(getattr(service.settings, interval_field), _SHORTEST_INTERVAL_S)
        due = loop.time()
        while True:
            self._take(await getattr(service, method)())
            await self._room()
            late_s = loop.time() - due
            due += interval_s * (1 + max(0, math.floor(late_s / interval_s)))
            await asyncio.sleep(due - loop.time())

    async def _room(self) -> None:
        self._holding_back = True
        await self._wait_room()
        self._holding_back = False

    async def _watch_silence(self, silent_after_s: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(max(self._heard_at + silent_after_s - loop.time(), _SHORTEST_INTERVAL_S))
            if loop.time() < self._heard_at + silent_after_s:
                continue
            if not self._holding_back and self.state is not DeviceState.SILENT:
                self._silent(f"no reading for {silent_after_s:g} s")
            self._heard_at = loop.time()

    def _silent(self, reason: str) -> None:
        log.warning("%s: %s; the device stays open", self._service_type.name(), reason)
        self.state, self.reason = DeviceState.SILENT, reason
        stale = [
            msgspec.structs.replace(reading, quality=Quality.STALE, reason=reason, time=0.0)
            for reading in self._latest.values()
            if reading.value is not None
        ]
        if stale:
            self._emit(stale)

    def _take(self, sample: Sample | Passed) -> None:
        if not sample:
            return
        if self.state is not DeviceState.READING:
            if self._told_bad or self.state is DeviceState.SILENT:
                log.info("%s: readings come again", self._service_type.name())
                self._absence.reset()
                if not self._unreachable:  # over a network, readings that come do not say that the connection lasts
                    self._backoff.reset()
            self.state, self.reason, self._told_bad = DeviceState.READING, "", ""
        if self._settings.silent_after:
            self._heard_at = asyncio.get_running_loop().time()
            for reading in () if isinstance(sample, Passed) else sample:
                if reading.name in self._latest or len(self._latest) < _REMEMBERED:
                    self._latest[reading.name] = reading
        self._emit(sample)

    def _failed(self, reason: str) -> None:
        self.failures += 1
        self._latest.clear()
        if not self._told_bad:
            log.warning("%s: %s; trying again until it works", self._service_type.name(), reason)
            bad = self._service.all_bad(reason) if self._service else []
            if bad:
                self._emit(bad)
        elif reason != self._told_bad:
            log.warning("%s: still not usable: %s", self._service_type.name(), reason)
        self.state, self.reason, self._told_bad = DeviceState.FAILED, reason, reason
