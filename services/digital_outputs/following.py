"""Has outputs do what rules have decided, as soon as their limits let them."""

from __future__ import annotations

import asyncio
import logging

from device_bridge import CommandError, DeviceError, Sample
from device_bridge.control import Rules

from .bank import OutputBank
from .output import Output

log = logging.getLogger("digital_outputs")


class RuleFollower:
    """Decisions of rules, and which of them are still to be done.

    Parameters:
        rules: what decides.
        bank: the outputs.
    """

    def __init__(self, rules: Rules, bank: OutputBank) -> None:
        self._bank, self._rules = bank, rules
        self.outputs = rules.outputs
        self._decided: dict[str, bool | None] = {}
        """What rules last said of their outputs; None: the safe state."""
        self._waiting: dict[str, bool | None] = {}
        self._turn = asyncio.Lock()

    def feed(self, sample: Sample) -> None:
        """Has rules judge readings."""
        for name, wanted in self._rules.feed(sample):
            self._decided[name] = self._waiting[name] = wanted

    def repeat(self) -> None:
        """All decisions are to be done again."""
        self._waiting |= self._decided

    def forget(self, name: str) -> None:
        """A command counts until a rule decides otherwise."""
        self._waiting.pop(name, None)

    async def follow(self) -> None:
        """Does what may be done now."""
        async with self._turn:
            if self._waiting:
                await self._follow(dict(self._waiting))

    async def _follow(self, waiting: dict[str, bool | None]) -> None:
        safe = {name: self._bank.outputs[name].settings.safe for name in waiting}

        async def act(output: Output, on: bool) -> bool:
            wanted = waiting[output.name]
            try:
                if wanted is None:
                    await self._bank.make_safe([output.name])
                elif wanted is on:
                    await output.set(float(on))
                    await output.read_back()
                else:
                    return False  # another of its group is not off yet
            except (CommandError, DeviceError) as error:
                log.debug("a rule has to wait: %s", error)
                return False
            self._bank.note_change(output.name)
            if self._waiting.get(output.name) is wanted:
                self._waiting.pop(output.name, None)
            return True

        await self._bank.switch({name: safe[name] if on is None else on for name, on in waiting.items()}, act)
