"""The control socket of Local API v2: signals that something has changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..http import frames
from ..http.reconnecting_websocket import ReconnectingSocket


class ControlSocket(ReconnectingSocket):
    """Receives the agent's signals and acknowledges each with the one byte the agent waits for.

    A signal sent while the socket is down is lost, so `on_config_changed` is also called after every connect.

    Parameters:
        host, port: where the agent listens.
        microservice_id: the UUID this container runs under.
        on_config_changed: called when the configuration may differ from the last one fetched.
        on_edge_resources_changed: the same for edge resources; the agent repeats an unacknowledged signal of this
            kind as a changed configuration.
        options: passed to ReconnectingSocket.
    """

    def __init__(
        self,
        host: str,
        port: int,
        microservice_id: str,
        *,
        on_config_changed: Callable[[], None],
        on_edge_resources_changed: Callable[[], None] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(host, port, f"/v2/control/socket/id/{microservice_id}", name="control socket", **options)
        self._on_config_changed = on_config_changed
        self._on_edge_resources_changed = on_edge_resources_changed

    def _on_up(self) -> None:
        self._on_config_changed()

    def _on_binary(self, payload: bytes) -> None:
        opcode = payload[0] if payload else None
        if opcode not in (frames.CONFIG_CHANGED, frames.EDGE_RESOURCES_CHANGED):
            return
        if self._connection is not None:
            self._connection.send_binary(frames.ACK)
        if opcode == frames.CONFIG_CHANGED:
            self._on_config_changed()
        elif self._on_edge_resources_changed is not None:
            self._on_edge_resources_changed()
