"""The REST part of Local API v2: the responses of the Java agent, byte for byte. No I/O."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from iofog_sdk import IoMessage, MessageError

from .bus import MessageBus
from .config import AgentConfig

log = logging.getLogger("local_agent")

JSON_TYPE = "application/json"
_MESSAGES = "/v2/message"
"""Routes and sockets that agents of 3.7 do not have."""


class Refused(Exception):  # noqa: N818
    """Ends request and connection with an error status, whose text is added to the body, as the agent does."""

    def __init__(self, status: int, text: str = "") -> None:
        super().__init__(text)
        self.response = _response(status, f"{text}{status} {HTTPStatus(status).phrase}")
        self.response.force_close()


class NoReply(Exception):  # noqa: N818
    """Ends a request by closing the connection: a handler of the Java agent would have crashed."""


class RestApi:
    """Answers requests.

    Parameters:
        bus: where messages go and come from.
        config: of the node; `apply` replaces it.
    """

    def __init__(self, bus: MessageBus, config: AgentConfig) -> None:
        self._bus = bus
        self._config, self._texts = config, config.config_texts()
        self.position = {"lat": "", "lon": ""}

    def apply(self, config: AgentConfig) -> None:
        """Replaces the configuration of the node."""
        self._config, self._texts = config, config.config_texts()

    def handle(self, method: str, target: str, content_type: str | None, body: bytes) -> web.Response:
        """The response to one request. Raises NoReply where the Java agent closes the connection instead."""
        try:
            if target.startswith(_MESSAGES) and not self._config.messages:
                raise Refused(404, " Request not found ")
            for route, exact, handler in _ROUTES:
                if target == route or (not exact and target.startswith(route)):
                    return handler(self, method, content_type, body)
            raise Refused(404, " Request not found ")
        except Refused as refusal:
            return refusal.response

    def _config_get(self, method: str, content_type: str | None, body: bytes) -> web.Response:
        members = _json_body(method, content_type, body)
        identity = members.get("id")
        if identity is not None and not isinstance(identity, str):
            raise Refused(400, "Incorrect content/data ")
        if not identity or not identity.strip():
            raise Refused(400, "Incorrect content/data")
        config = self._texts.get(identity)
        if config is None:
            raise Refused(400, f"No configuration found for the id {identity}")
        return _ok(config=config)

    def _messages_new(self, method: str, content_type: str | None, body: bytes) -> web.Response:
        members = _json_body(method, content_type, body)
        problem = _first_problem(members)
        if problem:
            raise Refused(400, f"Validation Error, {problem}")
        message = self._bus.publish(_message(members))
        return _ok(timestamp=message.timestamp, id=message.id)

    def _messages_next(self, method: str, content_type: str | None, body: bytes) -> web.Response:
        identity = _json_body(method, content_type, body).get("id")
        if not isinstance(identity, str) or not identity.strip():
            raise Refused(400, "Incorrect content/data Id value not found ")
        messages = [message.to_json() | {"version": 0} for message in self._bus.waiting(identity)]
        response = _ok(count=len(messages), messages=messages)
        self._bus.next(identity)  # only after there is a response
        return response

    def _messages_query(self, method: str, content_type: str | None, body: bytes) -> web.Response:
        members = _json_body(method, content_type, body)
        for names, label in _QUERY_MEMBERS:
            if any(name not in members for name in names):
                raise Refused(400, f"Incorrect input content/data Error: Missing input field {label}")
        for name in ("timeframestart", "timeframeend"):
            if not _is_digits(members[name]):
                raise Refused(400, f"Incorrect input content/data Error: Invalid value of {name}")
        identity, publishers = members["id"], members["publishers"]
        if not isinstance(identity, str) or not identity.strip():
            raise Refused(400, "Incorrect input content/data Error: Missing input field value id")
        if not isinstance(publishers, list):
            raise NoReply
        start_ms, end_ms = members["timeframestart"], members["timeframeend"]
        found = self._bus.query(identity, start_ms, end_ms, [str(publisher) for publisher in publishers])
        if found is None:
            raise NoReply
        messages = [message.to_json() for message in found[0]]
        return _ok(count=len(messages), timeframestart=start_ms, timeframeend=found[1], messages=messages)

    def _edge_resources(self, method: str, _type: str | None, _body: bytes) -> web.Response:
        if method != "GET":
            raise Refused(405)
        text = msgspec.json.encode(self._config.edge_resources).decode()
        response = _response(200, _dump({"edgeResources": text}))
        response.headers["Content-Type"] = JSON_TYPE  # hardly any response has one
        return response

    def _log(self, method: str, content_type: str | None, body: bytes) -> web.Response:
        members = _json_body(method, content_type, body)
        are_text = all(isinstance(members.get(name), str) for name in ("id", "type", "message"))
        if not are_text or members["id"] not in self._texts:
            raise Refused(400, "Log message parsing error, Logger initialized null")
        level = logging.INFO if members["type"] == "info" else logging.WARNING
        log.log(level, "%s: %r", members["id"], members["message"][:10_000])
        return _ok()

    def _gps(self, method: str, content_type: str | None, body: bytes) -> web.Response:
        if method not in ("GET", "POST"):
            raise Refused(400, f"Not supported method: {method}" * 2)
        if not _is_json_type(content_type):
            raise Refused(400, "Incorrect content type ")
        if method == "GET":
            return _ok(timestamp=self._bus.now_ms(), **self.position)
        members = _decode(body)
        lat, lon = members.get("lat"), members.get("lon")
        if not isinstance(lat, str) or not isinstance(lon, str):
            raise Refused(400, " Error with setting GPS")
        self.position = {"lat": lat, "lon": lon}
        return _ok()

    def _restblue(self, *_: object) -> web.Response:
        raise Refused(404, '{"error":"unable to reach RESTblue container!"}')

    def _admin(self, *_: object) -> web.Response:
        raise Refused(401, "Incorrect access token")


Handler = Callable[[RestApi, str, str | None, bytes], web.Response]
_ROUTES: list[tuple[str, bool, Handler]] = [
    ("/v2/config/get", True, RestApi._config_get),
    ("/v2/messages/next", True, RestApi._messages_next),
    ("/v2/messages/new", True, RestApi._messages_new),
    ("/v2/messages/query", True, RestApi._messages_query),
    ("/v2/gps", True, RestApi._gps),
    ("/v2/edgeResources", False, RestApi._edge_resources),
    ("/v2/log", False, RestApi._log),
    ("/v2/restblue", False, RestApi._restblue),
    *(
        (f"/v2/{name}", False, RestApi._admin)
        for name in ("status", "info", "version", "config", "provision", "commandline", "deprovision")
    ),
]

_QUERY_MEMBERS = [
    (("id",), "id"),
    (("timeframestart", "timeframeend"), "timeframe start or end"),
    (("publishers",), "publishers"),
]
_REQUIRED = ("publisher", "version", "infotype", "infoformat", "contentdata")
_NOT_BLANK = ("publisher", "infotype", "infoformat")
_DIGITS = {
    "sequencenumber": "sequence number ",
    "sequencetotal": "sequence total ",
    "priority": "priority ",
    "chainposition": "chain position ",
}
_TARGET = re.compile(r"[0-9]*.?[0-9]*")


def _json_body(method: str, content_type: str | None, body: bytes) -> dict[str, Any]:
    if method != "POST":
        raise Refused(405)
    if not _is_json_type(content_type):
        raise Refused(400, f"Incorrect content type {content_type or ''}")
    return _decode(body)


def _is_json_type(content_type: str | None) -> bool:
    # The agent trims before it splits, so "application/json ;charset" with a space is refused.
    return content_type is not None and content_type.strip().split(";")[0].lower() == JSON_TYPE


def _decode(body: bytes) -> dict[str, Any]:
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        raise NoReply from None
    if not isinstance(members, dict):
        raise NoReply
    return members


def _is_digits(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _first_problem(members: Mapping[str, Any]) -> str | None:
    for name in _REQUIRED:
        if name not in members:
            return f"Error: Missing input field {name} "
    for name in _NOT_BLANK:
        if isinstance(members[name], str) and not members[name].strip():
            return f"Error: Missing input field value {name} "
    if not _is_digits(members["version"]):
        return "Error: Invalid  value for version"
    for name, label in _DIGITS.items():
        if name in members and not _is_digits(members[name]):
            return f"Error: Invalid  value for field {label}"
    if "difficultytarget" in members and not _TARGET.fullmatch(json.dumps(members["difficultytarget"])):
        return "Error: Invalid  value for field difficulty target "
    return None


def _message(members: dict[str, Any]) -> IoMessage:
    """The message as the agent's own types would hold it: integers cut to their width."""
    timestamp = members.get("timestamp", 0)
    nulls = [name for name, value in members.items() if value is None]
    try:
        if nulls or not isinstance(timestamp, int | float):
            raise MessageError(nulls[0] if nulls else "timestamp", "wrong type")
        cut = {
            "sequencenumber": members.get("sequencenumber", 0) & 0xFFFFFFFF,
            "sequencetotal": members.get("sequencetotal", 0) & 0xFFFFFFFF,
            "priority": members.get("priority", 0) & 0xFF,
            "chainposition": members.get("chainposition", 0) & 0xFFFFFFFFFFFFFFFF,
            "difficultytarget": int(members.get("difficultytarget", 0)) & 0xFFFFFFFF,
            "timestamp": 0,
            "version": 4,
        }
        return IoMessage.from_json(members | cut)
    except MessageError as error:
        raise Refused(400, f" Message Parsing Error, {error}") from None


def _ok(**members: Any) -> web.Response:
    return _response(200, _dump({"status": "okay", **members}))


def _dump(members: Mapping[str, Any]) -> str:
    return json.dumps(members, ensure_ascii=False, separators=(",", ":"))


def _response(status: int, text: str) -> web.Response:
    # A lone surrogate, which JSON can spell and UTF-8 cannot, is sent as "?", like Java's encoder does.
    return web.Response(status=status, body=text.encode("utf-8", "replace"))
