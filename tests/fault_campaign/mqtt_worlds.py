"""A broker as mqtt_bridge sees it: what it publishes, keeps, repeats and loses."""

from __future__ import annotations

import asyncio
import contextlib

import mqtt_bridge.broker.session
from iofog_sdk import ConnectionLost, NodeUnreachable
from iofog_sdk.mqtt import ReceivedMessage
from mqtt_bridge.service import MqttBridge

from ..movable_clock import now
from .bench import World

_NAMES = ("tank", "boiler", "pump")
_LIVE_S = 2.0
"""A value that is sent as good is no older."""


class FakeBroker:
    """Devices publish their values each second; each value says whose it is and when it was published."""

    def __init__(self):
        self.connection, self.session, self.is_there, self.shares = None, [], True, {}

    def connect(self, options, lost, take, duplicates):
        return FakeConnection(self, options, lost, take)


class FakeConnection:
    """What a session does with a connection."""

    max_payload, too_large = 1 << 20, 0

    def __init__(self, broker, options, lost, take):
        self.options, self.lost, self.take = options, lost, take
        self._broker = broker

    async def open(self):
        if not self._broker.is_there:
            raise NodeUnreachable("nobody answers")

    async def subscribe(self, filters, *, echo):
        self._broker.connection = self
        waiting, self._broker.session = self._broker.session, []
        for topic, payload in waiting:
            self.deliver(topic, payload, may_have_waited=True)

    def deliver(self, topic, payload, *, retained=False, may_have_waited=False):
        self.take(ReceivedMessage(topic, payload, retained, (), True, lambda: None, now(), may_have_waited))

    def publish(self, publications, done):
        done(None)

    def tick(self):
        """Nothing is due."""

    def abort(self, error):
        if not self.lost.done():
            self.lost.set_result(error)

    async def close(self):
        if self._broker.connection is self:
            self._broker.connection = None


class BrokerWorld(World):
    """Three devices on a broker."""

    settle_s, recovery_s = 5.0, 60.0

    def __init__(self, broker, chance):
        super().__init__(
            MqttBridge,
            broker={"host": "broker", "client_id": "b"},
            stale_after=10,
            to_iofog=[
                {"topic": "tele/+/json", "prefix": "{1}/", "fields": [{"name": "v", "valid": [0, 1e6]}]},
                {"topic": "+/#", "payload": "value", "prefix": "all/", "fields": [{"name": "v"}]},
            ],
        )
        self._broker, self._chance = broker, chance
        self.faults = {
            "drop": lambda chance: self._share("drop", chance),
            "duplicate": lambda chance: self._share("duplicate", chance),
            "corrupt": lambda chance: self._share("corrupt", chance),
            "swap": lambda chance: self._share("retained", chance),
            "absence": lambda _: self._go(),
            "loss": lambda _: self._lose(),
        }

    def _share(self, name, chance):
        self._broker.shares[name] = chance.uniform(0.05, 0.6)

    def _lose(self):
        if self._broker.connection is not None:
            self._broker.connection.abort(ConnectionLost("cut"))
            self._broker.connection = None

    def _go(self):
        self._broker.is_there = False
        self._lose()

    def heal(self):
        self._broker.shares.clear()
        self._broker.is_there = True

    def is_right(self, reading):
        whose, _, _ = reading.name.partition("/")
        number, published_s = divmod(int(reading.value), 100_000)
        is_own = whose == "all" or _NAMES[number] == whose
        age_s = now() % 100_000 - published_s
        return is_own and (reading.time < 0 or age_s <= _LIVE_S)

    async def publish(self):
        """Has the devices publish."""
        happens = lambda fault: self._chance.random() < self._broker.shares.get(fault, 0.0)  # noqa: E731
        old = {}
        while True:
            await asyncio.sleep(1.0)
            for number, name in enumerate(_NAMES):
                value = number * 100_000 + int(now() % 100_000)
                topic, payload = f"tele/{name}/json", b'{"v": %d}' % value
                if happens("drop"):
                    continue
                if happens("corrupt"):
                    payload = self._chance.choice((b'{"v": "x"}', b"", b"\xff", b"{", b'{"v": null}', b"[1]"))
                connection = self._broker.connection
                if connection is None:
                    self._broker.session.append((topic, payload))
                    continue
                for _ in range(1 + happens("duplicate")):
                    connection.deliver(topic, payload)
                if happens("retained") and name in old:
                    connection.deliver(topic, old[name], retained=True)
                old[name] = payload


@contextlib.asynccontextmanager
async def _broker(_, chance):
    broker = FakeBroker()
    real, mqtt_bridge.broker.session.MqttConnection = mqtt_bridge.broker.session.MqttConnection, broker.connect
    world = BrokerWorld(broker, chance)
    publishing = asyncio.ensure_future(world.publish())
    try:
        yield world
    finally:
        mqtt_bridge.broker.session.MqttConnection = real
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)


WORLDS = {"mqtt_bridge:broker": _broker}
