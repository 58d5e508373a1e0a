"""The OpenAPI document of `/api/…`: the schemas come from the types that the answers are made of."""

from __future__ import annotations

from typing import Any

import msgspec

from iofog_sdk import __version__

from ..board import CommandResult, Event, Frame
from ..history import Series
from .bodies import CommandBody, ErrorBody, StatusBody

_JSON = "application/json"
_TYPES = (StatusBody, Frame, list[Event], Series, CommandBody, CommandResult, ErrorBody)


def _parameter(name: str, text: str, *, required: bool = False, kind: str = "number") -> dict[str, Any]:
    return {"name": name, "in": "query", "required": required, "description": text, "schema": {"type": kind}}


_COURSE = [
    _parameter("quantity", "id of a quantity, from /api/sources", required=True, kind="integer"),
    _parameter("seconds", "length of the course; 3600 by default"),
    _parameter("until", "its end, seconds since 1970; now by default"),
]
_ERRORS = {400: "a parameter is missing or wrong", 404: "there is no such quantity"}
_COMMAND_ERRORS = {
    401: "the token is missing or wrong",
    403: "switching is off",
    404: "no such source or command",
    415: "not JSON",
    422: "not as the command is declared",
    429: "too many wrong tokens",
    503: "too many commands are waiting",
    504: "no result in time",
}


def openapi() -> dict[str, Any]:
    """The document."""
    schemas, components = msgspec.json.schema_components(_TYPES, ref_template="#/components/schemas/{name}")
    status, frame, events, series, body, result, error = schemas

    def operation(
        text: str,
        schema: dict[str, Any] | None,
        kind: str = _JSON,
        errors: dict[int, str] | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        responses: dict[str, Any] = {"200": _response("as asked", kind, schema or {"type": "string"})}
        responses |= {str(code): _response(why, _JSON, error) for code, why in (errors or {}).items()}
        return {"summary": text, "responses": responses, **more}

    secured: dict[str, Any] = {"security": [{"token": []}]}
    paths = {
        "/api/status": {"get": operation("the page itself: its link, limits, counts", status)},
        "/api/sources": {"get": operation("all sources with their quantities and accounting, and events", frame)},
        "/api/stream": {
            "get": operation(
                "server-sent events: `snapshot`, a whole Frame, then messages, each a Frame of what has changed",
                frame,
                "text/event-stream",
                {503: "too many pages are open"},
            )
        },
        "/api/readings.csv": {"get": operation("the latest reading of every quantity", None, "text/csv")},
        "/api/events": {"get": operation("the event log, oldest first", events)},
        "/api/events.csv": {"get": operation("the same", None, "text/csv")},
        "/api/history": {"get": operation("the course of a quantity", series, errors=_ERRORS, parameters=_COURSE)},
        "/api/history.csv": {"get": operation("the same", None, "text/csv", _ERRORS, parameters=_COURSE)},
        "/api/token": {"post": operation("whether a token is the right one", {}, errors=_COMMAND_ERRORS, **secured)},
        "/api/commands": {
            "post": operation(
                "a command to the service of a source; answered when its result is there",
                result,
                errors=_COMMAND_ERRORS,
                requestBody={"required": True, "content": {_JSON: {"schema": body}}},
                **secured,
            )
        },
        "/api/openapi.json": {"get": operation("this document", {})},
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "live_dashboard",
            "version": __version__,
            "description": "What a node's services measure. Times are seconds since 1970-01-01 UTC, units SenML's.",
        },
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _response(text: str, kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {kind: {"schema": schema}}}
