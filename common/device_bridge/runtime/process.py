"""A service as a process: its link, its settings, its pipeline, its pages, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from iofog_sdk import IoFogError, Link

from ..control.heartbeat import Heartbeat
from ..errors import SettingsError
from ..service import DeviceService
from ..service_settings import HttpSettings, ServiceSettings
from ..settings.sources import SettingsSources
from ..telemetry import logs
from .endings import cancel, finish
from .hosting import Bridges
from .loop_watchdog import LoopWatchdog
from .pipeline import Pipeline
from .settings_follower import SettingsFollower

if TYPE_CHECKING:
    from .health import HealthServer

log = logging.getLogger("device_bridge")

_SUMMARIES_S = 10.0
MAX_REPORTS = 16
"""On their way to the node's log at once."""
_LAST_REPORT_S = 2.0
"""For telling the node why the service ends."""


class Runtime:
    """One service and its link.

    Parameters:
        service_type: what to run.
        sources: where its settings come from.
        link: where its readings go.
        watchdog: of the loop that this runs on; by default none.
        make_bridges: makes what runs other services in this process, for a service that `hosts_bridges`.
    """

    def __init__(
        self,
        service_type: type[DeviceService[Any]],
        sources: SettingsSources,
        link: Link,
        watchdog: LoopWatchdog | None = None,
        make_bridges: Callable[[Pipeline], Bridges] | None = None,
    ) -> None:
        service_type.check_contract()
        self._service_type, self._link, self._make_bridges = service_type, link, make_bridges
        self._follower = SettingsFollower(service_type, sources, self._report)
        self._stop = asyncio.Event()
        self._http: HealthServer | None = None
        self._wanted_http = self._served_http = HttpSettings()
        self._http_changed = asyncio.Event()
        self._background: set[asyncio.Task[None]] = set()
        self._watchdog = watchdog
        self._summaries = Heartbeat(logs.report_repeated, _SUMMARIES_S)
        link.on_config = self._follower.take_config

    def stop(self) -> None:
        """Asks `run` to end in order."""
        self._stop.set()

    def reload(self) -> None:
        """Reads the settings file again and applies what has changed."""
        self._follower.reread_file()

    async def run(self) -> None:
        """Runs until `stop`. Raises SettingsError when it cannot start with the settings it finds."""
        if self._watchdog is not None:
            self._watchdog.start()
        self._summaries.start()
        try:
            await self._link.start()
            settings = await self._or_stop(self._follower.first(self._link.description))
            if settings is not None:
                await self._run_with(settings)
        except SettingsError as error:
            with contextlib.suppress(IoFogError, TimeoutError):
                async with asyncio.timeout(_LAST_REPORT_S):
                    await self._link.log(f"settings refused, the service ends: {error}", warning=True)
            raise
        finally:
            await finish(self._close())
            if self._watchdog is not None:
                self._watchdog.stop()
            self._summaries.stop()

    async def _close(self) -> None:
        await cancel(self._background)
        await self._link.close()
        if self._http is not None:
            await self._http.close()

    async def _run_with(self, settings: ServiceSettings) -> None:
        pipeline = Pipeline(self._service_type, settings, self._follower, self._link, make_bridges=self._make_bridges)
        self._follower.on_settings = pipeline.apply
        self._follower.on_adopted = self._adopt
        self._adopt(settings)
        await pipeline.open()
        try:
            if (problem := await self._serve_http(pipeline)) is not None:
                raise problem
            log.info("%s: started, readings go to %s", pipeline.name, self._link.description)
            await self._or_stop(self._work(pipeline))
        finally:
            await pipeline.close()

    def _adopt(self, settings: ServiceSettings) -> None:
        """What this part has to do with settings that are in force from now on."""
        logs.set_level(settings.log_level)
        self._wanted_http = settings.http
        self._http_changed.set()

    async def _work(self, pipeline: Pipeline) -> None:
        loop = asyncio.get_running_loop()
        running = loop.create_task(pipeline.run())
        others = [loop.create_task(self._take_messages(pipeline)), loop.create_task(self._follow_http(pipeline))]
        try:
            done, _ = await asyncio.wait([running, *others], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await finish(self._end_work(running, others))

    async def _end_work(self, running: asyncio.Task[None], others: list[asyncio.Task[None]]) -> None:
        await cancel([running])  # commands that come meanwhile are answered
        await cancel(others)

    async def _take_messages(self, pipeline: Pipeline) -> None:
        async for message in self._link.messages():
            await pipeline.take(message)

    async def _follow_http(self, pipeline: Pipeline) -> None:
        while True:
            await self._http_changed.wait()
            self._http_changed.clear()
            if (problem := await self._serve_http(pipeline)) is not None:
                self._follower.refuse("http", problem)
            else:
                self._follower.status.clear("http")

    async def _serve_http(self, pipeline: Pipeline) -> SettingsError | None:
        """Serves the pages where the settings say; if that fails it goes on as before and returns the reason."""
        wanted, before = self._wanted_http, self._http
        server = None
        if wanted == self._served_http:
            return None
        if wanted.port is not None:
            from .health import HealthServer  # noqa: PLC0415 - most containers serve none

            server = HealthServer(self._link, pipeline, self._watchdog)
            try:
                if before is not None and before.port == wanted.port:
                    await before.close()  # the port is ours
                await server.start(wanted.host, wanted.port)
            except (OSError, ValueError) as error:  # a host that cannot be a name is a ValueError
                if before is not None and before.port == wanted.port:
                    with contextlib.suppress(OSError):
                        await before.start(before.host, before.port)
                if isinstance(error, ValueError):
                    return SettingsError("http.host", wanted.host, "is no host", "Write a name or an address.")
                return SettingsError("http.port", wanted.port, error.strerror or str(error), "Use a free port.")
            log.info("health and metrics at http://%s:%d", server.host, server.port)
        if before is not None:
            await before.close()
        self._http, self._served_http = server, wanted
        return None

    def _report(self, text: str) -> None:
        if len(self._background) >= MAX_REPORTS:
            return  # the node takes none; `/readyz` says the same
        self._in_background(self._link.log(text, warning=True))

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        async def contained() -> None:
            try:
                await work
            except IoFogError as error:
                log.debug("not done: %s", error)

        task = asyncio.get_running_loop().create_task(contained())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _or_stop(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The result of this work, or None when asked to stop first."""
        task = asyncio.ensure_future(work)
        stop = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                stop.result()
                return None
            return task.result()
        finally:
            await finish(cancel((task, stop)))
