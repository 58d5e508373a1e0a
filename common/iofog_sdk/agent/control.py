"""Where a microservice's configuration comes from, and the signals that it has changed; apart from its messages."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from ..errors import IoFogError
from ..http.reconnecting_websocket import ReconnectingSocket
from ..links.backoff import Backoff
from .local_api import LocalApiClient

log = logging.getLogger("iofog_sdk")

_AGAIN_S, _AGAIN_AT_MOST_S = 1.0, 30.0
_REASONS_KNOWN = 16
"""Why the configuration was not fetched: each is said once until it has been."""


class Control(abc.ABC):
    """Fetches the configuration after every connect of the control socket, and after every signal.

    A signal that comes while the socket is down is lost, on every generation. What is not given is asked for again
    with back-off while the socket is up: a service may have no other settings to begin with.
    """

    description = ""
    microservice_id = ""

    def __init__(self) -> None:
        self.on_config: Callable[[str | None], None] | None = None
        self._refresh: asyncio.Task[None] | None = None
        self._asked = asyncio.Event()
        self._backoff = Backoff(_AGAIN_S, _AGAIN_AT_MOST_S)
        self._said: deque[str] = deque(maxlen=_REASONS_KNOWN)
        self._closed = False

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
        self._closed = False
        self.socket.start()

    async def close(self) -> None:
        """Ends the socket and whatever is being fetched; nothing is told afterwards."""
        self._closed = True  # an answer that has come already swallows a cancellation
        if self._refresh is not None:
            self._refresh.cancel()
        await self.socket.close()

    def refresh(self) -> None:
        """Fetches the configuration, once more if it is being fetched already."""
        if self._closed:
            return
        if self._refresh is not None and not self._refresh.done():
            self._asked.set()
        elif self.on_config is not None:
            self._refresh = asyncio.get_running_loop().create_task(self._fetch())

    async def _fetch(self) -> None:
        self._backoff.reset()
        while True:
            self._asked.clear()
            try:
                config = await self.get_config()
            except IoFogError as error:
                if self._closed:
                    return
                self._say(f"configuration not fetched: {error}")
                if self.socket.connected:
                    await self._asked_within(self._backoff.next_s())
                if self._closed or not self.socket.connected:
                    return  # the socket comes back, and asks
                continue
            if self._closed:
                return
            self._said.clear()
            if self._asked.is_set():
                continue
            if self.on_config is not None:
                self.on_config(config)
            return

    async def _asked_within(self, wait_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._asked.wait()

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.append(text)
            log.warning("%s", text)


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
