"""One device's way to the node: its supervisor, messages, outbox, delivery, and commands back to it."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from iofog_sdk import IoMessage, Link

from ..command import Command, Result
from ..control.totals import Totals
from ..filters import FilterChain
from ..messages.maker import MessageMaker
from ..node_state import NodePosition, NodeState
from ..outbox.box_metrics import outbox_metrics
from ..outbox.inbound import Inbound
from ..outbox.share import AnyOutbox
from ..service import DeviceService
from ..service_settings import CommandedSettings, ServiceSettings, device_settings_differ
from ..supervision.device_metrics import collect_device_metrics
from ..supervision.supervisor import Supervisor
from ..telemetry.build_info import build_info
from ..telemetry.metrics import Metric
from .announcer import Announcer
from .command_memory import CommandMemory
from .commands import CommandRunner
from .downlink import Downlink
from .endings import cancel, finish, within
from .hosting import Bridges, Hosted, Intake
from .readings_page import LatestReadings
from .settings_follower import SettingsFollower
from .uplink import Uplink

log = logging.getLogger("device_bridge")

_HOUSEKEEPING_S = 5.0
_DRAIN_S = 3.5
_END_S = 7.5
"""Docker and ioFog kill a container 10 s after SIGTERM: closing the device may take 4 of them, and what is left of
these goes to the drain; then outbox and link are closed."""
_SAVE_S = 1.0
_KEPT = ("directory", "durability", "sync")


class Pipeline:
    """Everything between one device and a link; several can share a link.

    Parameters:
        service_type: the device's service.
        settings: the first.
        follower: of its settings; learns which are in force and which were refused.
        link: to the node.
        hosted: how it runs beside others; None for one that has the process for itself.
        make_bridges: makes what runs other services in this process, for one that does.

    Raises SettingsError when the settings of the outbox cannot be used.
    """

    def __init__(
        self,
        service_type: type[DeviceService[Any]],
        settings: ServiceSettings,
        follower: SettingsFollower,
        link: Link,
        *,
        hosted: Hosted | None = None,
        make_bridges: Callable[[Pipeline], Bridges] | None = None,
    ) -> None:
        self._service_type, self._follower, self._link = service_type, follower, link
        self._settings, self._hosted = settings, hosted
        self.name = hosted.name if hosted else service_type.name()
        self.uplink = uplink = hosted.uplink if hosted else Uplink(self.name, settings, link)
        file_name = f"{uplink.name}.{self.name}" if hosted else self.name
        self.clock = uplink.clock
        self.outbox: AnyOutbox = uplink.share(self.name) if hosted else uplink.outbox
        self._maker = MessageMaker(link.microservice_id, self.clock, self.outbox)
        self._is_closing = self._is_closed = False
        self._filtered_by: object = None
        self._filters = FilterChain(())
        self._totals = Totals(_totals_file(settings, file_name, uplink.folder))
        inbound: Inbound | None = None
        if service_type.forwards_messages:
            waiting = uplink.file(f"{file_name}.incoming")
            inbound = Inbound(
                settings.outbox, waiting, link.microservice_id, self._maker.groups, outgoing=self.outbox
            )
        self.latest = LatestReadings(self._maker.put, self.clock.now)
        self.intake: Intake | None = hosted.make_intake(self.latest.put, self.outbox) if hosted else None
        self.bridges = make_bridges(self) if make_bridges else None
        self._position = NodePosition(link.set_position)
        self.supervisor = Supervisor(
            service_type,
            settings,
            (self.intake or self.latest).put,
            (self.intake or self.outbox).wait_room,
            has_room=(self.intake or self.outbox).has_room,
            node=NodeState(lambda: link.connected, follower.status, self._position, lambda: self.clock.trusted),
            totals=self._totals,
            inbound=inbound,
            bridge_states=self.bridges.states if self.bridges else dict,
            on_adopted=self._adopt,
            on_refused=follower.refuse_proposed,
        )
        commands: CommandRunner | None = None
        if isinstance(settings, CommandedSettings):
            commands = CommandRunner(
                self.supervisor.execute,
                self._maker.put_result,
                settings,
                memory=CommandMemory(uplink.file(f"{file_name}.commands.jsonl")),
                wall=self.clock.now,
            )
        self.downlink = Downlink(self.name, link.microservice_id, commands, inbound)
        bridge = hosted.name if hosted else ""
        service, put = service_type.name(), self._maker.put
        self._announcer = Announcer(service, self.supervisor, follower.status, put, link, bridge=bridge)
        self._use(settings)

    async def execute(self, command: Command) -> Result:
        """Has the device execute a command of this process; what it reads back is sent as a sample."""
        result = await self.downlink.execute(command)
        if result.readings:
            self.latest.put(result.readings)
        return result

    def answer(self, command: Command, result: Result) -> None:
        """Sends the result of a command that was not executed here."""
        self._maker.put_result(command, result, 0.0)

    def report(self, text: str) -> None:
        """Sends the node a warning."""
        self._follower.report(text)

    @property
    def base_name(self) -> str:
        """What the names of its readings begin with."""
        return self._maker.base_name

    def apply(self, settings: ServiceSettings) -> None:
        """Goes over to these settings, which are in force once the device has been opened with them."""
        self.supervisor.apply(settings)

    async def take(self, message: IoMessage) -> None:
        """A message for this microservice: commands for the device, or content to forward to it.

        Returns when it is as safe as the settings ask for; never once nothing can be answered or kept any more, so
        that the node delivers it again.
        """
        if self.downlink.is_for_another(message):
            return
        if self._is_closing:
            await asyncio.Event().wait()
        if self.bridges:
            await self.bridges.take(message)
        else:
            await self.downlink.take(message, self._maker.base_name)

    async def open(self) -> None:
        """Takes up what an earlier run has left. When it fails or is cancelled, nothing is left open."""
        try:
            if not self._hosted:
                await self.uplink.outbox.open()
            await self.downlink.open()
            await asyncio.get_running_loop().run_in_executor(None, self._totals.load)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Ends what `open` began, unless `run` has done that."""
        if not self._is_closed:
            self._is_closed = True
            await finish(self._close())

    async def _close(self) -> None:
        await self.downlink.close()
        if self._hosted:
            self.uplink.end_share(self.name)
        else:
            await self.uplink.outbox.close()

    async def run(self) -> None:
        """Runs until cancelled, then ends in order: commands, device, what waits. Raises SettingsError at start."""
        loop = asyncio.get_running_loop()
        supervising = loop.create_task(self.supervisor.run())
        others = [loop.create_task(work) for work in (self._keep_house(), self._announcer.run(), self.downlink.run())]
        if not self._hosted:
            others.append(loop.create_task(self.uplink.delivery.run()))
        if self.bridges:
            others.append(loop.create_task(self.bridges.run()))
        try:
            done, _ = await asyncio.wait([supervising, *others], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await finish(self._end(supervising, others))

    async def _end(self, supervising: asyncio.Task[None], others: list[asyncio.Task[None]]) -> None:
        loop = asyncio.get_running_loop()
        end_at = loop.time() + _END_S
        if self.bridges:
            await self.bridges.stop()
        await self.downlink.refuse("the service is stopping", is_usable=self.supervisor.is_usable)
        await cancel([supervising])
        self._position.close()
        await self.downlink.wait_idle()
        await within(_SAVE_S, asyncio.shield(loop.run_in_executor(None, self._totals.save)))
        if self.intake:
            self.intake.close()
        if not self._hosted:
            await within(min(_DRAIN_S, end_at - loop.time()), self.uplink.outbox.wait_empty())
        self._is_closing = not self._hosted  # where others go on, whoever sends a command now gets that answer
        await cancel(others)
        await self.close()
        box, made = self.outbox, self._maker.made
        self.uplink.made += made
        counts = {"read": box.read, "delivered": box.delivered, "buffered": box.buffered}
        counts |= {"dropped": box.dropped.total(), "messages": made if self._hosted else self.uplink.made}
        text = ", ".join(f"{name} {count}" for name, count in counts.items())
        log.info("%s stopped: %s", self.name, text, extra={"data": counts})

    def _adopt(self, settings: ServiceSettings) -> None:
        before, self._settings = self._settings, settings
        if not self._hosted and any(getattr(settings.outbox, name) != getattr(before.outbox, name) for name in _KEPT):
            log.warning("outbox: a changed %s takes effect at the next start", ", ".join(_KEPT))
        self._use(settings)
        if device_settings_differ(before, settings):
            self.latest.keep({quantity.name for quantity in self._service_type.quantities_of(settings)})
        if self.bridges:
            self.bridges.configure(settings)
        self._follower.adopt(settings)

    def _use(self, settings: ServiceSettings) -> None:
        if not self._hosted:
            self.uplink.outbox.configure(settings.outbox)
        self.downlink.configure(settings)
        key = (settings.filters, self._service_type.quantities_of(settings))
        if key != self._filtered_by:  # filters keep their state over a change that does not concern them
            self._filtered_by, self._filters = key, FilterChain(*key)
        source = settings.source or self.name
        self._maker.use(source, self._filters)
        self.latest.is_wanted = settings.http.port is not None
        self._announcer.configure(source.rstrip(":/."), settings.announce)

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(_HOUSEKEEPING_S)
            self.clock.check()
            await asyncio.get_running_loop().run_in_executor(None, self._totals.save)

    @property
    def is_up(self) -> bool:
        """Whether the device can be read; of a service that runs others, whether all of theirs can."""
        return self.supervisor.is_up and (self.bridges is None or self.bridges.are_up)

    @property
    def source(self) -> str:
        """Name of the device in messages."""
        return self._announcer.source

    def readiness(self) -> dict[str, Any]:
        """For `/readyz`."""
        state: dict[str, Any] = {"bridges": self.bridges.readiness()} if self.bridges else {}
        return state | {
            "device": {"state": self.supervisor.state.value, "reason": self.supervisor.reason},
            "settings": {"since": self._follower.status.since, "refused": self._follower.status.refused},
            "outbox": {"problem": self.outbox.problem},
            "clock": {"trusted": self.clock.trusted},
        }

    def metrics(self) -> Iterator[Metric]:
        """For `/metrics`."""
        return self.bridges.metrics(self._own_metrics()) if self.bridges else self._own_metrics()

    def _own_metrics(self) -> Iterator[Metric]:
        yield build_info(self._service_type.name())
        yield from outbox_metrics(self.outbox)
        yield Metric("bridge_clock_trusted", "gauge", "1 when the wall clock is right.", self.clock.trusted)
        yield from collect_device_metrics(self.supervisor)
        yield from self._position.metrics()
        refusals = self._follower.status.refusals
        yield Metric("bridge_settings_refused_total", "counter", "New settings not usable.", refusals)
        yield from self.downlink.metrics()
        if self._settings.http.readings_as_metrics:
            yield from self.latest.metrics(self._service_type.name(), self.source)


def _totals_file(settings: ServiceSettings, name: str, folder: Path | None) -> Path | None:
    """Where totals are kept: in the service's own folder for them, if it has such a setting, or with the rest."""
    directory = getattr(settings, "state_directory", "") or os.environ.get("STATE_DIRECTORY", "") or folder
    return Path(directory) / f"{name}.totals.json" if directory else None
