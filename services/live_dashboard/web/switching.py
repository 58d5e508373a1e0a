"""Commands from the page to other services: allowed by a token, checked as declared, each with its result."""

from __future__ import annotations

import asyncio
import hmac
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from device_bridge import Command, CommandError, Forwarded, Value
from iofog_sdk import Address

from ..board import Board, CommandResult, Kind, Source

_MAX_WAITING = 20
_TRIES, _TRIES_OVER_S = 5, 60.0
_CLIENTS = 256
"""Whose wrong tokens are remembered."""


class CommandFailed(Exception):  # noqa: N818 - the name says what happened
    """A command that was not sent, or not answered.

    Parameters:
        status: of HTTP, for the answer.
        text: for people.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class Switching:
    """Sends commands and waits for their results.

    Parameters:
        board: knows which commands a source takes.
        token: that allows it; "" allows nothing.
        timeout_s: how long a result is waited for.
        send: puts a message on its way.
    """

    def __init__(self, board: Board, token: str, timeout_s: float, send: Callable[[Forwarded], None]) -> None:
        self._board, self._token, self._timeout_s, self._send = board, token, timeout_s, send
        self._waiting: dict[str, asyncio.Future[CommandResult]] = {}
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()

    @property
    def allowed(self) -> bool:
        """Whether there is a token at all."""
        return bool(self._token)

    def check_token(self, given: str, client: str) -> None:
        """Raises CommandFailed unless it is the token; of a client five wrong ones in a minute are looked at.

        Parameters:
            given: by the client.
            client: its address.
        """
        if not self._token:
            raise CommandFailed(403, "switching is off: the dashboard has no token (setting switching.token_file)")
        now = asyncio.get_running_loop().time()
        wrong = self._wrong.setdefault(client, deque(maxlen=_TRIES))
        self._wrong.move_to_end(client)
        if len(self._wrong) > _CLIENTS:
            self._wrong.popitem(last=False)
        if len(wrong) == _TRIES and now - wrong[0] < _TRIES_OVER_S:
            raise CommandFailed(429, "too many wrong tokens; wait a minute")
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            wrong.append(now)
            raise CommandFailed(401, "wrong token" if given else "switching needs the token")

    async def run(self, source_id: int, name: str, parameters: Mapping[str, Value], now: float) -> CommandResult:
        """Sends a command and returns its result. Raises CommandFailed.

        Parameters:
            source_id: of the source whose service is to do it.
            name, parameters: as declared.
            now: seconds since 1970.
        """
        source = self._board.sources.get(source_id)
        if source is None:
            raise CommandFailed(404, f"there is no source {source_id}")
        command = self._checked(source, Command(name=name, parameters=parameters, id=uuid.uuid4().hex, time=now))
        if len(self._waiting) >= _MAX_WAITING:
            raise CommandFailed(503, f"{_MAX_WAITING} commands are waiting for their results already")
        recipient = source.announcement.microservice if source.announcement else ""
        content: dict[str, Any] = {"command": command.name, **command.parameters, "id": command.id, "time": now}
        if source.announcement and source.announcement.bridge:
            content["bridge"] = source.announcement.bridge
        answered = self._waiting[command.id] = asyncio.get_running_loop().create_future()
        text = " ".join([name, *(f"{key}={value}" for key, value in command.parameters.items())])
        try:
            self._send(
                Forwarded(
                    content=msgspec.json.encode(content),
                    infotype="application/json",
                    infoformat="utf-8",
                    tag=Address(recipient).tag(),
                )
            )
            async with asyncio.timeout(self._timeout_s):
                result: CommandResult = await answered
        except TimeoutError:
            self._board.add_event("failed", source.name, f"{text}: no result within {self._timeout_s:g} s", now)
            raise CommandFailed(504, f"no result within {self._timeout_s:g} s; it may still be done") from None
        finally:
            del self._waiting[command.id]
        kind: Kind = "command" if result.ok else "failed"
        self._board.add_event(
            kind, source.name, f"{text}: {result.detail or ('done' if result.ok else 'failed')}", now
        )
        return result

    def take(self, result: CommandResult) -> None:
        """A result that has arrived."""
        answered = self._waiting.get(result.id)
        if answered is not None and not answered.done():
            answered.set_result(result)

    def _checked(self, source: Source, command: Command) -> Command:
        specs = source.announcement.commands if source.announcement else ()
        spec = next((one for one in specs if one.name == command.name), None)
        if spec is None:
            raise CommandFailed(404, f"{source.name} has not announced a command {command.name[:60]!r}")
        reserved = {"command", "id", "time", "bridge"} & set(command.parameters)
        if reserved:
            raise CommandFailed(422, f"`{min(reserved)}` cannot be a parameter here")
        try:
            return spec.check(command)
        except CommandError as error:
            raise CommandFailed(422, str(error)) from None
