"""What a service can know of its node, and the position that it reports to it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator

from iofog_sdk import IoFogError

from .settings.status import SettingsStatus
from .telemetry.metrics import Metric

log = logging.getLogger("device_bridge")


class NodePosition:
    """Reports the node's position to it, in the background; readings never wait for that.

    Parameters:
        send: sends latitude and longitude, degrees of WGS 84. Raises IoFogError.
    """

    def __init__(self, send: Callable[[float, float], Awaitable[None]]) -> None:
        self._send = send
        self._sending: asyncio.Task[None] | None = None
        self._next_at = 0.0
        self._counts = {"accepted": 0, "refused": 0}
        self._logged = ""

    def report(self, lat: float, lon: float, interval_s: float) -> None:
        """Sends this position, unless less than `interval_s` has passed since the last attempt."""
        now = asyncio.get_running_loop().time()
        if now >= self._next_at and (self._sending is None or self._sending.done()):
            self._next_at = now + interval_s
            self._sending = asyncio.get_running_loop().create_task(self._report(lat, lon))

    def close(self) -> None:
        """Cancels a report that is being sent."""
        if self._sending is not None:
            self._sending.cancel()

    def metrics(self) -> Iterator[Metric]:
        """None before the first report."""
        text = "Positions reported to the node."
        for result, count in self._counts.items() if self._sending is not None else ():
            yield Metric("bridge_node_positions_total", "counter", text, count, {"result": result})

    async def _report(self, lat: float, lon: float) -> None:
        try:
            await self._send(lat, lon)
        except IoFogError as error:
            self._counts["refused"] += 1
            if self._logged != str(error):
                self._logged = str(error)
                log.warning("the node does not accept its position: %s", error)
        else:
            self._counts["accepted"] += 1
            self._logged = ""


class NodeState:
    """What a service can know of the node; its attribute `node`.

    Parameters:
        is_connected: whether the node is connected now.
        settings: which are in force, which were refused.
        position: reports the node's position to it.
        has_time: whether its wall clock is right.
    """

    def __init__(
        self,
        is_connected: Callable[[], bool] = lambda: True,
        settings: SettingsStatus | None = None,
        position: NodePosition | None = None,
        has_time: Callable[[], bool] = lambda: True,
    ) -> None:
        self.is_connected = is_connected
        self.has_time = has_time
        self._settings = settings or SettingsStatus()
        self._lost_at: float | None = None
        self.position = position or NodePosition(_nobody)

    @property
    def settings_refused(self) -> str:
        """Why the settings given last are not in use; "" while they are."""
        return self._settings.refused

    @property
    def disconnected_s(self) -> float:
        """For how long the node has not been connected, 0 while it is; to be read at least once a second."""
        if self.is_connected():
            self._lost_at = None
            return 0.0
        now = asyncio.get_running_loop().time()
        if self._lost_at is None:
            self._lost_at = now
        return now - self._lost_at


async def _nobody(lat: float, lon: float) -> None:
    raise IoFogError("there is no node")
