"""The link to a Java agent whose version is not known: agents of ioFog 3.7 carry no messages."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from ..errors import ConnectionLost, LinkError, RequestRefused
from ..links.always import run_always
from ..links.backoff import Backoff
from ..links.base import Link
from ..links.split import SplitLink
from .control import LocalApiControl
from .local_api import LocalApiClient

log = logging.getLogger("iofog_sdk")

_MESSAGES = "/v2/messages/next"
_NOT_FOUND, _METHOD_NOT_ALLOWED = 404, 405


class DetectingLink(SplitLink):
    """Asks the agent whether it carries messages; if not, they go over the fallback.

    Parameters:
        client: microservice and agent.
        fallback: makes the link that carries the messages of a node whose agent does not.
    """

    def __init__(self, client: LocalApiClient, fallback: Callable[[], Link]) -> None:
        super().__init__(LocalApiControl(client), None)
        self._client, self._fallback = client, fallback
        self._detecting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await super().start()
        self._detecting = asyncio.get_running_loop().create_task(run_always("ioFog node", self._detect))

    async def close(self) -> None:
        if self._detecting is not None:
            self._detecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._detecting
        await super().close()

    async def _detect(self) -> None:
        backoff, logged = Backoff(), ""
        while True:
            try:
                carries = await carries_messages(self._client)
                break
            except LinkError as error:
                if str(error) != logged and self.control.socket.connected:  # else the control socket logs why
                    logged = str(error)
                    log.warning("ioFog node: unknown whether the agent carries messages, asking again: %s", logged)
            await asyncio.sleep(backoff.next_s())
        if not carries:
            log.info(
                "ioFog node: the agent at %s answers %d on message routes, as 3.7 does: messages go over NATS",
                self._client.host,
                _NOT_FOUND,
            )
            await self._use(self._fallback())
            return
        from .link import AgentMessages  # noqa: PLC0415 - not on nodes without message routes

        log.info("ioFog node: the agent at %s carries messages (Local API v2)", self._client.host)
        await self._use(AgentMessages(self._client))


async def carries_messages(client: LocalApiClient) -> bool:
    """Whether an agent has message routes, asked without consuming a message. Raises LinkError for another reply."""
    try:
        await client.request("GET", _MESSAGES)
    except RequestRefused as refusal:
        if refusal.status in (_NOT_FOUND, _METHOD_NOT_ALLOWED):
            return refusal.status == _METHOD_NOT_ALLOWED
        raise ConnectionLost(str(refusal)) from None
    raise ConnectionLost(f"{_MESSAGES}: the agent accepts GET, which no ioFog agent does")
