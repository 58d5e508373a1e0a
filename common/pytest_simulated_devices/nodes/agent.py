"""The fixture `local_agent`: an ioFog agent in the test's process, with a microservice and who receives from it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from iofog_sdk import IoMessage, Link, connect
from local_agent import AgentConfig, Listen, LocalAgent, Microservice, Route

from ..received import Received
from ..transcript import Transcript

_DEVICE, _VIEWER = "device", "viewer"
_START_S = 60.0


class LocalAgentFixture:
    """The agent; `running_service.start(…, node=local_agent)` runs a service on it.

    Parameters:
        transcript: of the test.
        received: what the microservice's messages go to.
    """

    def __init__(self, transcript: Transcript, received: Received) -> None:
        self._transcript, self._received = transcript, received
        both = [(_DEVICE, _VIEWER), (_VIEWER, _DEVICE)]
        self.agent = LocalAgent(
            AgentConfig(
                listen=Listen(port=0),
                microservices={name: Microservice() for name in (_DEVICE, _VIEWER)},
                routes=[Route(source=one, to=other) for one, other in both],
            )
        )
        self._stack = contextlib.AsyncExitStack()
        self._viewer: Link | None = None

    def variables(self) -> dict[str, str]:
        """Of the environment of the service under test."""
        return self._variables(_DEVICE)

    def _variables(self, name: str) -> dict[str, str]:
        return {"SELFNAME": self.agent.id_of(name), "IOFOG_LINK": f"agent://127.0.0.1:{self.agent.port}"}

    def configure(self, settings: dict[str, Any]) -> None:
        """Gives the service another configuration, as a Controller would."""
        self.agent.set_config(_DEVICE, settings)

    async def send(self, message: IoMessage) -> None:
        """Sends the service a message."""
        assert self._viewer is not None  # noqa: S101 - it is running
        await self._viewer.wait_connected()
        await self._viewer.send(message)

    def unplug(self) -> None:
        """Breaks every connection, and refuses new ones."""
        self._transcript.note("local_agent", "unplugged")
        self.agent.faults.close_without_reply = True
        self.agent.drop_connections(_DEVICE)

    def replug(self) -> None:
        """Is there again."""
        self.heal()

    def corrupt(self) -> None:
        """Sends garbage in place of receipts."""
        self._transcript.note("local_agent", "sends garbage for receipts")
        self.agent.faults.garbage = b"\xfe" * 40

    def no_acknowledge(self) -> None:
        """Takes messages without a receipt."""
        self._transcript.note("local_agent", "sends no receipts")
        self.agent.faults.drop_receipts = True

    def stall(self) -> None:
        """Takes connections and data, and never answers."""
        self._transcript.note("local_agent", "hangs")
        self.agent.faults.hang = True

    def heal(self) -> None:
        """Ends all faults."""
        self._transcript.note("local_agent", "works")
        vars(self.agent.faults).update(vars(type(self.agent.faults)()))

    async def start(self) -> None:
        """Listens, and receives what the service sends."""
        await self._stack.enter_async_context(self.agent)
        viewer = self._viewer = await self._stack.enter_async_context(connect(self._variables(_VIEWER)))
        async with asyncio.timeout(_START_S):
            await viewer.wait_connected()
        receiving = asyncio.ensure_future(self._receive(viewer))
        self._stack.push_async_callback(asyncio.wait, [receiving])
        self._stack.callback(receiving.cancel)

    async def _receive(self, viewer: Link) -> None:
        async for message in viewer.messages():
            self._received.take(message)

    async def close(self) -> None:
        """Ends it."""
        await self._stack.aclose()
