"""How it stands with the node, for services whose device must not be left alone."""

from __future__ import annotations

import time
from collections.abc import Callable


class NodeState:
    """What a service can know of the node; its own attribute `node`."""

    def __init__(self) -> None:
        self.is_reached: Callable[[], bool] = lambda: True
        """Whether the node is connected now."""
        self._lost_at: float | None = None
        self.settings_refused = ""
        """Why the settings last given by the node could not be used; "" while those in use are the node's."""

    @property
    def link_lost_s(self) -> float:
        """For how long the node has not been reached, 0 while it is; to be asked now and then."""
        if self.is_reached():
            self._lost_at = None
            return 0.0
        now = time.monotonic()
        if self._lost_at is None:
            self._lost_at = now
        return now - self._lost_at
