"""Where a microservice's configuration comes from, and the signals that it has changed; apart from its messages."""

from __future__ import annotations

import abc
import asyncio
import logging
from collections.abc import Callable
from typing import Any

from .errors import IoFogError, LinkError
from .local_api import LocalApiClient
from .reconnect import ReconnectingSocket

log = logging.getLogger("iofog_sdk")

_AGAIN_S = 1.0


class Control(abc.ABC):
    """Fetches the configuration after every connect of the control socket, and after every signal.

    A signal that comes while the socket is down is lost, on every generation.
    """

    description = ""
    microservice_id = ""

    def __init__(self) -> None:
        self.on_config: Callable[[str | None], None] | None = None
        self._refresh: asyncio.Task[None] | None = None
        self._refresh_again = False

    @property
    @abc.abstractmethod
    def socket(self) -> ReconnectingSocket:
        """That brings the signals."""

    @abc.abstractmethod
    async def get_config(self) -> str | None:
        """The configuration text, None when the node has none. Raises IoFogError."""

    async def log(self, message: str, *, warning: bool = False) -> None:
        """Writes a line into the node's own log, where there is one."""
        log.log(logging.WARNING if warning else logging.INFO, "%s", message)

    async def start(self) -> None:
        """Begins connecting in the background."""
        self.socket.start()

    async def close(self) -> None:
        """Ends the socket and whatever is being fetched."""
        if self._refresh is not None:
            self._refresh.cancel()
        await self.socket.close()

    def refresh(self) -> None:
        """Fetches the configuration, once more if it is being fetched already."""
        if self._refresh is not None and not self._refresh.done():
            self._refresh_again = True
        elif self.on_config is not None:
            self._refresh = asyncio.get_running_loop().create_task(self._fetch())

    async def _fetch(self) -> None:
        while True:
            self._refresh_again = False
            try:
                config = await self.get_config()
            except LinkError as error:  # the socket will notice too, and come back
                log.warning("configuration not fetched: %s", error)
                if self.socket.connected:
                    await asyncio.sleep(_AGAIN_S)
                    continue
                return
            except IoFogError as error:
                log.warning("configuration not fetched: %s", error)
                return
            if self.on_config is not None and not self._refresh_again:
                self.on_config(config)
            if not self._refresh_again:
                return


class LocalApiControl(Control):
    """Of a Java agent, whether it carries messages or not.

    Parameters:
        client: for which microservice, and where its agent listens.
        socket_options: passed on to the control socket.
    """

    def __init__(self, client: LocalApiClient, **socket_options: Any) -> None:
        super().__init__()
        self.client = client
        self.microservice_id = client.microservice_id
        self.description = f"ioFog agent at {client.host}:{client.port}, Local API v2"
        self._socket = client.control_socket(self.refresh, **socket_options)

    @property
    def socket(self) -> ReconnectingSocket:
        return self._socket

    async def get_config(self) -> str | None:
        return await self.client.get_config()

    async def log(self, message: str, *, warning: bool = False) -> None:
        await self.client.log(message, warning=warning)

    async def close(self) -> None:
        await super().close()
        await self.client.close()
