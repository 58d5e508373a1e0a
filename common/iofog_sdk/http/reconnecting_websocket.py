"""A WebSocket to the node that is reopened after every loss."""

from __future__ import annotations

import abc
import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import ConnectionLost, LinkError
from ..links.always import run_always
from ..links.backoff import Backoff
from .websocket_connection import SocketConnection

if TYPE_CHECKING:
    from .service_account import ServiceAccount

log = logging.getLogger("iofog_sdk")

_REGISTRATION_PING_S = 0.5
_CANCEL_AGAIN_S = 0.1
_STEADY_AFTER_S = 5.0
"""A shorter connection that carried nothing counts as a failed attempt, so that one that closes at once backs off."""


class ReconnectingSocket(abc.ABC):
    """Keeps one WebSocket open: connects, checks it with pings, and reconnects with jittered back-off.

    The agent answers the handshake before it registers the connection, drops connections that do not acknowledge
    without closing them, and never detects a dead TCP connection. So a connection counts as up after its first pong,
    and as lost when a later pong is missing.

    Parameters:
        host, port, path: what to connect to.
        name: of this socket in the log.
        backoff: waiting times between attempts.
        ping_interval_s: seconds between pings.
        answer_timeout_s: seconds to wait for the handshake and for each pong.
        account: token and TLS, for Edgelet.
        remedies: hints to add to the error, by status of a refused handshake.
    """

    def __init__(
        self,
        host: str,
        port: int,
        path: str,
        *,
        name: str,
        backoff: Backoff | None = None,
        ping_interval_s: float = 15.0,
        answer_timeout_s: float = 10.0,
        account: ServiceAccount | None = None,
        remedies: Mapping[int, str] | None = None,
    ) -> None:
        self._account, self._remedies = account, remedies
        self._host, self._port, self._path = host, port, path
        self._name = name
        self._backoff = backoff or Backoff()
        self._ping_interval_s = ping_interval_s
        self._answer_timeout_s = answer_timeout_s
        self._connection: SocketConnection | None = None
        self._up = asyncio.Event()
        self._carried_data = False
        self._task: asyncio.Task[None] | None = None
        self.last_error: LinkError | None = None
        """Why the socket is not up, or was last lost."""

    @property
    def connected(self) -> bool:
        """Whether the node has answered a ping on the current connection."""
        return self._up.is_set()

    async def wait_connected(self) -> None:
        """Waits until the socket is up."""
        await self._up.wait()

    def start(self) -> None:
        """Starts connecting in the background."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(run_always(self._name, self._run), name=self._name)

    def reconnect(self, reason: str) -> None:
        """Drops the connection, if there is one, for a new one."""
        if self._connection is not None:
            self._connection.abort(reason)

    async def close(self) -> None:
        """Closes the connection and stops reconnecting."""
        while self._task is not None:
            self._task.cancel()  # asyncio.wait_for of Python 3.11 swallows one that coincides with a pong or a loss
            done, _ = await asyncio.wait((self._task,), timeout=_CANCEL_AGAIN_S)
            if done:
                self._task = None

    @abc.abstractmethod
    def _on_binary(self, payload: bytes) -> None:
        """Called with the content of each binary message."""

    def _on_up(self) -> None:  # noqa: B027 - optional
        """Called when a connection is up."""

    def _on_down(self, error: LinkError) -> None:  # noqa: B027 - optional
        """Called when a connection that was open has ended."""

    async def _run(self) -> None:
        while True:
            error = await self._one_connection()
            if self.last_error is None or str(error) != str(self.last_error):
                log.warning("%s is down: %s", self._name, error)
            self.last_error = error
            wait_s = self._backoff.next_s()
            log.debug("%s: next attempt in %.1f s", self._name, wait_s)
            await asyncio.sleep(wait_s)

    async def _one_connection(self) -> LinkError:
        loop = asyncio.get_running_loop()
        connection = SocketConnection(
            self._host, self._port, self._path, self._on_binary, self._account, remedies=self._remedies
        )
        steady_at = float("inf")
        self._carried_data = False
        try:
            await connection.open(self._answer_timeout_s)
            self._connection = connection
            await self._wait_registered(connection)
            steady_at = loop.time() + _STEADY_AFTER_S
            log.info("%s is up: %s", self._name, connection.address)
            self.last_error = None
            self._up.set()
            self._on_up()
            return await self._keep_alive(connection)
        except LinkError as error:
            connection.abort(str(error))
            return error
        except Exception as error:
            unexpected = ConnectionLost(f"{self._name}: {type(error).__name__}: {error}")
            if str(unexpected) != str(self.last_error):
                log.exception("%s: unexpected error; reconnecting", self._name)
            connection.abort(str(unexpected))
            return unexpected
        finally:
            if self._carried_data or loop.time() >= steady_at:
                self._backoff.reset()
            self._up.clear()
            connection.close()
            if self._connection is connection:
                self._connection = None
                self._on_down(connection.lost.result())
            await connection.wait_closed()

    async def _wait_registered(self, connection: SocketConnection) -> None:
        """Repeats the ping: the agent ignores one that arrives before it has registered the connection."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._answer_timeout_s
        while True:
            try:
                return await connection.ping(_REGISTRATION_PING_S)
            except ConnectionLost:
                if connection.lost.done() or loop.time() >= deadline:
                    raise

    async def _keep_alive(self, connection: SocketConnection) -> LinkError:
        while True:
            done, _ = await asyncio.wait((connection.lost,), timeout=self._ping_interval_s)
            if done:
                return connection.lost.result()
            await connection.ping(self._answer_timeout_s)
