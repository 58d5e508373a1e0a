"""Commands out of ioMessages: executed in order, each answered by one result."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from iofog_sdk import IoMessage, address_of

from ..command import Command, CommandError, Result
from ..messages import senml
from ..reading import is_finite
from ..telemetry.metrics import Metric

if TYPE_CHECKING:
    from ..service_settings import CommandedSettings

log = logging.getLogger("device_bridge")

MAX_BYTES = 64 * 1024
MAX_COMMANDS = 100
"""In one message."""
MAX_WAITING = 100
MAX_NAME = 1000
"""Characters of what a malformed command is answered with."""
_REMEMBERED_MESSAGES = 1000
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
        content = msgspec.json.decode(message.contentdata)
    except (ValueError, RecursionError) as error:  # msgspec lets a UnicodeDecodeError through
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
        fault, given_id = f"`id` = {given_id!r} is neither text nor a number", message_id
    elif not isinstance(name, str) or not name:
        fault = f"`command` = {name!r} is no name. {_REMEDY}"
    elif not isinstance(given_time, int | float) or not is_finite(given_time):
        fault = f"`time` = {given_time!r} is not in seconds since 1970-01-01"
    else:
        wrong = (each for each in content.items() if not isinstance(each[1], str | int | float | bool))
        fault = next((f"`{key}` = {value!r} is neither text, number, true nor false" for key, value in wrong), "")
    name = name if isinstance(name, str) else ""
    if fault:
        raise _MalformedCommandError(fault, name[:MAX_NAME], str(given_id)[:MAX_NAME])
    return Command(name=name, parameters=content, id=str(given_id), time=float(given_time), via=via)


class CommandRunner:
    """Executes commands one after another and reports each result.

    A message that is delivered again, as ioFog delivers at least once, is not executed again.

    Parameters:
        execute: does it.
        report: takes the command, its result, and the seconds it took.
        settings: age and time limits; may be replaced while running.
    """

    def __init__(
        self,
        execute: Callable[[Command], Awaitable[Result]],
        report: Callable[[Command, Result, float], None],
        settings: CommandedSettings,
    ) -> None:
        self._execute, self._report, self.settings = execute, report, settings
        self._queue: deque[Command] = deque()
        self._come = asyncio.Event()
        self._known: dict[str, None] = {}
        self._refusal = ""
        self.executed = 0
        self.failed = 0

    def take(self, message: IoMessage, base_name: str) -> None:
        """Queues the commands of a message; what cannot be queued has failed at once."""
        if message.id:
            if message.id in self._known:
                log.info("message %s was delivered again and is not executed again", message.id)
                return
            self._known[message.id] = None
            if len(self._known) > _REMEMBERED_MESSAGES:
                del self._known[next(iter(self._known))]
        try:
            commands = parse_commands(message, base_name)
        except CommandError as error:
            name, command_id = "", message.id
            if isinstance(error, _MalformedCommandError):
                name, command_id = error.name, error.id
            self._done(Command(name=name, id=command_id), Result(ok=False, detail=str(error)), 0.0)
            return
        for command in commands:
            if self._refusal:
                self._done(command, Result(ok=False, detail=self._refusal), 0.0)
            elif len(self._queue) < MAX_WAITING:
                self._queue.append(command)
            else:
                self._done(command, Result(ok=False, detail=f"{MAX_WAITING} commands are waiting already"), 0.0)
        self._come.set()

    def refuse_waiting(self, reason: str) -> None:
        """Every command that has not been begun, now or later, fails for this reason."""
        self._refusal = reason
        while self._queue:
            self._done(self._queue.popleft(), Result(ok=False, detail=reason), 0.0)

    def metrics(self) -> Iterator[Metric]:
        """For `/metrics`."""
        name, text = "bridge_commands_total", "Commands by result."
        yield Metric(name, "counter", text, self.executed, {"result": "done"})
        yield Metric(name, "counter", text, self.failed, {"result": "failed"})

    async def run(self) -> None:
        """Executes what is queued, until cancelled."""
        while True:
            while self._queue:
                command = self._queue.popleft()
                started = time.monotonic()
                self._done(command, await self._result(command), time.monotonic() - started)
            self._come.clear()
            await self._come.wait()

    async def _result(self, command: Command) -> Result:
        if not command.time:
            detail = "nobody knows when it was given: it may have waited on its way. Send it with its `time`"
            return Result(ok=False, detail=detail)
        age_s, limit_s = time.time() - command.time, self.settings.max_command_age
        if abs(age_s) > limit_s:
            when = f"{age_s:.1f} s ago" if age_s > 0 else f"{-age_s:.1f} s ahead of this node's clock"
            return Result(ok=False, detail=f"given {when}, more than max_command_age = {limit_s:g} s")
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

    def _done(self, command: Command, result: Result, took_s: float) -> None:
        self.executed += result.ok
        self.failed += not result.ok
        level = logging.INFO if result.ok else logging.WARNING
        log.log(level, "command %s %s: %s", command.name, "done" if result.ok else "failed", result.detail)
        self._report(command, result, took_s)
