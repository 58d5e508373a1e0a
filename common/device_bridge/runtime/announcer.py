"""Says from time to time, and when it changes, what a service is: for pages and others that show a whole node."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import msgspec

from iofog_sdk import Link, __version__
from iofog_sdk.links import read_identity

from ..messages.announcement import ANNOUNCEMENT_TYPE, Announcement
from ..reading import Forwarded
from ..settings.status import SettingsStatus
from ..supervision.supervisor import Supervisor

_LOOK_S = 0.5


class Announcer:
    """Announces one service.

    Parameters:
        service: its name.
        supervisor: knows its device and its commands.
        settings: which were refused.
        put: takes messages.
        link: to the node; nothing is announced while it is away.
        bridge: its name among several of this microservice, "" where it is the only one.
    """

    def __init__(
        self,
        service: str,
        supervisor: Supervisor,
        settings: SettingsStatus,
        put: Callable[[Forwarded], None],
        link: Link,
        *,
        bridge: str = "",
    ) -> None:
        self._service, self._bridge, self._supervisor, self._settings = service, bridge, supervisor, settings
        self._put, self._link = put, link
        self._microservice = read_identity(os.environ).microservice
        self.source, self._interval_s = "", 0.0
        self._is_wanted = asyncio.Event()

    def configure(self, source: str, interval_s: float) -> None:
        """Sets the name of the device in messages, and the seconds between announcements: 0 for none."""
        self.source, self._interval_s = source, interval_s
        if interval_s:
            self._is_wanted.set()
        else:
            self._is_wanted.clear()

    async def run(self) -> None:
        """Announces until cancelled."""
        loop = asyncio.get_running_loop()
        last, due_at = None, 0.0
        while True:
            await self._is_wanted.wait()
            if self._link.connected:
                current = self.announcement()
                if current != last or loop.time() >= due_at:
                    last, due_at = current, loop.time() + self._interval_s
                    content = msgspec.json.encode(current)
                    self._put(Forwarded(content=content, infotype=ANNOUNCEMENT_TYPE, infoformat="utf-8"))
            await asyncio.sleep(_LOOK_S)

    def announcement(self) -> Announcement:
        """What there is to say now."""
        supervisor = self._supervisor
        failure = supervisor.failure
        return Announcement(
            service=self._service,
            version=__version__,
            microservice=self._microservice,
            bridge=self._bridge,
            source=self.source,
            state="failed" if failure else supervisor.state.value,
            reason=failure,
            refused=self._settings.refused,
            interval=self._interval_s,
            commands=supervisor.commands,
        )
