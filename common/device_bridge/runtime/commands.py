"""Commands out of ioMessages: executed in order, each answered by one result."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from iofog_sdk import IoMessage, address_of
from iofog_sdk.messages import decode_json

from ..clocks import monotonic, since_boot, wall
from ..command import Command, CommandError, Result
from ..messages import senml
from ..reading import is_finite
from ..secrets import shown, shown_path
from ..telemetry.metrics import Metric
from .command_memory import CommandMemory

if TYPE_CHECKING:
    from ..service_settings import CommandedSettings

log = logging.getLogger("device_bridge")

MAX_BYTES = 64 * 1024
MAX_COMMANDS = 100
"""In one message."""
MAX_WAITING = 100
MAX_NAME = 1000
"""Characters of what a malformed command is answered with."""
_ABSOLUTE_TIME = 2**28
"""A smaller time in SenML is relative to now (RFC 8428 section 4.5.3)."""
_REMEDY = 'Send {"command": "name", "value": …} or a SenML pack.'


class _MalformedCommandError(CommandError):
    """A command that cannot be executed; its name and id are known as far as they could be read."""

    def __init__(self, text: str, name: str, command_id: str) -> None:
        super().__init__(text)
        self.name, self.id = name, command_id


def parse_commands(message: IoMessage, base_name: str = "") -> list[Command]:
    """The commands of a message.

    `{"command": "tare"}`, `{"command": "set_range", "value": 2000, "id": "42", "time": 1795472104}`, any other
    members being parameters; or a SenML pack, each record being a name and the value to set (RFC 8428 section 3).

    Parameters:
        message: as it came; its timestamp is the time of commands without their own.
        base_name: the service's own, which is taken off the names of a pack.

    Raises CommandError.
    """
    sent_at, via = message.timestamp / 1000, address_of(message.tag).via
    if len(message.contentdata) > MAX_BYTES:
        raise CommandError(f"{len(message.contentdata)} bytes of commands, at most {MAX_BYTES} are read")
    try:
        content = decode_json(message.contentdata)
    except ValueError as error:
        raise CommandError(f"not JSON: {error}. {_REMEDY}") from None
    try:
        if isinstance(content, dict):
            return [_from_object(content, message.id, sent_at, via)]
        settings = senml.decode(message.contentdata)
    except senml.SenmlError as error:
        raise CommandError(f"{error}. {_REMEDY}") from None
    except OverflowError:
        raise CommandError(f"a number is too large. {_REMEDY}") from None
    if not 0 < len(settings) <= MAX_COMMANDS:
        raise CommandError(f"{len(settings)} values to set in a message, 1 to {MAX_COMMANDS} can be")
    return [
        Command(
            name=reading.name.removeprefix(base_name),
            parameters={} if reading.value is None else {"value": reading.value},
            id=message.id,
            time=reading.time if reading.time >= _ABSOLUTE_TIME else sent_at + reading.time,
            via=via,
        )
        for reading in settings
    ]


def _from_object(content: dict[str, Any], message_id: str, sent_at: float, via: tuple[str, ...]) -> Command:
    name, given_id, given_time = (
        content.pop("command", None),
        content.pop("id", message_id),
        content.pop("time", sent_at),
    )
    if not isinstance(given_id, str | int):
        fault, given_id = f"`id` = {shown(given_id)} is neither text nor a number", message_id
    elif not isinstance(name, str) or not name:
        fault = f"`command` = {shown(name)} is no name. {_REMEDY}"
    elif not isinstance(given_time, int | float) or not is_finite(given_time):
        fault = f"`time` = {shown(given_time)} is not in seconds since 1970-01-01"
    else:
        wrong = (each for each in content.items() if not isinstance(each[1], str | int | float | bool))
        given = next((f"`{shown_path(key)}` = {shown(value, key)}" for key, value in wrong), "")
        fault = f"{given} is neither text, number, true nor false" if given else ""
    name = name if isinstance(name, str) else ""
    if fault:
        raise _MalformedCommandError(fault, name[:MAX_NAME], str(given_id)[:MAX_NAME])
    return Command(name=name, parameters=content, id=str(given_id), time=float(given_time), via=via)


class _Waiting(NamedTuple):
    command: Command
    message_id: str
    age_s: float
    """When it came; negative for one that was given ahead of our clock."""
    came_at: float
    """By the clock that never steps."""


class CommandRunner:
    """Executes commands one after another and reports each result.

    A message that is delivered again, as ioFog delivers at least once, is not executed again, neither by this process
    nor by the next. A command's age is what it was when it came, by the wall clock, and from then on grows by a clock
    that never steps: a step of the wall clock makes no command fresh that waits, nor one that was executed.

    Parameters:
        execute: does it.
        report: takes the command, its result, and the seconds it took.
        settings: age and time limits; may be replaced while running.
        memory: of messages that were executed.
        wall: the time, seconds since 1970-01-01 UTC.
        steady: a clock that never steps.
    """

    def __init__(
        self,
        execute: Callable[[Command], Awaitable[Result]],
        report: Callable[[Command, Result, float], None],
        settings: CommandedSettings,
        *,
        memory: CommandMemory | None = None,
        wall: Callable[[], float] = wall,
        steady: Callable[[], float] = since_boot,
    ) -> None:
        self._execute, self._report, self.settings = execute, report, settings
        self._memory = CommandMemory(None) if memory is None else memory
        self._wall, self._steady = wall, steady
        self._queue: deque[_Waiting] = deque()
        self._come, self._idle = asyncio.Event(), asyncio.Event()
        self._idle.set()
        self._refusal = ""
        self._turn = asyncio.Lock()
        self.executed = 0
        self.failed = 0

    async def open(self) -> None:
        """Learns what earlier runs have executed."""
        await self._memory.open()

    async def close(self) -> None:
        """Keeps what is not to be executed again."""
        await self._memory.flush()

    def take(self, message: IoMessage, base_name: str) -> None:
        """Queues the commands of a message; what cannot be queued has failed at once."""
        now, forgotten_to = self._wall(), self._memory.forgotten_to
        if message.id:
            if message.id in self._memory:
                log.info("message %s was delivered again and is not executed again", message.id)
                return
            self._memory.add(message.id, now)
        try:
            commands = parse_commands(message, base_name)
        except CommandError as error:
            name, command_id = "", message.id
            if isinstance(error, _MalformedCommandError):
                name, command_id = error.name, error.id
            self._fail(Command(name=name, id=command_id), str(error))
            return
        for command in commands:
            if message.id and command.time <= forgotten_to:
                self._fail(command, "it may have been executed already: it is too old to be known")
            elif self._refusal:
                self._memory.keep(message.id)
                self._fail(command, self._refusal)
            elif len(self._queue) < MAX_WAITING:
                self._queue.append(_Waiting(command, message.id, now - command.time, self._steady()))
            else:
                self._fail(command, f"{MAX_WAITING} commands are waiting already")
        self._come.set()

    def refuse_waiting(self, reason: str) -> None:
        """Every command that has not been begun, now or later, fails for this reason."""
        self._refusal = reason
        while self._queue:
            waiting = self._queue.popleft()
            self._memory.keep(waiting.message_id)
            self._fail(waiting.command, reason)

    async def wait_idle(self) -> None:
        """Returns when none is being executed."""
        await self._idle.wait()

    def metrics(self) -> Iterator[Metric]:
        """For `/metrics`."""
        name, text = "bridge_commands_total", "Commands by result."
        yield Metric(name, "counter", text, self.executed, {"result": "done"})
        yield Metric(name, "counter", text, self.failed, {"result": "failed"})

    async def run(self) -> None:
        """Executes what is queued, until cancelled."""
        while True:
            while self._queue:
                self._idle.clear()
                waiting = self._queue.popleft()
                started = monotonic()
                try:
                    result = await self._result(waiting)
                except asyncio.CancelledError:
                    self._fail(waiting.command, self._refusal or "it was cancelled")
                    raise
                self._done(waiting.command, result, monotonic() - started)
            self._idle.set()
            self._come.clear()
            await self._come.wait()

    async def _result(self, waiting: _Waiting) -> Result:
        command, limit_s = waiting.command, self.settings.max_command_age
        if not command.time:
            detail = "its age is unknown: it may have waited on its way. Send it with its `time`"
            return Result(ok=False, detail=detail)
        age_s = waiting.age_s + self._steady() - waiting.came_at
        if age_s > limit_s or waiting.age_s < -limit_s:
            when = f"{age_s:.1f} s ago" if age_s > 0 else f"{-age_s:.1f} s ahead of this node's clock"
            return Result(ok=False, detail=f"given {when}, more than max_command_age = {limit_s:g} s")
        self._memory.keep(waiting.message_id)
        await self._memory.flush()
        return await self.execute(command)

    async def execute(self, command: Command) -> Result:
        """Has one executed when it is its turn; not to be done twice is the caller's business."""
        async with self._turn:
            return await self._execute_in_time(command)

    async def _execute_in_time(self, command: Command) -> Result:
        limit = asyncio.timeout(self.settings.command_timeout)
        try:
            async with limit:
                return await self._execute(command)
        except Exception as error:
            if isinstance(error, TimeoutError) and limit.expired():  # not one of the device's
                text = f"took longer than command_timeout = {self.settings.command_timeout:g} s"
                return Result(ok=False, detail=text)
            log.exception("command %s failed", command.name)
            return Result(ok=False, detail=f"{type(error).__name__}: {error}")

    def _fail(self, command: Command, reason: str) -> None:
        self._done(command, Result(ok=False, detail=reason), 0.0)

    def _done(self, command: Command, result: Result, took_s: float) -> None:
        self.executed += result.ok
        self.failed += not result.ok
        level = logging.INFO if result.ok else logging.WARNING
        log.log(level, "command %s %s: %s", command.name, "done" if result.ok else "failed", result.detail)
        try:
            self._report(command, result, took_s)
        except ValueError as error:  # what the device has said cannot be put into a message
            log.error("the result of command %s is sent without its text and readings: %s", command.name, error)
            self._report(command, Result(ok=result.ok, detail="its text cannot be sent"), took_s)
