"""The fixture `mqtt_broker`: a broker of MQTT 3.1.1 as a process, behind a relay that can misbehave."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from pathlib import Path
from typing import Any

from iofog_sdk import LinkError
from iofog_sdk.mqtt import MqttConnection, MqttOptions, Publication, ReceivedMessage
from local_agent.nats_server import NatsServer

from ..transcript import Transcript
from .relay import Relay

MAX_MESSAGES = 10_000
_WAIT_S = 30.0


class MqttBrokerFixture:
    """The broker; a service reaches it by `settings` or `url`, the test by `publish` and `wait_for`.

    Parameters:
        folder: for its files.
        transcript: of the test.
    """

    def __init__(self, folder: Path, transcript: Transcript) -> None:
        self._server = NatsServer(folder / "broker", mqtt=True)
        self._relay = Relay(self._server.mqtt_port)
        self._transcript = transcript
        self._stack = contextlib.AsyncExitStack()
        self._client: MqttConnection | None = None
        self._left: deque[ReceivedMessage] = deque(maxlen=MAX_MESSAGES)
        self._changed = asyncio.Event()

    @property
    def settings(self) -> dict[str, Any]:
        """Members of a service's settings by which it reaches this broker."""
        return {"broker": {"host": "127.0.0.1", "port": self._relay.port, "version": "3.1.1"}}

    @property
    def url(self) -> str:
        """For `IOFOG_LINK`."""
        return f"mqtt://127.0.0.1:{self._relay.port}?version=3.1.1"

    async def publish(self, topic: str, payload: bytes | str, *, retain: bool = False) -> None:
        """Publishes as a device would (QoS 1); returns when the broker has it. Raises MessageError."""
        done = asyncio.get_running_loop().create_future()
        data = payload.encode() if isinstance(payload, str) else payload
        self._transcript.note_bytes("mqtt_broker", f"gets  {topic}", data)
        assert self._client is not None  # noqa: S101 - it is running
        self._client.publish([Publication(topic, data, 1, retain)], done.set_result)
        async with asyncio.timeout(_WAIT_S):
            if (error := await done) is not None:
                raise error

    async def wait_for(self, topic: str, payload: bytes | str | None = None, timeout_s: float = _WAIT_S) -> bytes:
        """The payload of the first message that fits, of those that came after the one found before.

        Parameters:
            topic: of it.
            payload: of it; by default any.
            timeout_s: seconds.

        Raises AssertionError when none came in time.
        """
        wanted = payload.encode() if isinstance(payload, str) else payload
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    while self._left:
                        message = self._left.popleft()
                        if message.topic == topic and wanted in (None, message.payload):
                            return message.payload
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"{topic}: no such message in {timeout_s:g} s") from None

    def unplug(self) -> None:
        """Breaks every connection of services, and refuses new ones."""
        self._transcript.note("mqtt_broker", "unplugged")
        self._relay.refuse = True
        self._relay.drop()

    def replug(self) -> None:
        """Is there again."""
        self.heal()

    def corrupt(self) -> None:
        """Sends garbage in place of what it would say."""
        self._transcript.note("mqtt_broker", "sends garbage")
        self._relay.garbage = b"\xfe\xff" * 20

    def no_acknowledge(self) -> None:
        """Takes what services say, and says nothing."""
        self._transcript.note("mqtt_broker", "acknowledges nothing")
        self._relay.swallow = True

    def stall(self) -> None:
        """Holds everything back until `heal`."""
        self._transcript.note("mqtt_broker", "hangs")
        self._relay.hang = True

    def heal(self) -> None:
        """Ends all faults."""
        self._transcript.note("mqtt_broker", "works")
        self._relay.heal()

    async def start(self) -> None:
        """Starts the broker, and listens to everything that is published."""
        await self._stack.enter_async_context(self._server)
        await self._stack.enter_async_context(self._relay)
        port = self._server.mqtt_port
        options = MqttOptions(
            server=f"mqtt://127.0.0.1:{port}", port=port, version="3.1.1", client_id="test", status="", session_s=0
        )
        lost: asyncio.Future[LinkError] = asyncio.get_running_loop().create_future()
        client = self._client = MqttConnection(options, lost, self._take)
        self._stack.push_async_callback(client.close)
        await client.open()
        await client.subscribe(["#"])

    def _take(self, message: ReceivedMessage) -> None:
        self._transcript.note_bytes("mqtt_broker", f"sends {message.topic}", message.payload)
        self._left.append(message)
        message.acknowledge()
        self._changed.set()

    async def close(self) -> None:
        """Ends it."""
        await self._stack.aclose()
