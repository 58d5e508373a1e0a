"""Bridges an MQTT broker and its devices: ioFog messages to topics, topics to ioFog messages."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator

from device_bridge import (
    Command,
    CommandError,
    CommandSpec,
    DeviceError,
    DeviceErrorKind,
    DeviceService,
    Forwarded,
    Parameter,
    Quality,
    Reading,
    Result,
    SettingsError,
    run,
)
from device_bridge.outbox import Delivery, Outbox
from iofog_sdk import ConnectionLost, LinkError, MessageError, NodeUnreachable
from iofog_sdk.mqtt import DuplicateFilter, MqttConnection, ReceivedMessage

from .arrivals import Arrivals
from .discovery import Discovery
from .hops import is_name
from .log_once import LogOnce
from .publishing import Publisher
from .settings import MqttBridgeSettings
from .to_iofog import FromTopics
from .to_mqtt import ToTopics, publication_of
from .topics import as_filter, check_template, needed, overlap, places

_TICK_S = 1.0
_STEADY_AFTER_S = 10.0
_CLOSE_S = 1.0
_MOST_NAMES = 1000


class MqttBridge(DeviceService[MqttBridgeSettings]):
    """Maps ioFog messages to MQTT topics and topics to ioFog messages, both ways."""

    forwards_messages = True
    _duplicates = DuplicateFilter()
    """Of this process: it has one broker, however often it connects."""
    _log_once = LogOnce()

    def __init__(self, settings: MqttBridgeSettings) -> None:
        super().__init__(settings)
        self.options = settings.options()
        status = self.options.expand(settings.status)
        self._status = status
        self._discovery = Discovery(settings.discovery, status) if settings.discovery.prefix else None
        self._to_topics = ToTopics(settings.to_mqtt, self.options.name, self._discovery)
        self._from_topics = FromTopics(settings.to_iofog, self.options.name, self._say_malformed)
        self._came = Arrivals()
        self._any = asyncio.Event()
        self._names: dict[str, str] = {}
        self._up_at = math.inf
        self._publisher: Publisher | None = None

    @classmethod
    def check_settings(cls, settings: MqttBridgeSettings) -> None:
        options = settings.options()
        ToTopics(settings.to_mqtt, options.name, None)
        FromTopics(settings.to_iofog, options.name, lambda _, __: None)
        _check(settings, options.expand(settings.status), options.name)

    @classmethod
    def commands_of(cls, settings: MqttBridgeSettings) -> tuple[CommandSpec, ...]:
        return tuple(
            CommandSpec(
                name,
                tuple(Parameter(place, "any") for place in sorted(places(rule.topic) | places(rule.payload))),
                f"published on {rule.topic}",
            )
            for name, rule in settings.commands.items()
        )

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._lost: asyncio.Future[LinkError] = loop.create_future()
        self._lost.add_done_callback(self._leave)
        try:
            self._connection = MqttConnection(self.options, self._lost, self._take, self._duplicates)
            await self._connection.open()
            filters = [rule.topic for rule in self.settings.to_iofog]
            birth = [self._discovery.birth_topic] if self._discovery else []
            await self._connection.subscribe(needed(filters + birth), echo=False)
        except LinkError as error:
            raise self._failed(error) from None
        self._up_at = loop.time()
        self.log.info("MQTT %s at %s is up", self.options.version, self.options.server)

    async def close(self) -> None:
        if not hasattr(self, "_connection"):
            return
        if (outgoing := self._outgoing) is not None and not self._lost.done():
            with contextlib.suppress(TimeoutError):  # what is in the outbox now need not come again
                await asyncio.wait_for(outgoing.wait_written(), _CLOSE_S)
        await self._connection.close()

    async def stream(self) -> AsyncIterator[Forwarded]:
        loop = asyncio.get_running_loop()
        work: list[asyncio.Task[None]] = []
        if self.inbound is not None:
            way = Publisher(self._connection, self._lost, self._to_topics, self.inbound, self._log_once)
            self._publisher = way
            sending = Delivery(self.inbound, way, lambda entry: entry.body, self.options.window)
            work.append(loop.create_task(sending.run()))
        work.append(loop.create_task(self._tick()))
        for task in work:
            task.add_done_callback(lambda _: self._any.set())
        try:
            while True:
                while (received := self._came.take()) is not None:
                    for passed in self._passed(received):
                        yield passed
                    self._when_written(received)
                for task in work:
                    if task.done():
                        task.result()
                if self._lost.done():
                    raise self._failed(self._lost.result())
                if self._came.is_overflown:
                    await self._begin_again()
                    continue
                self._any.clear()
                await self._any.wait()
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            if self._publisher is not None:
                self._publisher.give_up()

    async def execute(self, command: Command) -> Result:
        publication = publication_of(self.settings.commands[command.name], command, self.options.name)
        answered: asyncio.Future[MessageError | None] = asyncio.get_running_loop().create_future()
        self._connection.publish([publication], lambda end: None if answered.done() else answered.set_result(end))
        await asyncio.wait((answered, self._lost), return_when=asyncio.FIRST_COMPLETED)
        if not answered.done():
            raise self._failed(self._lost.result())
        if (refused := answered.result()) is not None:
            raise CommandError(f"{refused.field} {refused.rule}")
        return Result(ok=True, detail=f"published on {publication.topic}")

    def all_bad(self, reason: str) -> list[Reading]:
        return [Reading(name, None, unit, quality=Quality.BAD, reason=reason) for name, unit in self._names.items()]

    def counters(self) -> dict[str, int]:
        names = {"published", "unmatched", "malformed", "loops"}
        counts = {f"to_mqtt_{name}": self._to_topics.counts[name] for name in sorted(names)}
        names = {"taken", "unused", "malformed", "loops", "retained"}
        counts |= {f"to_iofog_{name}": self._from_topics.counts[name] for name in sorted(names)}
        return counts | {"to_iofog_dropped": self._came.dropped}

    @property
    def _outgoing(self) -> Outbox | None:
        return None if self.inbound is None else self.inbound.outgoing

    def _take(self, received: ReceivedMessage) -> None:
        if received.topic == self._status:
            received.acknowledge()
        elif self._discovery is not None and received.topic == self._discovery.birth_topic:
            if received.payload == b"online":
                self._discovery.forget()
            received.acknowledge()
        else:
            self._came.put(received)
            self._any.set()

    def _when_written(self, received: ReceivedMessage) -> None:
        """Acknowledges a message whose readings are in the outbox, where a crash cannot lose them any more."""
        if self._outgoing is None:
            received.acknowledge()
        else:
            self._outgoing.when_written(received.acknowledge)

    async def _begin_again(self) -> None:
        """Has the broker send what had to be left to it: it does so on a new connection."""
        if self._outgoing is not None:
            waiting = asyncio.ensure_future(self._outgoing.wait_written())
            await asyncio.wait((waiting, self._lost), return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
        self._connection.abort(ConnectionLost("more messages than can be held at once; the rest comes again"))

    def _leave(self, _: object) -> None:
        self._came.leave()
        self._any.set()

    def _passed(self, received: ReceivedMessage) -> list[Forwarded]:
        found = self._from_topics.passed(received)
        for passed in found:
            if not isinstance(passed.content, bytes):
                for reading in passed.content:
                    if reading.name in self._names or len(self._names) < _MOST_NAMES:
                        self._names[reading.name] = reading.unit
        return found

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            self._connection.tick()
            if self._publisher is not None:
                self._publisher.check()

    def _say_malformed(self, topic: str, error: Exception) -> None:
        if self._log_once.first_time("malformed", topic):
            self.log.warning("a message on %s is not what the settings say, and dropped: %s", topic[:200], error)

    def _failed(self, error: LinkError) -> DeviceError:
        is_gone = not isinstance(error, NodeUnreachable) and self._was_useful
        kind = DeviceErrorKind.GONE if is_gone else DeviceErrorKind.UNREACHABLE
        server = self.options.server
        return DeviceError(kind, server, str(error).removeprefix("MQTT: ").removeprefix(server).lstrip(": "))

    @property
    def _was_useful(self) -> bool:
        """Whether the connection has carried anything, or lasted: else the next one waits longer and longer.

        What comes says little while answers are missing: a broker may end each connection over the first publication.
        """
        if asyncio.get_running_loop().time() - self._up_at >= _STEADY_AFTER_S:
            return True
        if self._publisher is not None and (self._publisher.answered or self._publisher.is_waiting):
            return self._publisher.answered > 0
        return self._from_topics.counts["taken"] > 0


def _check(settings: MqttBridgeSettings, status: str, name: str) -> None:
    if not (settings.to_mqtt or settings.to_iofog or settings.commands):
        raise SettingsError("to_mqtt", None, "nothing is to be bridged", "Write to_mqtt, to_iofog or commands.")
    if not is_name(name):
        remedy = "Write letters, digits, '.', '_' and '-', 128 at most."
        raise SettingsError("broker.client_id", name, "cannot tell other bridges who this is", remedy)
    if status:
        check_template(status, set(), "status")
    for command_name, command in settings.commands.items():
        check_template(command.topic, places(command.topic), f"commands.{command_name}.topic")
    if settings.broker.version == "5":
        return  # such a broker does not send back what a client has published itself
    outgoing = {f"to_mqtt[{at}].topic": as_filter(rule.topic) for at, rule in enumerate(settings.to_mqtt)}
    outgoing |= {f"commands.{each}.topic": as_filter(rule.topic) for each, rule in settings.commands.items()}
    for at, rule in enumerate(settings.to_iofog):
        for setting, topics in outgoing.items():
            if overlap(rule.topic, topics):
                rule_text = f"is a loop: {setting} publishes on {topics}, and MQTT 3.1.1 sends that back"
                raise SettingsError(f"to_iofog[{at}].topic", rule.topic, rule_text, "Keep the topics of both apart.")


def main() -> None:
    """Runs the service as this process."""
    run(MqttBridge)
