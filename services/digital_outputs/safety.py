"""When outputs must not stay as they are: without the node, with settings that are refused, after too long a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from device_bridge import NodeState

from .bank import OutputBank
from .following import RuleFollower

log = logging.getLogger("digital_outputs")

_LOOK_S = 0.1


class Safety:
    """Brings outputs into their safe state when service or node is gone.

    Parameters:
        node: gives the state of the link to the node.
        node_timeout_s: without it for so long, outputs without a rule are made safe; 0 for never.
        bank: the outputs.
        follower: what rules have decided.
    """

    def __init__(
        self, node: Callable[[], NodeState], node_timeout_s: float, bank: OutputBank, follower: RuleFollower
    ) -> None:
        self._node, self._node_timeout_s, self._bank, self._follower = node, node_timeout_s, bank, follower
        self._held = ""

    @property
    def reason_to_hold(self) -> str:
        """Why no output may leave its safe state; "" when they may."""
        refused = self._node().settings_refused
        return f"settings were refused: {refused}" if refused else ""

    async def watch(self) -> None:
        """Looks ten times a second, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            await self.follow_rules()
            if overdue := self._bank.overdue():
                log.warning("on for max_on: %s", ", ".join(overdue))
                await self._bank.trip(overdue)
            hold = self.reason_to_hold
            reason = hold or self._reason_without_node()
            if reason and reason != self._held:
                log.warning("outputs go to their safe state: %s", reason)
                by_rule = () if hold else self._follower.outputs
                await self._bank.trip(name for name in self._bank.outputs if name not in by_rule)
                if hold:
                    self._follower.repeat()  # when that is over
            self._held = reason

    async def follow_rules(self) -> None:
        """Does what rules have decided, unless outputs are held."""
        if not self.reason_to_hold:
            await self._follower.follow()

    def _reason_without_node(self) -> str:
        timeout_s = self._node_timeout_s
        is_lost = timeout_s and self._node().disconnected_s > timeout_s
        return f"the node has not been reached for {timeout_s:g} s" if is_lost else ""
