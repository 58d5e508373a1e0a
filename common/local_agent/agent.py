"""The agent as a whole."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from .bus import MessageBus
from .config import AgentConfig, ConfigError, Microservice, Route
from .faults import Faults
from .local_api import LocalApi
from .server import Connection
from .sessions import ControlSockets, MessageSockets

log = logging.getLogger("local_agent")

_TICK_S = 10.0


class LocalAgent:
    """An ioFog agent for one machine. Use it as an asynchronous context manager.

    Parameters:
        config: what it starts with; can be changed while it runs.
        now: monotonic seconds, for the rules about sending again.

    Raises ConfigError for a configuration that contradicts itself, OSError when it cannot listen.
    """

    def __init__(self, config: AgentConfig, *, now: Callable[[], float] = time.monotonic) -> None:
        config.check()
        self.config = config
        self.now = now
        self.faults = Faults()
        self.bus = MessageBus()
        self.message_sockets = MessageSockets(self.bus, now, self.faults)
        self.control_sockets = ControlSockets(now)
        self.config_listeners: list[Callable[[str], None]] = []
        """Called with the id of a microservice whose configuration has changed."""
        self.port = config.listen.port
        self._api = LocalApi(self)
        self._ticking: asyncio.Task[None] | None = None
        self._configs = _config_texts(config)
        self.bus.set_routes(config.route_table())

    async def __aenter__(self) -> LocalAgent:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def counters(self) -> Counter[str]:
        """Messages published, delivered, queued and dropped so far."""
        return self.bus.counters

    async def start(self) -> None:
        """Listens."""
        self.port = await self._api.start(self.config.listen.host, self.port)
        self._ticking = asyncio.get_running_loop().create_task(self._tick_for_ever())

    async def close(self) -> None:
        """Stops listening and drops every connection."""
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        await self._api.close()

    @property
    def connections(self) -> list[Connection]:
        """TCP connections that are open."""
        return self._api.connections

    def drop_connections(self, name: str | None = None) -> None:
        """Aborts TCP connections without a close frame: all, or the sockets of one microservice."""
        self._api.drop_connections(None if name is None else self.id_of(name))

    def id_of(self, name: str) -> str:
        """The UUID of a microservice. Raises ConfigError for an unknown name."""
        return self.config.id_of(name)

    def set_config(self, name: str, config: dict[str, Any] | str | None) -> None:
        """Gives a microservice another configuration; it is told when the text is new or differs."""
        identity = self.id_of(name)
        entry = next(n for n in self.config.microservices if self.id_of(n) == identity)
        changed = Microservice(self.config.microservices[entry].id, config)
        self.apply(msgspec.structs.replace(self.config, microservices={**self.config.microservices, entry: changed}))

    def set_routes(self, routes: Iterable[Route]) -> None:
        """Replaces all routes."""
        self.apply(msgspec.structs.replace(self.config, routes=list(routes)))

    def apply(self, config: AgentConfig) -> None:
        """Replaces everything but the listening address. Raises ConfigError and keeps the old state."""
        config.check()
        before, self.config = self.config, config
        self.bus.set_routes(config.route_table())
        old_texts, self._configs = self._configs, _config_texts(config)
        for identity, text in self._configs.items():
            if text is not None and old_texts.get(identity) != text:
                self.control_sockets.config_changed(identity)
                for listener in self.config_listeners:
                    listener(identity)
        if before.edge_resources != config.edge_resources:
            self.control_sockets.edge_resources_changed()
        if before.listen != config.listen:
            log.warning("listen has changed: takes effect at the next start")

    def tick(self, now: float) -> None:
        """Sends again what waits too long for its ACK; happens every 10 s by itself."""
        self.message_sockets.tick(now)
        self.control_sockets.tick(now)

    def config_text(self, microservice_id: str) -> str | None:
        """The configuration of a microservice as text; None when it has none."""
        return self._configs.get(microservice_id)

    def edge_resources(self) -> list[Any]:
        """The node's edge resources."""
        return self.config.edge_resources

    @property
    def carries_messages(self) -> bool:
        """Whether it has routes for messages: those of 3.7 have none."""
        return self.config.messages

    def knows(self, microservice_id: str) -> bool:
        """Whether there is such a microservice."""
        try:
            self.config.id_of(microservice_id)
        except ConfigError:
            return False
        return True

    async def _tick_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            self.tick(self.now())


def _config_texts(config: AgentConfig) -> dict[str, str | None]:
    return {config.id_of(name): service.config_text() for name, service in config.microservices.items()}
