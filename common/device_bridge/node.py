"""How it stands with the node, for services whose device must not be left alone."""

from __future__ import annotations

import time


class NodeState:
    """What a service can know of the node; its own attribute `node`."""

    def __init__(self) -> None:
        self._lost_at: float | None = None
        self.settings_refused = ""
        """Why the settings last given by the node could not be used; "" while those in use are the node's."""

    def link_is(self, connected: bool) -> None:
        """Takes note of the link."""
        if connected:
            self._lost_at = None
        elif self._lost_at is None:
            self._lost_at = time.monotonic()

    @property
    def link_lost_s(self) -> float:
        """For how long the node has not been reached, 0 while it is."""
        return 0.0 if self._lost_at is None else time.monotonic() - self._lost_at
