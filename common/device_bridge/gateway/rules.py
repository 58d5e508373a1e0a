"""Rules between bridges: a reading of one switches an output of another, by a command, whatever the link does.

Without its reading (bad, stale, too old, its bridge gone) an output goes to the safe state that its command declares.
What cannot be done now is tried again until it is done, or decided otherwise; what was done is repeated when the
output's bridge has opened its device again, which then is in its safe state.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence

import msgspec

from ..clocks import wall
from ..command import Command, CommandSpec, Result
from ..control.rules import Rules
from ..reading import Quality, Reading
from .gateway_settings import GatewayRule

log = logging.getLogger("device_bridge")

_LOOK_S = 0.5

Execute = Callable[[str, Command], Awaitable[Result]]
CommandsOf = Callable[[str], Iterable[CommandSpec]]


class BridgeRules:
    """Decisions of rules, and which of them are still to be done.

    Parameters:
        execute: has a bridge execute a command.
        commands_of: those of a bridge now.
        is_held: whether a bridge's settings are refused, so that its outputs stay in their safe state.
    """

    def __init__(self, execute: Execute, commands_of: CommandsOf, is_held: Callable[[str], bool]) -> None:
        self._execute, self._commands_of, self._is_held = execute, commands_of, is_held
        self._settings: tuple[GatewayRule, ...] = ()
        self._rules = Rules(())
        self._heard: dict[str, tuple[Reading, float]] = {}
        self._lost: set[str] = set()
        """Readings that have not come for too long."""
        self._held: set[str] = set()
        self._decided: dict[str, bool | None] = {}
        self._waiting: dict[str, bool | None] = {}
        self._acting: dict[str, asyncio.Task[None]] = {}
        self._problems: set[str] = set()
        self._due = asyncio.Event()

    def configure(self, settings: tuple[GatewayRule, ...]) -> None:
        """Goes over to these rules; outputs that have none any more go to their safe state."""
        if settings == self._settings:
            return
        self._settings, self._rules = settings, Rules(settings)
        freed = self._decided.keys() - self._rules.outputs
        self._decided = {output: on for output, on in self._decided.items() if output not in freed}
        self._waiting = dict.fromkeys(freed)
        self._heard = {name: heard for name, heard in self._heard.items() if name in self._rules.readings}
        self._lost &= self._rules.readings
        for name, (reading, _) in self._heard.items():
            self._feed(_stale(name) if name in self._lost else reading)
        self._due.set()

    def hear(self, bridge: str, sample: Sequence[Reading]) -> None:
        """Has rules judge readings of a bridge."""
        if not self._settings:
            return
        now = asyncio.get_running_loop().time()
        for reading in sample:
            name = f"{bridge}/{reading.name}"
            if name in self._rules.readings:
                heard = msgspec.structs.replace(reading, name=name)
                self._heard[name] = heard, now - _age_s(reading)
                if self._is_too_old(name, now):
                    self._lose(name)
                else:
                    self._lost.discard(name)
                    self._feed(heard)

    def lose(self, bridge: str) -> None:
        """Nothing comes from a bridge any more."""
        for name in self._rules.readings:
            if name.partition("/")[0] == bridge:
                self._lose(name)

    def repeat(self, bridge: str) -> None:
        """All that was decided for a bridge's outputs is to be done again."""
        self._waiting |= {output: on for output, on in self._decided.items() if output.partition("/")[0] == bridge}
        self._due.set()

    async def run(self) -> None:
        """Does what has been decided, until cancelled."""
        try:
            while True:
                self._due.clear()
                self._look()
                for bridge in {output.partition("/")[0] for output in self._waiting}:
                    if bridge not in self._acting:
                        task = asyncio.get_running_loop().create_task(self._act(bridge))
                        self._acting[bridge] = task
                        task.add_done_callback(lambda _, bridge=bridge: self._acting.pop(bridge, None))  # type: ignore[misc]
                await self._wait()
        finally:
            for task in list(self._acting.values()):
                task.cancel()

    async def _wait(self) -> None:
        if not self._settings and not self._waiting:
            await self._due.wait()
            return
        try:
            async with asyncio.timeout(_LOOK_S):
                await self._due.wait()
        except TimeoutError:
            pass

    def _look(self) -> None:
        """Notices readings that are too old, and bridges whose settings are good again."""
        now = asyncio.get_running_loop().time()
        for rule in self._settings:
            if self._is_too_old(rule.reading, now):
                self._lose(rule.reading)
        for bridge in {output.partition("/")[0] for output in self._rules.outputs}:
            if self._is_held(bridge):
                self._held.add(bridge)
            elif bridge in self._held:
                self._held.discard(bridge)
                self.repeat(bridge)

    def _is_too_old(self, name: str, now: float) -> bool:
        _, at = self._heard.get(name, (None, now))
        return any(rule.reading == name and rule.max_age and now - at > rule.max_age for rule in self._settings)

    def _lose(self, name: str) -> None:
        if name in self._heard and name not in self._lost:
            self._lost.add(name)
            log.warning("rules: %s does not come any more; outputs go to their safe state", name)
            self._feed(_stale(name))

    def _feed(self, reading: Reading) -> None:
        for output, wanted in self._rules.feed([reading]):
            if wanted is None and output in self._decided and self._decided[output] is None:
                continue  # reported again with each bad reading
            self._decided[output] = self._waiting[output] = wanted
            self._due.set()

    async def _act(self, bridge: str) -> None:
        """Does what is decided for one bridge, offs first: of outputs that exclude each other one can then go on."""
        waiting = {output: on for output, on in self._waiting.items() if output.partition("/")[0] == bridge}
        specs = {spec.name: spec for spec in self._commands_of(bridge)}
        for output, on in sorted(waiting.items(), key=lambda each: bool(each[1])):
            name = output.partition("/")[2]
            spec = specs.get(name)
            if spec is None or spec.safe is None:
                self._report(output, f"{bridge} has no output {name!r} now" if spec is None else "has no safe state")
                continue
            value = spec.safe if on is None else on
            result = await self._execute(bridge, Command(name=name, parameters={"value": value}, time=wall()))
            if not result.ok:
                self._report(output, result.detail)
            elif self._waiting.get(output, not on) is on:
                self._waiting.pop(output, None)
                self._problems.discard(output)
        if any(output in self._waiting for output in waiting):
            await asyncio.sleep(_LOOK_S)
        self._due.set()

    def _report(self, output: str, problem: str) -> None:
        if output not in self._problems:
            self._problems.add(output)
            log.warning("rules: %s cannot be switched now and is tried again: %s", output, problem)


def _age_s(reading: Reading) -> float:
    """For how long a reading has been one; one with a time to come is of now."""
    return max(0.0, wall() - reading.time if reading.time > 0 else -reading.time)


def _stale(name: str) -> Reading:
    return Reading(name, None, quality=Quality.STALE)
