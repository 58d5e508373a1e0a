"""Keeps one device going: carries out what its life cycle says, and tells it what has happened."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from iofog_sdk import Backoff

from ..command import Command, CommandError, CommandSpec, Result, check_command
from ..control.totals import Totals
from ..errors import DeviceError, DeviceErrorKind, SettingsError
from ..node_state import NodeState
from ..reading import Forwarded, Sample
from ..service import DeviceService
from ..service_settings import ServiceSettings, device_settings_differ
from .instance import Instance
from .life_cycle import USABLE, Action, DeviceState, Event, LifeCycle
from .reader import Reader

if TYPE_CHECKING:
    from ..control.members import Member
    from ..outbox.inbound import Inbound

log = logging.getLogger("device_bridge")

_SETTLED_S = 2.0
"""A life that lasts for that long, and longer than the wait before it, begins the waits again."""
_FINISH_S = 1.0
"""Seconds that a command under way is given when a device that works is closed."""
_MAX_TOGETHER = 500
"""Readings in one message when the device is lost."""
_ABSENT = (DeviceErrorKind.NOT_FOUND, DeviceErrorKind.GONE, DeviceErrorKind.PERMISSION, DeviceErrorKind.BUSY)
"""Looking again costs next to nothing, and who plugs a device in again does not want to wait; but for one that comes
and goes, as by a bad contact."""


class Supervisor:
    """Runs a service's instances, one after another.

    Parameters:
        service_type: what to run.
        settings: for the first instance.
        emit: takes each sample.
        wait_room: returns when another sample may be read.
        backoff: waiting times between attempts.
        has_room: whether another sample may be read now; where it cannot tell, `wait_room` is asked each time.
        node: what the service can know of the node.
        totals: the process's.
        inbound: messages for the device.
        bridge_states: of other services that run in this process.
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
        has_room: Callable[[], bool] = lambda: False,
        node: NodeState | None = None,
        totals: Totals | None = None,
        inbound: Inbound | None = None,
        bridge_states: Callable[[], Mapping[str, str]] = dict,
        on_adopted: Callable[[ServiceSettings], None] = lambda _: None,
        on_refused: Callable[[ServiceSettings, SettingsError], None] = lambda _, __: None,
    ) -> None:
        service_type.check_contract()
        self._service_type = service_type
        self._life = LifeCycle(settings)
        self._backoff = backoff or Backoff(0.5, 30.0)
        self._absence = Backoff(0.25, 1.0)
        self._node, self._totals, self._inbound = node or NodeState(), totals or Totals(None), inbound
        self._kept: dict[str, Any] = {}
        self._bridge_states = bridge_states
        self._on_adopted, self._on_refused = on_adopted, on_refused
        self._events: deque[Event] = deque()
        self._is_handling = False
        self._instance: Instance | None = None
        self._closing: asyncio.Task[None] | None = None
        self._error: BaseException = RuntimeError()
        self._opened_at = self._waited_s = 0.0
        self._was_open = False
        self._retry: asyncio.TimerHandle | None = None
        self._ended: asyncio.Future[None] | None = None
        self._reader = Reader(service_type.quantities_of(settings), emit, wait_room, has_room, self._handle)
        self._reader.mark_stale_after(settings.stale_after)
        self._declared_for = settings
        self._is_reported_bad, self._last_failure = False, ""
        self.failures = 0

    @property
    def state(self) -> DeviceState:
        """The state of the device."""
        return self._life.state

    @property
    def reason(self) -> str:
        """Why the device is not usable; "" while it is."""
        return self._life.reason

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
        """The commands of the settings in force."""
        return self._service_type.commands_of(self._life.in_force or self._life.wanted)

    def apply(self, settings: ServiceSettings) -> None:
        """Goes over to these settings: the device is closed and opened with them if it is concerned."""
        self._handle(self._life.give(settings))

    async def execute(self, command: Command) -> Result:
        """Has the running instance execute a command; a device that cannot be used now is a failed result."""
        instance = self._instance
        if Action.EXECUTE not in self._life.advance(Event.COMMAND) or instance is None:
            return Result(ok=False, detail=f"the device cannot be used now: {self.reason}")
        try:
            result = await instance.execute(check_command(self.commands, command))
        except (DeviceError, CommandError) as error:
            return Result(ok=False, detail=str(error))
        readings = self._reader.declared.check(result.readings)
        return Result(ok=result.ok, detail=result.detail, readings=readings)

    async def run(self) -> None:
        """Runs until cancelled. Raises SettingsError when the first settings turn out to be unusable."""
        self._ended = ended = asyncio.get_running_loop().create_future()
        self._handle(Event.START)
        try:
            await asyncio.shield(ended)
        except BaseException:
            self._handle(Event.STOP)
            while not ended.done():  # closing is bounded in time, and outputs may be on: it is not cut short
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait((ended,))
            raise
        raise self._error

    def _handle(self, event: Event) -> None:
        """Has the life cycle go on; what happens because of that is handled after it."""
        self._events.append(event)
        if self._is_handling:
            return
        self._is_handling = True
        try:
            while self._events:
                for action in self._life.advance(self._events.popleft()):
                    self._carry_out(action)
        finally:
            self._is_handling = False

    def _carry_out(self, action: Action) -> None:
        try:
            _CARRY_OUT[action](self)
        except Exception as error:
            log.exception("%s: cannot %s", self._service_type.name(), action.value)
            self._error = error
            self._events.append(Event.FATAL)

    def _open(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
        self._opened_at = asyncio.get_running_loop().time()
        self._instance, self._was_open = Instance(self._make), False
        self._start(self._instance.open(), Event.OPENED)

    def _make(self) -> DeviceService[Any]:
        service = self._service_type(self._life.wanted)
        service.node, service.totals, service.inbound = self._node, self._totals, self._inbound
        service.kept = self._kept
        service.bridge_states = self._bridge_states
        return service

    def _start(self, work: Coroutine[Any, Any, None], then: Event) -> None:
        """Has work done with the device; its end is this event, its failure another one."""
        assert self._instance is not None  # noqa: S101 - made before

        def on_end(error: BaseException | None) -> None:
            event = then if error is None else self._life.classify(error)
            if error is not None and not self._life.ignores(event):  # the first of several is the one to report
                self._error = error
            self._handle(event)

        self._instance.start(work, on_end)

    @property
    def _service(self) -> DeviceService[Any] | None:
        return self._instance.service if self._instance else None

    def _adopt(self) -> None:
        settings = self._life.wanted
        if self._service is not None:
            self._service.settings = settings
        before, self._declared_for = self._declared_for, settings
        if device_settings_differ(before, settings):
            self._reader.declare(self._service_type.quantities_of(settings))
        self._reader.mark_stale_after(settings.stale_after)
        self._on_adopted(settings)

    def _read(self) -> None:
        service = self._service
        assert service is not None  # noqa: S101 - it has been opened
        self._life.problem, self._was_open = "", True
        for work in self._reader.work(service):
            self._start(work, Event.FAILURE)

    def _report_recovery(self) -> None:
        if self._is_reported_bad or self._life.problem:
            log.info("%s: readings come again", self._service_type.name())
        self._is_reported_bad, self._life.problem = False, ""

    def _report_silence(self) -> None:
        self._life.problem = f"no reading for {self._reader.staleness.after_s:g} s"
        log.warning("%s: %s; the device stays open", self._service_type.name(), self._life.problem)

    def _report_failure(self) -> None:
        error, name = self._error, self._service_type.name()
        self.failures += 1
        self._reader.staleness.forget()
        if isinstance(error, DeviceError | SettingsError):
            reason = str(error)
        else:
            log.error("%s: unexpected error, treated as a device failure", name, exc_info=error)
            reason = f"{type(error).__name__}: {error}"
        if not self._is_reported_bad:
            log.warning("%s: %s; trying again until it works", name, reason)
            bad = self._reader.declared.all_bad(reason)
            for at in range(0, len(bad), _MAX_TOGETHER):
                self._reader.emit(bad[at : at + _MAX_TOGETHER])
        elif reason != self._last_failure:
            log.warning("%s: still not usable: %s", name, reason)
        self._is_reported_bad, self._life.problem, self._last_failure = True, reason, reason

    def _refuse(self) -> None:
        if self._life.refused is not None and isinstance(self._error, SettingsError):
            self._on_refused(self._life.refused, self._error)

    def _close(self) -> None:
        self._life.problem = ""
        self._closing = asyncio.get_running_loop().create_task(self._close_instance())
        self._closing.add_done_callback(self._closed)

    async def _close_instance(self) -> None:
        if self._instance is not None:
            await self._instance.close(finish_s=0.0 if self.state is DeviceState.FAILING else _FINISH_S)

    def _closed(self, closing: asyncio.Task[None]) -> None:
        if not closing.cancelled() and (error := closing.exception()) is not None:
            log.error("%s: closing the device failed: %s", self._service_type.name(), error)
        closed = self._instance
        self._handle(Event.CLOSED)
        if self._instance is closed:
            self._instance = None

    def _wait(self) -> None:
        loop, error = asyncio.get_running_loop(), self._error
        is_settled = loop.time() - self._opened_at > max(self._waited_s, _SETTLED_S)
        is_absent = isinstance(error, DeviceError) and error.kind in _ABSENT
        backoff = self._absence if is_absent and (is_settled or not self._was_open) else self._backoff
        if is_settled:
            backoff.reset()
        self._waited_s = backoff.next_s()
        self._retry = loop.call_later(self._waited_s, self._handle, Event.RETRY)

    def _end(self) -> None:
        self._life.problem = ""
        if self._retry is not None:
            self._retry.cancel()
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    @property
    def members(self) -> Sequence[Member]:
        """Devices behind the running instance that have a health of their own."""
        return self._service.members if self._service else ()

    @property
    def failure(self) -> str:
        """Why the device has failed; "" once readings come again."""
        return self._last_failure if self._is_reported_bad else ""

    @property
    def undeclared_readings(self) -> int:
        """Readings that were not as the service has declared them."""
        return self._reader.undeclared

    def counters(self) -> dict[str, int]:
        """The running instance's own counts."""
        return self._service.counters() if self._service else {}


_CARRY_OUT: Mapping[Action, Callable[[Supervisor], None]] = {
    Action.OPEN: Supervisor._open,
    Action.ADOPT: Supervisor._adopt,
    Action.READ: Supervisor._read,
    Action.REPORT_RECOVERY: Supervisor._report_recovery,
    Action.REPORT_SILENCE: Supervisor._report_silence,
    Action.REPORT_FAILURE: Supervisor._report_failure,
    Action.REFUSE: Supervisor._refuse,
    Action.CLOSE: Supervisor._close,
    Action.WAIT: Supervisor._wait,
    Action.END: Supervisor._end,
}
