"""Bridges GPIO outputs: relays, lamps, valves, PWM; in their safe state whenever nobody answers for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from functools import partial

from device_bridge import (
    Command,
    CommandError,
    DeviceError,
    DeviceService,
    Quantity,
    Reading,
    Result,
    Sample,
    Value,
    run,
)
from device_bridge.buses import GpioBus
from device_bridge.control import Put, SafeStateGuard, Totals, merged
from digital_inputs.kinds import Input

from .output import Output
from .settings import OutputsSettings, check
from .switchboard import Switchboard

log = logging.getLogger("digital_outputs")

_LOOK_S = 0.1
_READ_BACK_S = 1.0
_LAST_S = 2.0
_LONGEST_S = 86_400.0


class DigitalOutputs(DeviceService[OutputsSettings]):
    """GPIO outputs."""

    def __init__(self, settings: OutputsSettings) -> None:
        super().__init__(settings)
        self.rules = check(settings)
        self.bus = GpioBus(settings.gpio)
        self.outputs: dict[str, Output] = {}
        self.inputs: list[Input] = []
        self.told = asyncio.Queue[Output]()
        self.will = SafeStateGuard(())
        self.held_safe = ""
        """Why outputs were brought into their safe state, "" while they are free."""
        self.trips = 0
        self.doubts: dict[str, str] = {}
        self.decided: dict[str, bool | None] = {}
        """What rules last said of their outputs; None: the safe state."""
        self.unfollowed: dict[str, bool | None] = {}
        """Decisions that could not be followed yet."""

    @classmethod
    def quantities_of(cls, settings: OutputsSettings) -> tuple[Quantity, ...]:
        states = [Quantity(o.name, "/" if o.kind == "pwm" else "", description="output") for o in settings.outputs]
        return (*states, *(quantity for one in settings.inputs for quantity in one.quantities()))

    async def open(self) -> None:
        await self.bus.open()
        loop = asyncio.get_running_loop()
        self.board = Switchboard({output.name: output.limits for output in self.settings.outputs}, loop.time())
        self.outputs = {s.name: Output(s, self.board, self.told.put_nowait) for s in self.settings.outputs}
        for output in self._offs_first():
            await output.open(self.bus)
        if self.settings.guard:
            self.will = SafeStateGuard([output.last_will for output in self.outputs.values()])
            try:
                await self.will.start()
            except OSError as error:
                log.error("nobody brings outputs into their safe state if this process is killed: %s", error)
        totals = Totals(None) if self.settings.inputs else None
        self.inputs = [Input(settings, self.bus, totals) for settings in self.settings.inputs] if totals else []

    async def close(self) -> None:
        for output in self._offs_first():
            if not output.is_open:
                continue
            try:
                async with asyncio.timeout(_LAST_S):
                    await output.safe()
            except (DeviceError, TimeoutError) as error:
                self.log.error("%s could not be brought into its safe state: %s", output.name, error)
        await self.will.stop()
        for output in self.outputs.values():
            await output.close()
        for one in self.inputs:
            await one.close()

    def _offs_first(self) -> list[Output]:
        """Of a group one may have to be on in its safe state, while another is on still."""
        return sorted(self.outputs.values(), key=lambda output: output.settings.safe)

    def stream(self) -> AsyncIterator[Sample]:
        sources = [partial(self._follow, one) for one in self.inputs]
        return merged([self._watch, self._tell, *sources])

    async def _tell(self, put: Put) -> None:
        """Tells all states at first and from time to time, and each that has changed by itself."""
        loop = asyncio.get_running_loop()
        while True:
            tell_at = loop.time() + self.settings.report_interval
            await put([await output.reading() for output in self.outputs.values()])
            while (left_s := tell_at - loop.time()) > 0:
                try:
                    async with asyncio.timeout(left_s):
                        output = await self.told.get()
                except TimeoutError:
                    break
                await put([await output.reading()])

    async def _watch(self, put: Put) -> None:
        """Brings outputs into their safe state when they must not stay as they are."""
        loop = asyncio.get_running_loop()
        read_back_at = 0.0
        while True:
            await asyncio.sleep(_LOOK_S)
            if loop.time() >= read_back_at:
                read_back_at = loop.time() + _READ_BACK_S
                await self._read_back()
            for output in self.outputs.values():
                if error := output.failure():
                    log.error("%s: %s", output.name, error)
                    await self._trip(output)
            await self._follow_rules()
            for name in self.board.overdue(loop.time()):
                log.warning("%s has been on for max_on", name)
                await self._trip(self.outputs[name])
            reason = self._reason_for_safety()
            if reason and not self.held_safe:
                log.warning("outputs go to their safe state: %s", reason)
                for output in self._offs_first():
                    if self.node.settings_refused or output.name not in self.rules.outputs:
                        await self._trip(output)
                if self.node.settings_refused:
                    self.unfollowed |= self.decided  # for when they are good again
            self.held_safe = reason

    async def _read_back(self) -> None:
        """Notices a chip that has gone, and a line that is not what it is driven to. Raises DeviceError."""
        for output in self.outputs.values():
            doubt = (await output.reading()).reason
            if doubt != self.doubts.get(output.name, ""):
                self.doubts[output.name] = doubt
                self.told.put_nowait(output)

    def _reason_for_safety(self) -> str:
        if self.node.settings_refused:
            return f"settings were refused: {self.node.settings_refused}"
        if self.settings.hold and self.node.disconnected_s > self.settings.hold:
            return f"the node has not been reached for {self.settings.hold:g} s"
        return ""

    async def _trip(self, output: Output) -> None:
        self.trips += 1
        await output.safe()
        self.told.put_nowait(output)

    async def _follow(self, one: Input, put: Put) -> None:
        """Passes an input's readings on, and through the rules."""

        async def ruled(sample: Sample) -> None:
            await put(sample)
            for name, wanted in self.rules.feed(sample):
                self.decided[name] = self.unfollowed[name] = wanted
            await self._follow_rules()

        await one.settings.watch(one, ruled)

    async def _follow_rules(self) -> None:
        """Does what rules have decided; what a limit forbids now is tried again until it may be."""
        if self.node.settings_refused:
            return
        for name, wanted in list(self.unfollowed.items()):
            output = self.outputs[name]
            try:
                await (output.safe() if wanted is None else output.set(float(wanted)))
            except CommandError as error:
                log.debug("a rule has to wait: %s", error)
                continue
            self.told.put_nowait(output)
            if self.unfollowed.get(name) is wanted:
                del self.unfollowed[name]

    async def execute(self, command: Command) -> Result:
        if command.name == "all_safe":
            for output in self._offs_first():
                await output.safe()
            return Result(ok=True, detail="all in their safe state", readings=await self._readings())
        if command.name not in self.outputs:
            known = ", ".join([*self.outputs, "all_safe"])
            raise CommandError(f"{command.name!r} is no output; {known} can be commanded")
        if self.node.settings_refused:
            raise CommandError(f"outputs stay in their safe state until settings are good again: {self.held_safe}")
        output = self.outputs[command.name]
        self.unfollowed.pop(command.name, None)
        await _carry_out(output, dict(command.parameters))
        reading = await output.reading()
        return Result(ok=not reading.reason, detail=reading.reason or "done and read back", readings=[reading])

    async def _readings(self) -> list[Reading]:
        return [await output.reading() for output in self.outputs.values()]

    def counters(self) -> dict[str, int]:
        return {"safety_trips": self.trips}


async def _carry_out(output: Output, parameters: dict[str, Value]) -> None:
    """Does what a command's parameters say. Raises CommandError."""
    known = {"value", "for"} if "value" in parameters else {"on_s", "off_s", "times"}
    if unknown := sorted(set(parameters) - known):
        remedy = "`value` (and `for` in seconds), or `on_s`, `off_s` and `times`, can be given"
        raise CommandError(f"parameter `{unknown[0]}` does not belong here; {remedy}")
    if "value" not in parameters:
        on_s, off_s = _number(parameters, "on_s", 0.01), _number(parameters, "off_s", 0.01)
        times = _number(parameters, "times", 1)
        if times != int(times) or (on_s + off_s) * times > _LONGEST_S:
            raise CommandError(f"`times` = {times:g} is no whole number, or lasts longer than {_LONGEST_S:g} s")
        await output.blink(on_s, off_s, int(times))
        return
    for_s = _number(parameters, "for", 0.01) if "for" in parameters else 0.0
    value = parameters["value"]
    if output.settings.kind == "pwm" and not isinstance(value, str) and 0 <= value <= 1:
        await output.set(float(value), for_s)
    elif value in (True, False):  # 1 and 0 are as good
        await output.set(float(bool(value)), for_s)
    else:
        allowed = "0 to 1" if output.settings.kind == "pwm" else "true or false"
        raise CommandError(f"`value` = {value!r} cannot be set; write {allowed}")


def _number(parameters: dict[str, Value], name: str, least: float) -> float:
    value = parameters.get(name)
    if isinstance(value, bool | str) or value is None or not least <= value <= _LONGEST_S:
        raise CommandError(f"`{name}` = {value!r} is no number from {least:g} to {_LONGEST_S:g}")
    return float(value)


def main() -> None:
    """Runs the service as this process."""
    run(DigitalOutputs)
