"""`/api/…`: the same as the page shows, as JSON and CSV; commands."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from iofog_sdk import __version__
from iofog_sdk.messages import decode_json

from ..board import QUALITIES, Board, LiveQuantity, Source, snapshot
from ..history import History, Series
from ..settings import PageSettings
from .bodies import CommandBody, ErrorBody, LinkBody, StatusBody
from .stream import FrameStream
from .switching import CommandFailed, Switching

_MOST_S = 366 * 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
T = TypeVar("T", int, float)


class Api:
    """The routes below `/api`.

    Parameters:
        settings: of the page.
        board, history: what is shown.
        switching: takes commands.
        stream: of frames.
    """

    def __init__(
        self,
        settings: PageSettings,
        board: Board,
        history: History,
        switching: Switching,
        stream: FrameStream,
    ) -> None:
        self._settings, self._board, self._history = settings, board, history
        self._switching, self._stream = switching, stream

    def routes(self) -> list[web.RouteDef]:
        """All of them."""
        return [
            web.get("/api/openapi.json", self._openapi),
            web.get("/api/status", self._status),
            web.get("/api/sources", self._sources),
            web.get("/api/readings.csv", self._readings_csv),
            web.get("/api/events", self._events),
            web.get("/api/events.csv", self._events_csv),
            web.get("/api/history", self._series),
            web.get("/api/history.csv", self._series_csv),
            web.post("/api/commands", self._command),
            web.post("/api/token", self._token),
        ]

    async def _openapi(self, _: web.Request) -> web.Response:
        from .openapi import openapi  # noqa: PLC0415 - seldom asked for

        return _json(openapi())

    async def _status(self, _: web.Request) -> web.Response:
        board, (up, reason) = self._board, self._stream.link()
        return _json(
            StatusBody(
                title=self._settings.title,
                version=__version__,
                link=LinkBody(up, reason),
                switching=self._switching.allowed,
                sources=len(board.sources),
                quantities=len(board.quantities),
                clients=self._stream.clients,
                clients_dropped=self._stream.dropped,
                refused=dict(board.refused),
                history_dropped=self._history.dropped,
            )
        )

    async def _sources(self, _: web.Request) -> web.Response:
        response = _json(snapshot(self._board, time.time()))
        response.enable_compression()
        return response

    async def _readings_csv(self, _: web.Request) -> web.Response:
        def rows() -> Iterable[Sequence[Any]]:
            for source in self._board.sources.values():
                for one in source.quantities.values():
                    yield (source.name, one.name, one.value, one.unit, one.quality.value, one.reason, _iso(one.time))

        head = ("source", "quantity", "value", "unit", "quality", "reason", "time")
        return _csv("readings", head, rows())

    async def _events(self, _: web.Request) -> web.Response:
        return _json(self._board.events.since(-1))

    async def _events_csv(self, _: web.Request) -> web.Response:
        events = self._board.events.since(-1)
        rows = ((_iso(one.time), one.kind, one.source, one.text, one.count) for one in events)
        return _csv("events", ("time", "kind", "source", "text", "count"), rows)

    async def _series(self, request: web.Request) -> web.Response:
        _, _, series = await self._asked(request)
        response = _json(series)
        response.enable_compression()
        return response

    async def _series_csv(self, request: web.Request) -> web.Response:
        source, quantity, series = await self._asked(request)
        unit = quantity.unit
        columns = zip(series.times, series.mean, series.low, series.high, series.worst, strict=True)
        rows = ((_iso(at), mean, low, high, unit, QUALITIES[worst].value) for at, mean, low, high, worst in columns)
        head = ("time", "mean", "least", "greatest", "unit", "worst quality")
        return _csv(f"{source.name}-{quantity.name}", head, rows)

    async def _asked(self, request: web.Request) -> tuple[Source, LiveQuantity, Series]:
        now = time.time()
        id_ = _number(request, "quantity", int)
        seconds = _number(request, "seconds", float, 3600.0)
        end = _number(request, "until", float, now)
        if not 1 <= seconds <= _MOST_S or not 0 <= end <= 2**40:
            raise _bad(f"seconds is 1 to {_MOST_S}, until seconds since 1970")
        source = self._board.source_of(id_)
        if source is None:
            raise _error(web.HTTPNotFound, f"there is no quantity {id_}")
        series = await self._history.series(id_, end - seconds, end, now)
        return source, self._board.quantities[id_], series

    async def _command(self, request: web.Request) -> web.Response:
        try:
            self._check_token(request)
            if request.content_type != "application/json":
                raise CommandFailed(415, "send application/json")
            try:
                command = decode_json(await request.read(), CommandBody)
            except ValueError as error:
                raise CommandFailed(422, str(error)) from None
            result = await self._switching.run(command.source, command.command, command.parameters, time.time())
        except CommandFailed as error:
            return _json(ErrorBody(error.text), status=error.status)
        return _json(result)

    async def _token(self, request: web.Request) -> web.Response:
        """Whether a token is the right one, for a page that is being unlocked."""
        try:
            self._check_token(request)
        except CommandFailed as error:
            return _json(ErrorBody(error.text), status=error.status)
        return _json({"ok": True})

    def _check_token(self, request: web.Request) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        self._switching.check_token(token.strip() if scheme.lower() == "bearer" else "", request.remote or "")


def _number(request: web.Request, name: str, kind: type[T], default: T | None = None) -> T:
    text = request.query.get(name)
    if text is None:
        if default is None:
            raise _bad(f"{name} is missing")
        return default
    try:
        number = kind(text)
    except (ValueError, OverflowError):
        raise _bad(f"{name}={text[:40]!r} is no number") from None
    if number != number or abs(number) > 2**53:  # noqa: PLR0124 - NaN is not itself
        raise _bad(f"{name}={text[:40]!r} is no number")
    return number


def _bad(text: str) -> web.HTTPException:
    return _error(web.HTTPBadRequest, text)


def _error(kind: type[web.HTTPException], text: str) -> web.HTTPException:
    return kind(text=json.dumps({"error": text}), content_type="application/json")


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(value),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def _iso(seconds: float) -> str:
    try:
        return (_EPOCH + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError):
        return ""


def _csv(name: str, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> web.Response:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(head)
    writer.writerows([_plain(cell) for cell in row] for row in rows)
    safe = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "-" for letter in name)
    return web.Response(
        body=out.getvalue().encode(),
        content_type="text/csv",
        charset="utf-8",
        headers={"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{safe[:100]}.csv"'},
    )


def _plain(cell: object) -> object:
    """Text that a spreadsheet would take for a formula begins with an apostrophe."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell
