"""Configuration and signals of a Java agent."""

from __future__ import annotations

from typing import Any

from ..http.reconnecting_websocket import ReconnectingSocket
from ..links.control import Control
from .local_api import LocalApiClient


class LocalApiControl(Control):
    """The configuration routes and the control socket of Local API v2; every Java agent has them, also 3.7.

    Parameters:
        client: microservice and agent.
        socket_options: passed to the control socket.
    """

    def __init__(self, client: LocalApiClient, **socket_options: Any) -> None:
        super().__init__()
        self.client = client
        self.microservice_id = client.microservice_id
        self.description = client.description
        self._socket = client.control_socket(
            self.refresh, on_edge_resources_changed=self._on_edge_resources_changed, **socket_options
        )

    @property
    def socket(self) -> ReconnectingSocket:
        return self._socket

    async def get_config(self) -> str | None:
        return await self.client.get_config()

    async def set_position(self, lat: float, lon: float) -> None:
        await self.client.set_position(lat, lon)

    async def log(self, message: str, *, warning: bool = False) -> None:
        await self.client.log(message, warning=warning)

    async def close(self) -> None:
        await super().close()
        await self.client.close()

    def _on_edge_resources_changed(self) -> None:
        if self.on_edge_resources is not None:
            self.on_edge_resources()
