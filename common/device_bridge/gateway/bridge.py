"""One service among several of a process: from its settings to its pipeline, as if it had the process for itself."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from iofog_sdk import Backoff
from iofog_sdk.links import run_always

from ..errors import SettingsError
from ..outbox.share import AnyOutbox
from ..reading import Reading
from ..runtime.hosting import Hosted, Put
from ..runtime.pipeline import Pipeline
from ..runtime.settings_follower import SettingsFollower
from ..runtime.uplink import Uplink
from ..settings.sources import SettingsSources
from ..settings.status import SettingsStatus
from ..telemetry.logs import BRIDGE
from .entries import Entry, path_of, read_entry
from .gateway_settings import GatewaySettings
from .intake import RateLimit

log = logging.getLogger("device_bridge")

_SETTLED_S = 60.0
"""A run that has lasted for so long begins the waits again."""
DISABLED, REFUSED, STARTING, BROKEN = "disabled", "refused", "starting", "failed"


class Bridge:
    """A service from when it is named in the settings until it is no more.

    Parameters:
        name: in the settings.
        uplink: that it shares with the others.
        report: sends the node a warning.
        hear: gets its readings.
        on_adopted: called when its settings come into force, and each time its device has been opened.
        on_ended: called when its service does not run any more.
    """

    def __init__(
        self,
        name: str,
        uplink: Uplink,
        report: Callable[[str], None],
        hear: Callable[[str, Sequence[Reading]], None],
        on_adopted: Callable[[str], None],
        *,
        on_ended: Callable[[str], None],
    ) -> None:
        self.name = name
        self._uplink, self._report = uplink, report
        self._hear, self._on_adopted = partial(hear, name), on_adopted
        self._on_ended = on_ended
        self._status = SettingsStatus()
        self._context = contextvars.copy_context()
        self._context.run(BRIDGE.set, name)
        self._entry: Entry | None = None
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_stopping = False
        self._idle = STARTING
        self._problem = ""
        self._follower: SettingsFollower | None = None
        self.pipeline: Pipeline | None = None
        """While it runs."""
        self._limit: RateLimit | None = None

    def configure(self, gateway: GatewaySettings) -> None:
        """Goes over to what the settings say now; another service, or none, ends the one that runs."""
        self._context.run(self._configure, gateway)

    def _configure(self, gateway: GatewaySettings) -> None:
        try:
            entry = read_entry(self.name, gateway)
        except SettingsError as error:
            if self._status.refuse("entry", str(error)):
                log.error("settings refused: %s", error)
                self._report(f"settings refused: {error}")
            self._changed.set()
            return
        self._status.clear("entry")
        before, self._entry = self._entry, entry
        if entry == before:
            return
        if self._limit is not None:
            self._limit.rate = entry.bridge.max_rate
        if self._follower is not None and before is not None and _is_same_service(before, entry):
            self._follower.take_config(entry.config)
        else:
            self._changed.set()

    def start(self, after: asyncio.Task[None] | None) -> None:
        """Begins, once another one of its name has ended."""
        loop = asyncio.get_running_loop()
        name = f"bridge {self.name}"
        work = run_always(name, partial(self._run, after))
        self._task = loop.create_task(work, name=name, context=self._context)

    def stop(self) -> asyncio.Task[None]:
        """Begins to end it in order; the task is done when it has."""
        assert self._task is not None  # noqa: S101 - it was started
        self._is_stopping = True
        self._task.cancel()
        return self._task

    @property
    def refused(self) -> str:
        """Why its settings are not in use; "" while they are."""
        return self._status.refused or (self._follower.status.refused if self._follower else "")

    @property
    def service(self) -> str:
        """The name of the service; "" while that is not known."""
        return self._entry.bridge.service if self._entry else ""

    @property
    def state(self) -> str:
        """Of its device; or why there is none."""
        return self.pipeline.supervisor.state.value if self.pipeline else self._idle

    @property
    def is_up(self) -> bool:
        """Whether its device can be read, or need not be."""
        return self._idle == DISABLED if self.pipeline is None else self.pipeline.is_up

    def readiness(self) -> Mapping[str, Any]:
        """For `/readyz`."""
        if self.pipeline is None:
            return {
                "service": self.service,
                "ready": self.is_up,
                "device": {"state": self._idle, "reason": self._problem or self.refused},
                "settings": {"refused": self.refused},
            }
        state = self.pipeline.readiness()
        state["settings"]["refused"] = self.refused
        failing = (member for member in self.pipeline.supervisor.members if member.is_failing)
        if not state["device"]["reason"] and (member := next(failing, None)) is not None:
            state["device"]["reason"] = f"{member.label}: {member.reason}"
        return {
            "service": self.service,
            "ready": self.is_up,
            "device": state["device"],
            "settings": state["settings"],
        }

    async def _run(self, after: asyncio.Task[None] | None) -> None:
        if after is not None:
            await asyncio.wait((after,))
        backoff, loop = Backoff(0.5, 30.0), asyncio.get_running_loop()
        while True:
            begun_at = loop.time()
            self._changed.clear()
            self._problem = ""
            try:
                wait_s = await self._run_entry(self._entry)
            except SettingsError as error:
                self._refuse(error)
                wait_s = None
            except Exception as error:
                log.exception("unexpected error; starting again")
                self._idle, self._problem = BROKEN, f"{type(error).__name__}: {error}"
                if loop.time() - begun_at > _SETTLED_S:
                    backoff.reset()
                wait_s = backoff.next_s()
            finally:
                self.pipeline = self._follower = self._limit = None
                self._on_ended(self.name)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()

    def _refuse(self, error: SettingsError) -> None:
        error = error.within(f"{path_of(self.name)}.settings")
        self._idle, self._problem = REFUSED, str(error)
        if self._status.refuse("settings", str(error)):
            log.error("settings refused: %s", error)
            self._report(f"settings refused: {error}")

    async def _run_entry(self, entry: Entry | None) -> float | None:
        """Runs a service until other settings end it; returns for how long to wait then, None for other settings."""
        if entry is None:
            self._idle = REFUSED
            return None
        if not entry.bridge.enabled:
            self._idle = DISABLED
            log.info("disabled")
            return None
        self._idle = STARTING
        sources = SettingsSources(entry.service_type.settings_type, file=None, environment={}, config_name="")
        follower = SettingsFollower(entry.service_type, sources, self._report, f"{path_of(self.name)}.settings")
        follower.take_config(entry.config)
        settings = await follower.first("")
        hosted = Hosted(self.name, self._uplink, self._make_intake)
        pipeline = Pipeline(entry.service_type, settings, follower, self._uplink.link, hosted=hosted)
        follower.on_settings = pipeline.apply
        follower.on_adopted = lambda _: self._on_adopted(self.name)
        await pipeline.open()
        self.pipeline, self._follower = pipeline, follower
        self._status.clear("settings")
        log.info("%s started", entry.bridge.service)
        try:
            await self._until_changed(pipeline)
        finally:
            await pipeline.close()
        return 0.0

    async def _until_changed(self, pipeline: Pipeline) -> None:
        loop = asyncio.get_running_loop()
        running, changed = loop.create_task(pipeline.run()), loop.create_task(self._changed.wait())
        try:
            await asyncio.wait((running, changed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
            if not running.done():
                running.cancel()
            while not running.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait((running,))
        if self._is_stopping:
            raise asyncio.CancelledError
        if not running.cancelled():
            running.result()

    def _make_intake(self, put: Put, outbox: AnyOutbox) -> RateLimit:
        rate = self._entry.bridge.max_rate if self._entry else 1.0
        self._limit = RateLimit(rate, put, outbox, self._hear)
        return self._limit


def _is_same_service(one: Entry, other: Entry) -> bool:
    return one.service_type is other.service_type and one.bridge.enabled == other.bridge.enabled
