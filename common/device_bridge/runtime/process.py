"""Runs a service in this process: settings, device, outbox, link, health, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iofog_sdk import IoFogError, Link

from ..errors import SettingsError
from ..filters import FilterChain
from ..messages.clock import Clock
from ..messages.maker import MessageMaker
from ..outbox.delivery import Delivery
from ..outbox.durable import Outbox
from ..outbox.inbound import Incoming, is_command
from ..service import DeviceService
from ..service_settings import CommandedSettings, HttpSettings, OutboxSettings, ServiceSettings
from ..settings.sources import SettingsSources
from ..telemetry.refusals import Refusals
from . import logs
from .commands import CommandRunner
from .supervisor import Bridge

if TYPE_CHECKING:
    from .health import HealthServer

log = logging.getLogger("device_bridge")

_CONFIG_WAIT_S = 5.0
_CLOCK_CHECK_S = 5.0
_DRAIN_S = 3.5
_DRAIN_INCOMING_S = 1.0
"""Docker and ioFog kill a container 10 s after SIGTERM; this leaves room for slow closing."""


class Runtime:
    """One service and its link.

    Parameters:
        service_type: what to run.
        sources: where its settings come from.
        link: where its readings go.
    """

    def __init__(self, service_type: type[DeviceService[Any]], sources: SettingsSources, link: Link) -> None:
        self._service_type = service_type
        self._sources = sources
        self._link = link
        self._stop = asyncio.Event()
        self._config: str | None = None
        self._config_came = asyncio.Event()
        self.refusals = Refusals()
        self._http: HealthServer | None = None
        self._background: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Asks `run` to end in order."""
        self._stop.set()

    async def run(self) -> None:
        """Runs until `stop`. Raises SettingsError when it cannot start with the settings it finds."""
        self._link.on_config = self._take_config
        try:
            await self._link.start()
            settings = await self._or_stop(self._first_settings())
            if settings is not None:
                await self._run_with(settings)
        finally:
            for task in self._background:
                task.cancel()
            await self._link.close()
            if self._http is not None:
                await self._http.close()

    async def _run_with(self, settings: ServiceSettings) -> None:
        self._settings = settings
        file = self._outbox_file(settings.outbox)
        self._outbox = Outbox(settings.outbox, file)
        await self._outbox.open()
        self._clock = Clock(trusted=settings.trust_clock)
        self._messages = MessageMaker(self._link.microservice_id, self._clock, self._outbox)
        self._bridge = Bridge(self._service_type, settings, self._messages.put, self._outbox.wait_room)
        self._bridge.on_refused = self._refuse
        self._bridge.node.is_reached = lambda: self._link.connected
        self._bridge.node.settings_refused = self.refusals.last
        self._incoming: Incoming | None = None
        if self._service_type.passes_messages_on:
            kept = file.with_name(file.name.replace(".outbox.", ".incoming.")) if file else None
            self._incoming = Incoming(settings.outbox, kept, self._link.microservice_id, self._messages.group)
            self._incoming.outgoing = self._outbox
            await self._incoming.open()
            self._bridge.incoming = self._incoming
        self._commands: CommandRunner | None = None
        if isinstance(settings, CommandedSettings):
            self._commands = CommandRunner(self._bridge.execute, self._messages.put_result, settings)
        self._use(settings)
        await self._serve_http(settings.http)
        delivery = Delivery(self._outbox, self._link, self._messages.body)
        log.info("%s: started, readings go to %s", self._service_type.name(), self._link.description)
        loop = asyncio.get_running_loop()
        taking = loop.create_task(self._take_messages())
        work = [taking, *(loop.create_task(w) for w in (self._bridge.run(), self._watch_clock()))]
        if self._commands:
            work.append(loop.create_task(self._commands.run()))
        sending = loop.create_task(delivery.run())
        try:
            await self._or_stop(_first_failure([*work, sending]))
        finally:
            await _cancel([taking])
            if self._incoming is not None and self._bridge.is_usable:
                await _within(_DRAIN_INCOMING_S, self._incoming.wait_empty())
            await _cancel(work)
            if self._incoming is not None:
                await self._incoming.close()
            await _within(_DRAIN_S, self._outbox.wait_empty())
            await _cancel([sending])
            box = self._outbox
            await box.close()
            counts = {"read": box.read, "delivered": box.delivered, "buffered": box.buffered}
            counts |= {"dropped": box.dropped.total(), "messages": self._messages.made}
            text = ", ".join(f"{name} {count}" for name, count in counts.items())
            log.info("stopped: %s", text, extra={"data": counts})

    def _outbox_file(self, settings: OutboxSettings) -> Path | None:
        directory = settings.directory or os.environ.get("STATE_DIRECTORY", "")
        if not directory and settings.durability == "always":
            remedy = "Name a folder that outlives the process, or set STATE_DIRECTORY."
            raise SettingsError("outbox.directory", None, "is needed for durability `always`", remedy)
        if not directory and settings.durability == "spill":
            log.info(
                "messages wait in memory only; name a folder in outbox.directory or STATE_DIRECTORY to keep them"
            )
        return Path(directory) / f"{self._service_type.name()}.outbox.db" if directory else None

    def reload(self) -> None:
        """Reads the settings file again and applies what has changed."""
        try:
            self._sources.reread_file()
        except SettingsError as error:
            self._refuse(error)
            return
        self._apply()

    async def _first_settings(self) -> ServiceSettings:
        try:
            await asyncio.wait_for(self._config_came.wait(), _CONFIG_WAIT_S)
        except TimeoutError:
            log.warning("%s does not answer; starting on local settings", self._link.description)
            try:
                return self._resolve(None)
            except SettingsError as error:
                log.warning("waiting for the node, as local settings are not enough: %s", error)
                await self._config_came.wait()
        return self._resolve(self._config)

    def _resolve(self, config: str | None) -> ServiceSettings:
        settings: ServiceSettings = self._sources.resolve(config)
        self._service_type(settings)  # what is wrong with them together shows here
        return settings

    def _take_config(self, config: str | None) -> None:
        self._config = config
        if self._config_came.is_set():
            self._apply()
        self._config_came.set()

    def _apply(self) -> None:
        if not hasattr(self, "_settings"):
            return
        try:
            settings = self._resolve(self._config)
        except SettingsError as error:
            self._refuse(error)
            return
        if self.refusals.last:
            log.info("settings are good again")
        self.refusals.last = self._bridge.node.settings_refused = ""
        if settings == self._settings:
            return
        log.info("new settings applied")
        if settings.http != self._settings.http:
            self._in_background(self._serve_http(settings.http))
        kept = ("directory", "durability", "sync")
        if any(getattr(settings.outbox, name) != getattr(self._settings.outbox, name) for name in kept):
            log.warning("outbox: a changed %s takes effect at the next start", ", ".join(kept))
        self._settings = settings
        self._outbox.settings = settings.outbox
        if self._incoming is not None:
            self._incoming.settings = settings.outbox
        self._use(settings)
        self._bridge.apply(settings)

    def _use(self, settings: ServiceSettings) -> None:
        logs.set_level(settings.log_level)
        source = settings.source or self._service_type.name()
        self._messages.filters = FilterChain(settings.filters)
        self._messages.set_quantities(self._service_type.quantities_of(settings))
        if self._commands and isinstance(settings, CommandedSettings):
            self._commands.settings = settings
        self._messages.base_name = source if source[-1] in ":/." else source + ":"

    def _refuse(self, error: SettingsError) -> None:
        self.refusals.count += 1
        if str(error) == self.refusals.last:
            return
        self.refusals.last = str(error)
        if hasattr(self, "_bridge"):
            self._bridge.node.settings_refused = str(error)
        log.error("new settings refused, the old ones stay: %s", error)
        self._in_background(self._link.log(f"settings refused: {error}", warning=True))

    async def _watch_clock(self) -> None:
        while True:
            await asyncio.sleep(_CLOCK_CHECK_S)
            self._clock.check()

    async def _take_messages(self) -> None:
        async for message in self._link.messages():
            if self._incoming is not None and not (self._commands and is_command(message)):
                await self._incoming.accept(message)
            elif self._commands:
                self._commands.take(message, self._messages.base_name)
            else:
                log.warning("message %s ignored: this service takes no commands", message.id)

    async def _serve_http(self, settings: HttpSettings) -> None:
        server = None
        if settings.port is not None:
            from .health import HealthServer  # noqa: PLC0415 - most containers serve none

            server = HealthServer(
                self._link,
                self._outbox,
                self._bridge,
                self._clock,
                self.refusals,
                commands=self._commands,
                incoming=self._incoming,
            )
            try:
                port = await server.start(settings.host, settings.port)
            except OSError as error:
                problem = SettingsError("http.port", settings.port, error.strerror or str(error), "Use a free port.")
                if self._http is None:
                    raise problem from None
                self._refuse(problem)
                return
            log.info("health and metrics at http://%s:%d", settings.host, port)
        if self._http is not None:
            await self._http.close()
        self._http = server

    def _in_background(self, work: Any) -> None:
        async def contained() -> None:
            try:
                await work
            except IoFogError as error:
                log.debug("not done: %s", error)

        task = asyncio.get_running_loop().create_task(contained())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _or_stop(self, work: Any) -> Any:
        """The result of this work, or None when asked to stop first."""
        task = asyncio.ensure_future(work)
        stop = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            await _cancel([task, stop])


async def _within(seconds: float, work: Awaitable[None]) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(work, seconds)


async def _first_failure(tasks: list[asyncio.Task[None]]) -> None:
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


async def _cancel(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
