"""The services of one process beside its own: started, reconfigured and stopped one by one."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from iofog_sdk import IoMessage

from ..command import Command, CommandSpec, Result
from ..outbox.inbound import is_command
from ..runtime.pipeline import Pipeline
from ..runtime.readings_page import LatestReadings
from ..telemetry.metrics import Metric
from .addressing import Misaddressed, address
from .bridge import Bridge
from .entries import path_of
from .gateway_settings import GatewaySettings
from .rules import BridgeRules

log = logging.getLogger("device_bridge")

_SHARED_COUNTS = frozenset(
    f"bridge_readings_{name}"
    for name in ("read_total", "delivered_total", "dropped_total", "recovered_total", "buffered")
)


class ServiceBridges:
    """All bridges of a process.

    Parameters:
        host: the process's own pipeline, whose link and outbox they share.
    """

    def __init__(self, host: Pipeline) -> None:
        self._host = host
        self._bridges: dict[str, Bridge] = {}
        self._ending: dict[str, asyncio.Task[None]] = {}
        self._is_stopping = False
        self._rules = BridgeRules(self._execute, self._commands_of, self._is_held)
        host.latest.beside = self._latest

    @property
    def are_up(self) -> bool:
        """Whether the devices of all can be read."""
        return all(bridge.is_up for bridge in self._bridges.values())

    def configure(self, settings: GatewaySettings) -> None:
        """Starts, stops and changes what these settings say, and leaves the others alone."""
        if self._is_stopping:
            return
        for name in self._bridges.keys() - settings.bridges.keys():
            self._remove(name)
        for name in settings.bridges:
            if name in self._bridges:
                self._bridges[name].configure(settings)
                continue
            rules = self._rules
            bridge = Bridge(name, self._host.uplink, self._report, rules.hear, rules.repeat, on_ended=rules.lose)
            self._bridges[name] = bridge
            bridge.configure(settings)
            bridge.start(self._ending.get(name))
        self._rules.configure(settings.rules)

    async def run(self) -> None:
        """Runs until cancelled."""
        await self._rules.run()

    async def stop(self) -> None:
        """Ends them all in order."""
        self._is_stopping = True
        for name in list(self._bridges):
            self._remove(name)
        if self._ending:
            await asyncio.wait(self._ending.values())

    def states(self) -> Mapping[str, str]:
        """The state of each, "" while it can be read."""
        return {name: "" if bridge.is_up else bridge.state for name, bridge in self._bridges.items()}

    async def take(self, message: IoMessage) -> None:
        """A message for this microservice: commands for one bridge, or what some forward to their devices."""
        running = {name: each.pipeline for name, each in self._bridges.items() if each.pipeline is not None}
        forwarding = [pipeline for pipeline in running.values() if pipeline.downlink.forwards]
        try:
            states = {name: "" if name in running else bridge.state for name, bridge in self._bridges.items()}
            base_names = {pipeline.base_name: name for name, pipeline in running.items()}
            name, addressed = address(message, states, base_names)
        except Misaddressed as error:
            if not is_command(message):
                for pipeline in forwarding:
                    await pipeline.take(message)
                if not forwarding:
                    log.warning("message %s ignored: it is for no bridge", message.id)
                return
            log.warning("command %s refused: %s", error.command.name, error)
            self._host.answer(error.command, Result(ok=False, detail=str(error)))
            return
        await running[name].take(addressed)

    def readiness(self) -> Mapping[str, Any]:
        """For `/readyz`."""
        return {name: bridge.readiness() for name, bridge in self._bridges.items()}

    def metrics(self, own: Iterable[Metric]) -> Iterator[Metric]:
        """For `/metrics`: those of the process, and those of each bridge with its name as a label.

        What the outbox counts for none of them has no label: readings of the process itself, what was found from
        earlier runs of bridges that are no more, and what was damaged on disk while it is not known whose it was. So
        the sum is that of the outbox.
        """
        families: dict[str, list[Metric]] = {}
        counted: Counter[tuple[str, str]] = Counter()
        for name, bridge in self._bridges.items():
            for metric in self._metrics_of(bridge):
                families.setdefault(metric.name, []).append(metric._replace(labels={"bridge": name, **metric.labels}))
                if metric.name in _SHARED_COUNTS:
                    counted[metric.name, metric.labels.get("reason", "")] += int(metric.value)
        for metric in own:
            rest = metric.value - counted[metric.name, metric.labels.get("reason", "")]
            families.setdefault(metric.name, []).insert(
                0, metric._replace(value=max(0, rest)) if metric.name in _SHARED_COUNTS else metric
            )
        for family in families.values():
            yield from family

    def _metrics_of(self, bridge: Bridge) -> Iterator[Metric]:
        if bridge.pipeline is None:
            yield Metric("bridge_device_up", "gauge", "1 while the device can be read.", 0)
        else:
            yield from bridge.pipeline.metrics()

    def _remove(self, name: str) -> None:
        ending = self._ending[name] = self._bridges.pop(name).stop()
        ending.add_done_callback(lambda done: self._ended(name, done))
        self._rules.lose(name)

    def _ended(self, name: str, done: asyncio.Task[None]) -> None:
        if self._ending.get(name) is done:
            del self._ending[name]
        if not done.cancelled() and (error := done.exception()) is not None:
            log.error("%s: ended with an error", path_of(name), exc_info=error)

    async def _execute(self, name: str, command: Command) -> Result:
        bridge = self._bridges.get(name)
        if bridge is None or bridge.pipeline is None:
            return Result(ok=False, detail=f"{name} does not run")
        return await bridge.pipeline.execute(command)

    def _commands_of(self, name: str) -> Iterable[CommandSpec]:
        bridge = self._bridges.get(name)
        return bridge.pipeline.supervisor.commands if bridge and bridge.pipeline else ()

    def _is_held(self, name: str) -> bool:
        bridge = self._bridges.get(name)
        return bridge is not None and bool(bridge.refused)

    def _latest(self) -> Mapping[str, LatestReadings]:
        return {name: each.pipeline.latest for name, each in self._bridges.items() if each.pipeline is not None}

    def _report(self, text: str) -> None:
        self._host.report(text)
