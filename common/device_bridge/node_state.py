"""The state of the link to the node, for services whose outputs must not be left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .settings.status import SettingsStatus


class NodeState:
    """What a service can know of the node; its attribute `node`.

    Parameters:
        is_connected: whether the node is connected now.
        settings: which are in force, which were refused.
    """

    def __init__(
        self, is_connected: Callable[[], bool] = lambda: True, settings: SettingsStatus | None = None
    ) -> None:
        self.is_connected = is_connected
        self._settings = settings or SettingsStatus()
        self._lost_at: float | None = None

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
