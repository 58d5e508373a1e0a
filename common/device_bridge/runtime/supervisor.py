"""Keeps one device going: opens and reads it; after a failure closes it, waits and opens it again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from iofog_sdk import Backoff

from ..command import Command, CommandError, CommandSpec, Result, check_command
from ..control.ticker import Ticker
from ..control.totals import Totals
from ..declared import DeclaredQuantities
from ..errors import ContractError, DeviceError, DeviceErrorKind, SettingsError
from ..node_state import NodeState
from ..reading import Forwarded, Sample
from ..service import DeviceService
from ..service_settings import ServiceSettings, device_settings_differ
from .closing import close_service
from .device_state import USABLE, DeviceState
from .staleness import Staleness

if TYPE_CHECKING:
    from ..control.members import Member
    from ..outbox.inbound import Inbound

log = logging.getLogger("device_bridge")

_SETTLED_S = 2.0
"""A life that lasts for that long, and longer than the wait before it, begins the waits again."""
_MAX_TOGETHER = 500
"""Readings in one message when the device is lost."""
_ABSENT = (DeviceErrorKind.NOT_FOUND, DeviceErrorKind.GONE, DeviceErrorKind.PERMISSION, DeviceErrorKind.BUSY)
"""Looking again costs next to nothing, and who plugs a device in again does not want to wait."""


class Supervisor:
    """Runs a service's instances, one after another.

    Parameters:
        service_type: what to run.
        settings: for the first instance.
        emit: takes each sample.
        wait_room: returns when another sample may be read.
        backoff: waiting times between attempts.
        node: what the service can know of the node.
        totals: the process's.
        inbound: messages for the device.
        on_adopted: called with settings once a device has been opened with them, or has failed for another reason
            than its settings.
        on_refused: called with settings that turn out to be unusable, and why; the device goes on with the old ones.
    """

    def __init__(
        self,
        service_type: type[DeviceService[Any]],
        settings: ServiceSettings,
        emit: Callable[[Sample | Forwarded], None],
        wait_room: Callable[[], Awaitable[None]],
        backoff: Backoff | None = None,
        *,
        node: NodeState | None = None,
        totals: Totals | None = None,
        inbound: Inbound | None = None,
        on_adopted: Callable[[ServiceSettings], None] = lambda _: None,
        on_refused: Callable[[ServiceSettings, SettingsError], None] = lambda _, __: None,
    ) -> None:
        service_type.check_contract()
        self._service_type = service_type
        self._wanted = settings
        self._in_force: ServiceSettings | None = None
        self._emit_to, self._wait_room = emit, wait_room
        self._backoff = backoff or Backoff(0.5, 30.0)
        self._absence = Backoff(0.25, 1.0)
        self._node, self._totals, self._inbound = node or NodeState(), totals or Totals(None), inbound
        self._on_adopted, self._on_refused = on_adopted, on_refused
        self._changed = asyncio.Event()
        self._stale_after_changed = asyncio.Event()
        self._waited_s = 0.0
        self._service: DeviceService[Any] | None = None
        self._declared = DeclaredQuantities(service_type.quantities_of(settings))
        self._staleness = Staleness()
        self._executing: set[asyncio.Task[Result]] = set()
        self._reported_bad = ""
        self.state = DeviceState.STARTING
        self.reason = ""
        """Why the device is not usable; "" while it is."""
        self.failures = 0

    @property
    def is_usable(self) -> bool:
        """Whether the device is open."""
        return self.state in USABLE

    @property
    def is_up(self) -> bool:
        """Whether the device is open and not stale, and one of its members at least works."""
        members = self.members
        works = not members or not all(member.is_failing for member in members)
        return works and self.state in (DeviceState.OPEN, DeviceState.READING)

    @property
    def commands(self) -> tuple[CommandSpec, ...]:
        """The commands of the running instance's settings."""
        return self._service_type.commands_of(self._in_force or self._wanted)

    def apply(self, settings: ServiceSettings) -> None:
        """Goes over to these settings: the device is closed and opened with them if it is concerned."""
        before = self._wanted
        self._wanted = settings
        if self._service is None or device_settings_differ(before, settings) or before is not self._in_force:
            self._changed.set()
            return
        self._service.settings = settings
        self._adopt(settings)

    async def execute(self, command: Command) -> Result:
        """Has the running instance execute a command; a device that cannot be used now is a failed result."""
        service = self._service
        if service is None or not self.is_usable:
            return Result(ok=False, detail=f"the device cannot be used now: {self.reason or self.state.value}")
        try:
            command = check_command(self.commands, command)
        except CommandError as error:
            return Result(ok=False, detail=str(error))
        task = asyncio.get_running_loop().create_task(service.execute(command))
        self._executing.add(task)
        task.add_done_callback(self._executing.discard)
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError:
            task.cancel()
            raise
        if task.cancelled():
            return Result(ok=False, detail="the device was closed before it had done it")
        try:
            result = task.result()
        except (DeviceError, CommandError) as error:
            return Result(ok=False, detail=str(error))
        readings = self._declared.check(result.readings)
        return Result(ok=result.ok, detail=result.detail, readings=readings)

    async def run(self) -> None:
        """Runs until cancelled. Raises SettingsError when the first settings turn out to be unusable."""
        try:
            while True:
                self._changed.clear()
                settings = self._wanted
                wait = await self._live(settings)
                if wait is not None:
                    self._waited_s = wait.next_s()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._changed.wait(), self._waited_s)
        finally:
            self.state, self.reason = DeviceState.STOPPED, "the service is stopping"

    async def _live(self, settings: ServiceSettings) -> Backoff | None:
        """One life of the service; returns what to wait for before the next one, None for nothing."""
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        try:
            await self._until_changed(settings)
            return None
        except SettingsError as error:
            if self._in_force is None:
                raise
            if device_settings_differ(settings, self._in_force):
                self._on_refused(settings, error)
                if self._wanted is settings:
                    self._wanted = self._in_force
                return None
            self._fail(str(error))  # good when they came into force: the device has changed since
            wait = self._backoff
        except DeviceError as error:
            self._adopt(settings)
            self._fail(str(error))
            wait = self._absence if error.kind in _ABSENT else self._backoff
        except ContractError:
            raise
        except Exception as error:
            log.exception("%s: unexpected error, treated as a device failure", self._service_type.name())
            self._adopt(settings)
            self._fail(f"{type(error).__name__}: {error}")
            wait = self._backoff
        if loop.time() - began_at > max(self._waited_s, _SETTLED_S):
            wait.reset()
        return wait

    async def _until_changed(self, settings: ServiceSettings) -> None:
        """Opens and reads the device until the settings have changed; raises what ended it."""
        loop = asyncio.get_running_loop()
        self.state, self.reason = DeviceState.OPENING, self.reason or "it is being opened"
        service = self._service_type(settings)
        service.node, service.totals, service.inbound = self._node, self._totals, self._inbound
        tasks: list[asyncio.Task[Any]] = []
        try:
            await service.open()
            self._service = service
            self._adopt(settings)
            self.state, self.reason = DeviceState.OPEN, ""
            self._staleness.restart(loop.time())
            tasks = [loop.create_task(self._changed.wait()), loop.create_task(self._watch_staleness())]
            if service.streams():
                tasks.append(loop.create_task(self._stream(service)))
            tasks += [loop.create_task(self._poll(service, name, field)) for name, field in service.polls()]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await self._close(service, tasks)

    async def _close(self, service: DeviceService[Any], tasks: list[asyncio.Task[Any]]) -> None:
        """Admits no command from here on; cancels those in flight, then the reading, then closes the device."""
        self.state, self.reason = DeviceState.CLOSING, "it is being closed"
        for task in (*self._executing, *tasks):
            task.cancel()
        closing = asyncio.get_running_loop().create_task(close_service(service, [*self._executing, *tasks]))
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            await closing  # it is bounded in time, and outputs may be on
            raise
        finally:
            self._service = None

    def _adopt(self, settings: ServiceSettings) -> None:
        if settings is self._in_force:
            return
        self._in_force = settings
        self._declared = DeclaredQuantities(self._service_type.quantities_of(settings))
        if settings.stale_after != self._staleness.after_s:
            self._staleness.after_s = settings.stale_after
            self._stale_after_changed.set()
        self._on_adopted(settings)

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
        ticker = Ticker(getattr(service.settings, interval_field))
        while True:
            self._take(await getattr(service, method)())
            await self._room()
            await ticker.wait()

    async def _room(self) -> None:
        began_at = asyncio.get_running_loop().time()
        await self._wait_room()
        self._staleness.held_back(began_at, asyncio.get_running_loop().time())

    async def _watch_staleness(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._stale_after_changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stale_after_changed.wait(), self._staleness.next_check_s(loop.time()))
            if stale := self._staleness.newly_stale(loop.time()):
                self._emit_to(stale)
            if self._staleness.is_silent(loop.time()) and self.state is not DeviceState.STALE:
                reason = f"no reading for {self._staleness.after_s:g} s"
                log.warning("%s: %s; the device stays open", self._service_type.name(), reason)
                self.state, self.reason = DeviceState.STALE, reason

    def _take(self, sample: Sample | Forwarded) -> None:
        if not sample:
            return
        if self.state is not DeviceState.READING:
            if self._reported_bad or self.state is DeviceState.STALE:
                log.info("%s: readings come again", self._service_type.name())
            self.state, self.reason, self._reported_bad = DeviceState.READING, "", ""
        if not isinstance(sample, Forwarded):
            sample = heard = self._declared.check(sample)
        else:
            heard = () if isinstance(sample.content, bytes) else sample.content
            self._declared.heard(heard)
        self._staleness.heard(asyncio.get_running_loop().time(), heard)
        self._emit_to(sample)

    def _fail(self, reason: str) -> None:
        self.failures += 1
        self._staleness.forget()
        if not self._reported_bad:
            log.warning("%s: %s; trying again until it works", self._service_type.name(), reason)
            bad = self._declared.all_bad(reason)
            for at in range(0, len(bad), _MAX_TOGETHER):
                self._emit_to(bad[at : at + _MAX_TOGETHER])
        elif reason != self._reported_bad:
            log.warning("%s: still not usable: %s", self._service_type.name(), reason)
        self.state, self.reason, self._reported_bad = DeviceState.FAILED, reason, reason

    @property
    def members(self) -> Sequence[Member]:
        """Devices behind the running instance that have a health of their own."""
        return self._service.members if self._service else ()

    @property
    def failure(self) -> str:
        """Why the device has failed; "" once readings come again."""
        return self._reported_bad

    @property
    def undeclared_readings(self) -> int:
        """Readings that were not as the service has declared them."""
        return self._declared.violations

    def counters(self) -> dict[str, int]:
        """The running instance's own counts."""
        return self._service.counters() if self._service else {}
