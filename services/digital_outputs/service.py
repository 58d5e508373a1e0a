"""Bridges GPIO outputs: relays, lamps, valves, PWM; in their safe state whenever service or node is gone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial

from device_bridge import Command, CommandError, CommandSpec, DeviceService, Quantity, Result, Sample, run
from device_bridge.buses import GpioBus
from device_bridge.control import ChangeReporter, Put, Rules, Source, leave_first_place, merged, without_samples
from digital_inputs.input_lines import InputLine, input_lines
from digital_inputs.kinds import Counter

from .bank import OutputBank
from .following import RuleFollower
from .safety import Safety
from .settings import ALL_SAFE, OutputsSettings, check

_MOST_UNSENT = 1000  # samples that wait while a full outbox pauses reading


class DigitalOutputs(DeviceService[OutputsSettings]):
    """GPIO outputs."""

    def __init__(self, settings: OutputsSettings) -> None:
        super().__init__(settings)
        self.bus = self.own(GpioBus(settings.gpio))
        self.bank = OutputBank(settings, self.bus)
        self.follower = RuleFollower(Rules(settings.rules), self.bank)
        self.safety = Safety(lambda: self.node, settings.node_timeout, self.bank, self.follower)
        self.lines: list[InputLine] = []
        self.counters_by_name = {one.name: one for one in settings.inputs if isinstance(one, Counter)}
        self.reporter = ChangeReporter(settings.report_interval)
        self.unsent = 0

    @classmethod
    def check_settings(cls, settings: OutputsSettings) -> None:
        check(settings)

    @classmethod
    def quantities_of(cls, settings: OutputsSettings) -> tuple[Quantity, ...]:
        states = [output.quantity for output in settings.outputs]
        return (*states, *(quantity for one in settings.inputs for quantity in one.quantities()))

    @classmethod
    def commands_of(cls, settings: OutputsSettings) -> tuple[CommandSpec, ...]:
        counters = [command for one in settings.inputs for command in one.commands()]
        return (*(output.command for output in settings.outputs), ALL_SAFE, *counters)

    async def open(self) -> None:
        await super().open()
        self.lines = input_lines(self.settings.inputs, self.bus, self.totals)
        outputs = [output.member for output in self.bank.outputs.values()]
        self.members = [*outputs, *(line.member for line in self.lines)]
        await self.bank.open(self.totals)

    async def close(self) -> None:
        await self.bank.close(self.totals)
        await super().close()

    def stream(self) -> AsyncIterator[Sample]:
        unending = [self.safety.watch, self.bank.keep_guarded]
        unending += [partial(self.bank.look_after, output) for output in self.bank.outputs.values()]
        sources: list[Source] = [self._report, *map(without_samples, unending)]
        sources += [partial(self._follow, line) for line in self.lines]
        # What rules decide by is not to wait for the outbox.
        return merged(sources, most=_MOST_UNSENT, dropped=self._count_unsent)

    def _count_unsent(self, sample: Sample) -> None:
        self.unsent += len(sample)

    async def _report(self, put: Put) -> None:
        """Reports all states at first and from time to time, and each that has changed by itself."""
        while True:
            self.reporter.forget(self.bank.take_changed())
            now = asyncio.get_running_loop().time()
            if changes := self.reporter.select(self.bank.readings(), now):
                await put(changes)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.reporter.seconds_left(now)):
                    await self.bank.changed.wait()

    async def _follow(self, line: InputLine, put: Put) -> None:
        """Has rules judge an input's readings before they are sent: the node may not take them."""

        async def judged(sample: Sample) -> None:
            self.follower.feed(sample)
            await self.safety.follow_rules()
            await put(sample)

        await line.run(judged)

    async def execute(self, command: Command) -> Result:
        self.bank.admit()
        if command.name == ALL_SAFE.name:
            await self.bank.make_safe(self.bank.outputs)
            readings = self.bank.readings()
        elif (counter := self.counters_by_name.get(command.name)) and command.value is not None:
            return Result(ok=True, detail="set", readings=[counter.set_total(command.value, self.totals)])
        elif reason := self.safety.reason_to_hold:
            raise CommandError(f"outputs stay in their safe state until settings are good again: {reason}")
        else:
            output = self.bank.outputs[command.name]
            self.follower.forget(output.name)
            await output.execute(command.parameters)
            readings = [await output.read_back()]
        reason = "; ".join(reading.reason for reading in readings if reading.reason)
        return Result(ok=not reason, detail=reason or "done and read back", readings=readings)

    def counters(self) -> dict[str, int]:
        trips, restarts = self.bank.trips, self.bank.guard.restarts
        return {"safety_trips": trips, "watchdog_restarts": restarts, "unsent_readings": self.unsent}


def main() -> None:
    """Runs the service as this process, or as its child where this is the first one of a container."""
    leave_first_place()
    run(DigitalOutputs)
