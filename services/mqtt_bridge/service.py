"""Bridges an MQTT broker and its devices: ioFog messages to topics, topics to ioFog messages."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from device_bridge import (
    Command,
    CommandError,
    DeviceError,
    DeviceErrorKind,
    DeviceService,
    Passed,
    Quality,
    Reading,
    Result,
    SettingsError,
    run,
)
from device_bridge.delivery import Delivery
from iofog_sdk import LinkError, NodeUnreachable
from iofog_sdk.mqtt_connection import MqttConnection
from iofog_sdk.mqtt_messages import Delivered, Recent

from .discovery import Discovery
from .publishing import Publisher
from .settings import MqttBridgeSettings
from .to_iofog import FromTopics
from .to_mqtt import ToTopics, publication_of
from .topics import as_filter, check_template, needed, overlap, places

_TICK_S = 1.0
_MOST_WAITING = 1000
_MOST_NAMES = 1000


class MqttBridge(DeviceService[MqttBridgeSettings]):
    """Maps ioFog messages to MQTT topics and topics to ioFog messages, both ways."""

    passes_messages_on = True
    _recent = Recent()
    """Of this process: it has one broker, however often it connects."""

    def __init__(self, settings: MqttBridgeSettings) -> None:
        super().__init__(settings)
        self.options = settings.options()
        status = self.options.filled(settings.status)
        self._status = status
        self._discovery = Discovery(settings.discovery, status) if settings.discovery.prefix else None
        self._to_topics = ToTopics(settings.to_mqtt, self.options.name, self._discovery)
        self._from_topics = FromTopics(settings.to_iofog, self.options.name)
        _check(settings, status)
        self._came: deque[Delivered] = deque()
        self._any = asyncio.Event()
        self._names: dict[str, str] = {}
        self._dropped = 0

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._lost: asyncio.Future[LinkError] = loop.create_future()
        self._lost.add_done_callback(lambda _: self._any.set())
        try:
            self._connection = MqttConnection(self.options, self._lost, self._take, self._recent)
            await self._connection.open()
            filters = [rule.topic for rule in self.settings.to_iofog]
            birth = [self._discovery.birth_topic] if self._discovery else []
            await self._connection.subscribe(needed(filters + birth), echo=False)
        except LinkError as error:
            raise self._failed(error) from None
        self.log.info("MQTT %s at %s is up", self.options.version, self.options.server)

    async def close(self) -> None:
        if hasattr(self, "_connection"):
            await self._connection.close()

    async def stream(self) -> AsyncIterator[Passed]:
        loop = asyncio.get_running_loop()
        publisher = Publisher(self._connection, self._lost, self._to_topics, self.options.receipt_timeout_s)
        work = [loop.create_task(self._tick(publisher))]
        if self.incoming is not None:
            sending = Delivery(self.incoming, publisher, lambda entry: entry.body, self.options.window)
            work.append(loop.create_task(sending.run()))
        for task in work:
            task.add_done_callback(lambda _: self._any.set())
        try:
            while True:
                while self._came:
                    received = self._came.popleft()
                    for passed in self._passed(received):
                        yield passed
                    received.taken()
                for task in work:
                    if task.done():
                        task.result()
                if self._lost.done():
                    raise self._failed(self._lost.result())
                self._any.clear()
                await self._any.wait()
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            publisher.give_up()

    async def execute(self, command: Command) -> Result:
        rule = self.settings.commands.get(command.name)
        if rule is None:
            known = ", ".join(sorted(self.settings.commands)) or "none"
            raise CommandError(f"unknown command {command.name!r}; this bridge has {known}")
        publication = publication_of(rule, command)
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connection.publish([publication], lambda: None if answered.done() else answered.set_result(None))
        await asyncio.wait((answered, self._lost), return_when=asyncio.FIRST_COMPLETED)
        if not answered.done():
            raise self._failed(self._lost.result())
        return Result(ok=True, detail=f"published on {publication.topic}")

    def all_bad(self, reason: str) -> list[Reading]:
        return [Reading(name, None, unit, quality=Quality.BAD, reason=reason) for name, unit in self._names.items()]

    def counters(self) -> dict[str, int]:
        names = {"published", "unmatched", "malformed", "loops"}
        counts = {f"to_mqtt_{name}": self._to_topics.counts[name] for name in sorted(names)}
        names = {"taken", "unused", "malformed", "loops", "retained"}
        counts |= {f"to_iofog_{name}": self._from_topics.counts[name] for name in sorted(names)}
        return counts | {"to_iofog_dropped": self._dropped}

    def _take(self, received: Delivered) -> None:
        if received.topic == self._status:
            received.taken()
        elif self._discovery is not None and received.topic == self._discovery.birth_topic:
            if received.payload == b"online":
                self._discovery.forget()
            received.taken()
        elif len(self._came) < _MOST_WAITING:
            self._came.append(received)
            self._any.set()
        elif received.guaranteed:
            self._connection.lose(NodeUnreachable("more messages than can be taken; they come again"))
        else:
            self._dropped += 1

    def _passed(self, received: Delivered) -> list[Passed]:
        found = self._from_topics.passed(received)
        for passed in found:
            if not isinstance(passed.content, bytes):
                for reading in passed.content:
                    if reading.name in self._names or len(self._names) < _MOST_NAMES:
                        self._names[reading.name] = reading.unit
        return found

    async def _tick(self, publisher: Publisher) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            self._connection.tick()
            publisher.check()

    def _failed(self, error: LinkError) -> DeviceError:
        kind = DeviceErrorKind.UNREACHABLE if isinstance(error, NodeUnreachable) else DeviceErrorKind.GONE
        server = self.options.server
        return DeviceError(kind, server, str(error).removeprefix("MQTT: ").removeprefix(server).lstrip(": "))


def _check(settings: MqttBridgeSettings, status: str) -> None:
    if not (settings.to_mqtt or settings.to_iofog or settings.commands):
        raise SettingsError("to_mqtt", None, "nothing is to be bridged", "Write to_mqtt, to_iofog or commands.")
    if status:
        check_template(status, set(), "status")
    for name, command in settings.commands.items():
        check_template(command.topic, places(command.topic), f"commands.{name}.topic")
    if settings.broker.version == "5":
        return  # such a broker does not send back what a client has published itself
    outgoing = {f"to_mqtt[{at}].topic": as_filter(rule.topic) for at, rule in enumerate(settings.to_mqtt)}
    for at, rule in enumerate(settings.to_iofog):
        for setting, topics in outgoing.items():
            if overlap(rule.topic, topics):
                rule_text = f"is a loop: {setting} publishes on {topics}, and MQTT 3.1.1 sends that back"
                raise SettingsError(f"to_iofog[{at}].topic", rule.topic, rule_text, "Keep the topics of both apart.")


def main() -> None:
    """Runs the service as this process."""
    run(MqttBridge)
