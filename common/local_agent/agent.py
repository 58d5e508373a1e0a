"""The agent: Local API v2 as the Java agent serves it. A request is for REST or becomes a socket."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from .bus import MessageBus
from .config import AgentConfig, Route
from .faults import Faults
from .rest import NoReply, RestApi
from .server import MAX_BODY_BYTES, NodeServer, close_without_reply, never, open_socket
from .sessions import ControlSockets, MessageSockets, Session, Sockets

log = logging.getLogger("local_agent")

_TICK_S = 10.0
_MESSAGE_PATH = "/v2/message/socket"
_CONTROL_PATH = "/v2/control/socket"
_ENDS = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)


class LocalAgent(NodeServer):
    """An ioFog agent for one machine. Use it as an asynchronous context manager.

    Parameters:
        config: what it starts with; can be changed while it runs.
        now: monotonic clock, in seconds, for resending.

    Raises ConfigError for a configuration that contradicts itself, OSError when it cannot listen.
    """

    def __init__(self, config: AgentConfig, *, now: Callable[[], float] = time.monotonic) -> None:
        config.check()
        super().__init__(config.listen.host, config.listen.port)
        self.config = config
        self.now = now
        self.faults = Faults()
        self.bus = MessageBus()
        self.message_sockets = MessageSockets(self.bus, now, self.faults)
        self.control_sockets = ControlSockets(now)
        self.config_listeners: list[Callable[[str], None]] = []
        """Called with the id of a microservice whose configuration has changed."""
        self._rest = RestApi(self.bus, config)
        self.bus.set_routes(config.route_table())

    @property
    def counters(self) -> Counter[str]:
        """Messages published, delivered, queued and dropped so far."""
        return self.bus.counters

    @property
    def position(self) -> dict[str, str]:
        """Where microservices have said that the node is: `lat` and `lon`, text as it was given."""
        return self._rest.position

    @position.setter
    def position(self, position: dict[str, str]) -> None:
        self._rest.position = position

    def id_of(self, name: str) -> str:
        return self.config.id_of(name)

    def set_config(self, name: str, config: dict[str, Any] | str | None) -> None:
        """Gives a microservice another configuration; it is signalled when the text is new or differs."""
        identity = self.id_of(name)
        entry = next(n for n in self.config.microservices if self.id_of(n) == identity)
        changed = msgspec.structs.replace(self.config.microservices[entry], config=config)
        self.apply(msgspec.structs.replace(self.config, microservices={**self.config.microservices, entry: changed}))

    def set_routes(self, routes: Iterable[Route]) -> None:
        """Replaces all routes."""
        self.apply(msgspec.structs.replace(self.config, routes=list(routes)))

    def apply(self, config: AgentConfig) -> None:
        """Replaces everything but the listening address. Raises ConfigError and keeps the old state."""
        config.check()
        before, self.config = self.config, config
        self.bus.set_routes(config.route_table())
        self._rest.apply(config)
        old_texts = before.config_texts()
        for identity, text in config.config_texts().items():
            if text is not None and old_texts.get(identity) != text and not self.faults.drop_signals:
                self.control_sockets.config_changed(identity)
                for listener in self.config_listeners:
                    listener(identity)
        if before.edge_resources != config.edge_resources:
            self.control_sockets.edge_resources_changed()
        if before.listen != config.listen:
            log.warning("listen has changed: takes effect at the next start")

    def tick(self, now: float) -> None:
        """Resends what waits too long for its ACK; runs every 10 s by itself."""
        self.message_sockets.tick(now)
        self.control_sockets.tick(now)

    async def close(self) -> None:
        """Stops as an agent's process does: sessions end with it, and later messages wait for who connects again."""
        await super().close()
        for sockets in (self.message_sockets, self.control_sockets):
            for session in list(sockets.sessions.values()):
                sockets.remove(session)

    async def run_in_background(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            self.tick(self.now())

    async def respond(self, request: web.Request) -> web.StreamResponse:
        faults = self.faults
        if faults.hang:
            return await never()
        target = request.raw_path
        try:
            body = await request.read()
        except (web.HTTPException, web.RequestPayloadError) as error:
            log.warning("request closed: its body is larger than %d bytes, or broken: %s", MAX_BODY_BYTES, error)
            return await close_without_reply(request)
        if faults.delay_s:
            await asyncio.sleep(faults.delay_s)
        if faults.close_without_reply:
            return await close_without_reply(request)
        if target.startswith(_MESSAGE_PATH) and self.config.messages:
            return await self._serve_socket(request, self.message_sockets, _token(target.partition("?")[0]))
        if target.startswith(_CONTROL_PATH):
            return await self._serve_socket(request, self.control_sockets, _token(target))
        try:
            return self._rest.handle(request.method, target, request.headers.get("Content-Type"), body)
        except NoReply:
            return await close_without_reply(request)

    async def _serve_socket(self, request: web.Request, sockets: Sockets, identity: str) -> web.StreamResponse:
        if not identity or request.headers.get("Upgrade", "").lower() != "websocket":
            return await never()
        session = Session(identity, self.counters)
        if request.headers.get("Sec-WebSocket-Version") != "13":
            sockets.register(session)  # like the Java agent: the id now counts as connected
            return web.Response(status=426, headers={"Sec-WebSocket-Version": "13"})
        socket = web.WebSocketResponse(
            autoclose=False, autoping=False, compress=False, decode_text=False, max_msg_size=MAX_BODY_BYTES, timeout=0
        )
        await open_socket(socket, request, identity)
        async with session.writing_to(socket):
            sockets.register(session)  # the reply is out: a signal in between is missed, as with the Java agent
            while (message := await socket.receive()).type not in _ENDS:
                if not self.faults.hang:
                    sockets.on_frame(session, message.type, message.data)
        if message.type is WSMsgType.CLOSE:
            sockets.remove(session)
        # Not returned: aiohttp would send a close frame of its own, which the Java agent does not.
        return await close_without_reply(request)


def _token(target: str) -> str:
    """The fifth token of a path, which is the microservice's id; the fourth is ignored."""
    tokens = target.split("/")
    return tokens[5] if len(tokens) > 5 else ""
