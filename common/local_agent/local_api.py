"""Local API v2 over HTTP: requests go to the REST half or become a socket, with the Java agent's manners."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from aiohttp import WSMsgType, web

from .rest import JSON_TYPE, NoReply, RestApi
from .server import MAX_BODY_BYTES, Connection, NodeServer, close_without_reply, never
from .sessions import Session, Sockets

if TYPE_CHECKING:
    from .agent import LocalAgent

log = logging.getLogger("local_agent")

_FOREVER_S = 1e9
_MESSAGE_PATH = "/v2/message/socket"
_CONTROL_PATH = "/v2/control/socket"
_ENDS = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)


class LocalApi(NodeServer):
    """Serves the microservices of an agent.

    Parameters:
        agent: whose they are.
    """

    def __init__(self, agent: LocalAgent) -> None:
        super().__init__(self._respond, idle_timeout_s=_FOREVER_S, joins_fragments=False)
        self._agent = agent
        self._rest = RestApi(agent)

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        faults = self._agent.faults
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
        if target.startswith(_MESSAGE_PATH) and self._agent.carries_messages:
            return await self._socket(request, self._agent.message_sockets, _token(target.partition("?")[0]))
        if target.startswith(_CONTROL_PATH):
            return await self._socket(request, self._agent.control_sockets, _token(target))
        try:
            reply = self._rest.handle(request.method, target, request.headers.get("Content-Type"), body)
        except NoReply:
            return await close_without_reply(request)
        # A lone surrogate, which JSON can spell and UTF-8 cannot, leaves as "?": so does Java's encoder.
        response = web.Response(status=reply.status, body=reply.body.encode("utf-8", "replace"))
        if reply.json_header:
            response.headers["Content-Type"] = JSON_TYPE
        if reply.status != 200:
            response.force_close()
        return response

    async def _socket(self, request: web.Request, sockets: Sockets, identity: str) -> web.StreamResponse:
        if not identity or request.headers.get("Upgrade", "").lower() != "websocket":
            return await never()
        session = Session(identity, self._agent.counters)
        if request.headers.get("Sec-WebSocket-Version") != "13":
            sockets.register(session)  # as it is: the id now counts as connected
            return web.Response(status=426, headers={"Sec-WebSocket-Version": "13"})
        socket = web.WebSocketResponse(
            autoclose=False, autoping=False, compress=False, decode_text=False, max_msg_size=MAX_BODY_BYTES, timeout=0
        )
        await socket.prepare(request)
        if isinstance(request.protocol, Connection):
            request.protocol.microservice_id = identity
        async with session.writing_to(socket):
            sockets.register(
                session
            )  # the reply is out by now: a signal in between is missed, as with the Java agent
            while (message := await socket.receive()).type not in _ENDS:
                if not self._agent.faults.hang:
                    sockets.on_frame(session, message.type, message.data)
        if message.type is WSMsgType.CLOSE:
            sockets.remove(session)
        # Not returned: aiohttp would send a close frame of its own, which the Java agent does not.
        return await close_without_reply(request)


def _token(target: str) -> str:
    """The fifth token of a path, which is the microservice's id; the fourth is not looked at."""
    tokens = target.split("/")
    return tokens[5] if len(tokens) > 5 else ""
