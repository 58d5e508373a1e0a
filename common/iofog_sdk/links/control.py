"""Where a microservice's configuration comes from, and the signals that it has changed; apart from its messages."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Callable
from typing import Protocol

from ..errors import IoFogError, LinkError
from .always import run_always
from .backoff import Backoff

log = logging.getLogger("iofog_sdk")

_RETRY_S, _RETRY_MAX_S = 1.0, 30.0
REFETCH_S = 300.0
"""From one fetch without a signal to the next; each wait is up to a fifth shorter or longer."""
_SIGNAL_DELAY_S = 10.0
"""By which a signal may come behind the change that it is about."""
_LOGGED_REASONS = 16
"""Reasons for a failed fetch that are remembered, so that each is logged once until a fetch succeeds."""


def position_members(lat: float, lon: float) -> dict[str, str]:
    """A position as nodes take it: text, here to a tenth of a metre."""
    return {"lat": f"{lat:.6f}", "lon": f"{lon:.6f}"}


class SignalSocket(Protocol):
    """The connection that carries a node's signals, reconnecting by itself."""

    @property
    def connected(self) -> bool:
        """Whether signals can arrive now."""

    @property
    def last_error(self) -> LinkError | None:
        """Why the socket is down, or was last lost."""

    def start(self) -> None:
        """Starts connecting in the background."""

    def reconnect(self, reason: str) -> None:
        """Drops the connection, if there is one, for a new one."""

    async def close(self) -> None:
        """Closes the connection and stops reconnecting."""


class Control(abc.ABC):
    """Fetches the configuration after every connect of the control socket and every signal, and every five minutes.

    A signal sent while the socket is down is lost, on every generation of ioFog. A failed fetch is repeated with
    back-off while the socket is up: a service may have no other settings to start with. A node can also stop sending
    signals on a socket that is up: Edgelet forgets it when an older one of the same microservice dies. A change that
    came without a signal is found by the fetch in between, and the socket is then opened again.
    """

    description = ""
    microservice_id = ""

    def __init__(self) -> None:
        self.on_config: Callable[[str | None], None] | None = None
        self.on_edge_resources: Callable[[], None] | None = None
        """Called when the node's edge resources have changed; Java agents from 3.0 on have some."""
        self._fetching: asyncio.Task[None] | None = None
        self._fetch_again = asyncio.Event()
        self._refetching: asyncio.Task[None] | None = None
        self._is_signalled = False
        self._known: str | None = None
        self._is_known = False
        self._backoff = Backoff(_RETRY_S, _RETRY_MAX_S)
        self._logged: deque[str] = deque(maxlen=_LOGGED_REASONS)
        self._closed = False

    @property
    @abc.abstractmethod
    def socket(self) -> SignalSocket:
        """The socket that receives the signals."""

    @abc.abstractmethod
    async def get_config(self) -> str | None:
        """The configuration text, None when the node has none. Raises IoFogError."""

    async def set_position(self, lat: float, lon: float) -> None:
        """Reports the node's position, degrees of WGS 84. Raises IoFogError."""
        raise IoFogError(f"{self.description} keeps no position")

    async def log(self, message: str, *, warning: bool = False) -> None:
        """Writes a line into the node's own log if it has one, else into this process's."""
        log.log(logging.WARNING if warning else logging.INFO, "%s", message)

    async def start(self) -> None:
        """Starts connecting in the background."""
        self._closed = False
        self.socket.start()
        if self._refetching is None:
            self._refetching = asyncio.get_running_loop().create_task(run_always("configuration", self._refetch))

    async def close(self) -> None:
        """Closes the socket and cancels a fetch; `on_config` is not called afterwards."""
        self._closed = True  # a reply that has already arrived swallows the cancellation
        for task in (self._fetching, self._refetching):
            if task is not None:
                task.cancel()
        self._refetching = None
        await self.socket.close()

    def refresh(self) -> None:
        """Fetches the configuration as it may have changed, once more if a fetch is already running."""
        self._is_signalled = True
        self._start_fetching()

    def _start_fetching(self) -> None:
        if self._closed:
            return
        if self._fetching is not None and not self._fetching.done():
            self._fetch_again.set()
        elif self.on_config is not None:
            self._fetching = asyncio.get_running_loop().create_task(self._fetch())

    async def _fetch(self) -> None:
        self._backoff.reset()
        while True:
            self._fetch_again.clear()
            try:
                config = await self.get_config()
            except Exception as error:
                if self._closed:
                    return
                is_expected = isinstance(error, IoFogError)
                self._log_once(f"configuration not fetched: {error if is_expected else repr(error)}")
                if self.socket.connected:
                    await self._wait_for_refresh(self._backoff.next_s())
                if self._closed or not self.socket.connected:
                    return  # the socket refreshes when it is connected again
                continue
            if self._closed:
                return
            self._logged.clear()
            if self._fetch_again.is_set():
                continue
            is_new, self._known, self._is_known = self._is_known and config != self._known, config, True
            if self.on_config is not None:
                self.on_config(config)
            if is_new and not self._is_signalled:
                await self._wait_for_refresh(_SIGNAL_DELAY_S)
                if self._fetch_again.is_set():
                    continue
                log.warning("the configuration changed and no signal came; the control socket is opened again")
                self.socket.reconnect("signals are missing")
            return

    async def _refetch(self) -> None:
        while True:
            await asyncio.sleep(REFETCH_S * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, not a secret
            if self.socket.connected and (self._fetching is None or self._fetching.done()):
                self._is_signalled = False
                self._start_fetching()

    async def _wait_for_refresh(self, timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._fetch_again.wait()

    def _log_once(self, text: str) -> None:
        if text not in self._logged:
            self._logged.append(text)
            log.warning("%s", text)
