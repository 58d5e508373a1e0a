"""Bridges an MQTT broker and its devices: ioFog messages to topics, topics to ioFog messages."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator

from device_bridge import Command, CommandSpec, DeviceService, Forwarded, Result, run
from iofog_sdk.mqtt import DuplicateFilter, ReceivedMessage

from .broker import LogOnce, Session
from .checks import check_settings
from .discovery import Discovery
from .settings import MqttBridgeSettings
from .sparkplug import SparkplugNode, edge_node_of
from .to_iofog import FromTopics
from .to_mqtt import ToTopics, command_specs, publication_of
from .topics import needed


class MqttBridge(DeviceService[MqttBridgeSettings]):
    """Maps ioFog messages to MQTT topics and topics to ioFog messages, both ways."""

    forwards_messages = True

    def __init__(self, settings: MqttBridgeSettings) -> None:
        super().__init__(settings)
        self.options = settings.options()
        self._status = self.options.expand(self.options.status)
        self._discovery = Discovery(settings.discovery, self._status) if settings.discovery.prefix else None
        self._sparkplug: SparkplugNode | None = None
        self._to_topics = ToTopics(settings.to_mqtt, self.options.name, self._discovery)
        self._from_topics = FromTopics(settings.to_iofog, self.options.name, self._log_unused)
        self._session: Session | None = None
        self._log_once = LogOnce()

    @classmethod
    def check_settings(cls, settings: MqttBridgeSettings) -> None:
        check_settings(settings)

    @classmethod
    def commands_of(cls, settings: MqttBridgeSettings) -> tuple[CommandSpec, ...]:
        return command_specs(settings.commands)

    async def open(self) -> None:
        options, edge_node = self.options, edge_node_of(self.settings.sparkplug, self.options.name, self.kept)
        if edge_node is not None:
            options = dataclasses.replace(options, will=edge_node.death())
        self._sparkplug = self._to_topics.sparkplug = edge_node
        self._log_once = self.kept.setdefault("log_once", self._log_once)
        duplicates = self.kept.setdefault("duplicates", DuplicateFilter(keeps_unprocessed=True))
        self._session = Session(options, duplicates, self._take_ours)
        filters = [rule.topic for rule in self.settings.to_iofog]
        if self._discovery is not None:
            filters.append(self._discovery.birth_topic)
        if edge_node is not None:
            filters.append(edge_node.command_topic)
        await self._session.open(needed(filters))
        if edge_node is not None:
            self._session.announce(edge_node.births())
        self.log.info("MQTT %s at %s is up", self.options.version, self.options.server)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def stream(self) -> AsyncIterator[Forwarded]:
        loop = asyncio.get_running_loop()
        messages = self.session.messages(self.inbound, self._to_topics, self._log_once)
        async with contextlib.aclosing(messages):
            async for received in messages:
                for passed in self._from_topics.passed(received, loop.time() - received.at):
                    yield passed

    async def execute(self, command: Command) -> Result:
        publication = publication_of(self.settings.commands[command.name], command, self.options.name)
        return await self.session.publish(publication)

    @property
    def session(self) -> Session:
        """The connection. Raises AssertionError before `open`."""
        assert self._session is not None, "not open"  # noqa: S101 - misuse by a programmer
        return self._session

    def counters(self) -> dict[str, int]:
        to_mqtt, to_iofog = self._to_topics.counts, self._from_topics.counts
        counts = {f"to_mqtt_{name}": to_mqtt[name] for name in ("loops", "malformed", "published", "unmatched")}
        names = ("loops", "malformed", "retained", "taken", "undated", "unused")
        counts |= {f"to_iofog_{name}": to_iofog[name] for name in names}
        if self._discovery is not None:
            counts["discovery_untold"] = self._discovery.untold
        if self._sparkplug is not None:
            counts |= {f"sparkplug_{name}": count for name, count in self._sparkplug.counts.items()}
        return counts | self.session.counters()

    def _take_ours(self, received: ReceivedMessage) -> bool:
        if received.topic == self._status:
            return True
        if self._sparkplug is not None and received.topic == self._sparkplug.command_topic:
            if self._sparkplug.asks_for_births(received.payload):
                self.session.announce(self._sparkplug.births())
            return True
        if self._discovery is None or received.topic != self._discovery.birth_topic:
            return False
        if received.payload == b"online":
            self._discovery.forget()
        return True

    def _log_unused(self, kind: str, topic: str, reason: str) -> None:
        if self._log_once.first_time(kind, topic):
            self.log.warning("a message on %s %s", topic[:200], reason)


def main() -> None:
    """Runs the service as this process."""
    run(MqttBridge)
