"""mqtt_bridge in this process: what it leaves to the broker, and what it does when connections do not last."""

import asyncio
import contextlib
import json

import pytest

from device_bridge import Command, DeviceError, DeviceErrorKind
from device_bridge.outbox.durable import Outbox
from device_bridge.outbox.inbound import Inbound
from device_bridge.service_settings import OutboxSettings
from device_bridge.supervision.supervisor import Supervisor
from iofog_sdk import IoMessage, NodeUnreachable
from iofog_sdk.mqtt import MqttConnection
from iofog_sdk.mqtt.messages import Publication
from mqtt_bridge.service import MqttBridge

from ..services.serving import settings_of
from .conftest import Steps, until
from .nodes import MosquittoNode
from .test_mqtt_bridge import broker, client, published
from .test_mqtt_link import needs_mosquitto

LEVELS = [{"topic": "tele/level", "payload": "value"}]
WINDOW = 1024
"""Messages that the NATS server sends without an acknowledgement."""


KEPT = {}
"""What instances of one process go on with."""


@pytest.fixture(autouse=True)
def nothing_kept():
    KEPT.clear()


def bridge_settings(port, version, **more):
    where = {"host": "127.0.0.1", "port": port, "version": version, "answer_timeout": 60}
    return settings_of(MqttBridge, broker=where, **{"to_iofog": LEVELS, "status": ""} | more)


@contextlib.asynccontextmanager
async def opened(settings):
    service = MqttBridge(settings)
    service.kept = KEPT
    try:
        await service.open()
        yield service
    finally:
        await service.close()


@contextlib.asynccontextmanager
async def boundless(folder):
    """A broker that sends everything at once, and again as soon as somebody connects."""
    folder.mkdir()
    node = MosquittoNode(folder)
    node.version, node.more = "3.1.1", "max_inflight_messages 0\n"
    async with node:
        yield node


async def rest(samples, values, last):
    """Takes values until the last one has come, or the connection is lost."""
    with contextlib.suppress(DeviceError):
        while len(values) < last:
            values.append(value(await asyncio.wait_for(anext(samples), 60)))
    await samples.aclose()


def value(passed):
    (reading,) = passed.content
    return int(reading.value)


def waiting(service):
    return len(service.session._came._waiting)


def numbers(first, last):
    return [Publication("tele/level", b"%d" % number) for number in range(first, last + 1)]


async def test_a_window_that_is_full_is_no_reason_to_lose_the_connection(tmp_path):
    """Nobody takes what comes, as with an outbox that is full and is to block."""
    async with broker("nats", tmp_path / "broker") as node:
        async with opened(bridge_settings(node.relay.port, node.version)) as service, client(node) as peer:
            samples = service.stream()
            await published(peer, *numbers(1, 4000))
            values = [value(await anext(samples))]
            await until(lambda: waiting(service) >= WINDOW - 1)
            values += [value(await anext(samples)) for _ in range(3999)]
            assert values == list(range(1, 4001))
            assert not service.session.lost.done()
            await samples.aclose()


@needs_mosquitto
async def test_what_has_come_by_a_connection_that_was_not_ready_in_time_is_passed_on_by_the_next(
    tmp_path, monkeypatch
):
    real = MqttConnection.subscribe

    async def fail_late(connection, *filters, **options):
        await until(lambda: came)
        raise NodeUnreachable("MQTT: the broker does not answer")

    came, take = [], MqttConnection._on_message
    async with broker("mosquitto", tmp_path / "broker") as node, client(node) as peer:
        settings = bridge_settings(node.relay.port, node.version)
        async with opened(settings):
            pass
        await published(peer, *numbers(1, 100))
        monkeypatch.setattr(MqttConnection, "subscribe", fail_late)
        monkeypatch.setattr(MqttConnection, "_on_message", lambda *of: (take(*of), came.append(of)))
        with pytest.raises(DeviceError, match="does not answer"):
            async with opened(settings):
                pass
        monkeypatch.setattr(MqttConnection, "subscribe", real)
        async with opened(settings) as service:
            samples = service.stream()
            assert [value(await asyncio.wait_for(anext(samples), 60)) for _ in range(100)] == list(range(1, 101))
            await samples.aclose()


@needs_mosquitto
async def test_what_has_come_by_a_lost_connection_is_passed_on_once(tmp_path):
    async with boundless(tmp_path / "broker") as node:
        settings = bridge_settings(node.relay.port, node.version)
        values = []
        async with opened(settings) as service, client(node) as peer:
            samples = service.stream()
            await published(peer, *numbers(1, 2000))
            values += [value(await anext(samples)) for _ in range(3)]
            await until(lambda: waiting(service) == 1997)
            node.relay.drop()
            await until(service.session.lost.done)
            await rest(samples, values, 2001)
        assert values == list(range(1, 2001)), "the broker may have forgotten them"
        async with opened(settings) as service, client(node) as peer:
            await published(peer, *numbers(2001, 2001))
            await rest(service.stream(), values, 2001)
        assert values == list(range(1, 2002)), "it sends them again"


@needs_mosquitto
async def test_what_is_not_passed_on_at_a_reload_comes_again(tmp_path):
    async with boundless(tmp_path / "broker") as node:
        settings, values = bridge_settings(node.relay.port, node.version), []
        async with opened(settings) as service, client(node) as peer:
            samples = service.stream()
            await published(peer, *numbers(1, 100))
            values += [value(await anext(samples)) for _ in range(3)]
            await until(lambda: waiting(service) == 97)
            await samples.aclose()
        async with opened(settings) as service:
            await rest(service.stream(), values, 101)
        assert values == [1, 2, 3, *range(3, 101)], "the last one taken had not been acknowledged"


@needs_mosquitto
async def test_what_does_not_fit_into_memory_comes_on_the_next_connection(tmp_path, monkeypatch):
    monkeypatch.setattr("mqtt_bridge.broker.arrivals._MOST_BYTES", 60_000)
    async with boundless(tmp_path / "broker") as node:
        settings, values, connections = bridge_settings(node.relay.port, node.version), [], 0
        async with opened(settings):
            pass  # its session stays
        async with client(node) as peer:
            await published(peer, *numbers(1, 500))
        while len(values) < 500:
            connections += 1
            async with opened(settings) as service:
                await rest(service.stream(), values, 500)
        assert values == list(range(1, 501))
        assert connections > 1


class Outgoing:
    """An outbox that writes when it is config to."""

    def __init__(self):
        self.waiting = []

    def when_written(self, done):
        self.waiting.append(done)

    async def wait_written(self):
        return None


@needs_mosquitto
async def test_a_message_is_acknowledged_to_the_broker_when_it_is_written(tmp_path):
    async with broker("mosquitto", tmp_path / "broker") as node:
        settings = bridge_settings(node.relay.port, node.version)

        async def some(count, *, write):
            box = Inbound(OutboxSettings(), None, "bridge", {"run"}, outgoing=Outgoing())
            service = MqttBridge(settings)
            service.inbound, service.kept = box, KEPT
            await service.open()
            samples = service.stream()
            values = [value(await asyncio.wait_for(anext(samples), 60)) for _ in range(count)]
            resumed = asyncio.ensure_future(anext(samples))
            await until(lambda: len(box.outgoing.waiting) == count)
            for done in box.outgoing.waiting if write else ():
                done()
            resumed.cancel()
            await asyncio.gather(resumed, return_exceptions=True)
            await service.close()
            return values

        async with opened(settings), client(node) as peer:
            pass
        async with client(node) as peer:
            await published(peer, *numbers(1, 3))
        assert await some(3, write=False) == [1, 2, 3]
        KEPT.clear()
        assert await some(3, write=True) == [1, 2, 3], "as after a crash"
        async with client(node) as peer:
            await published(peer, *numbers(4, 4))
        assert await some(1, write=True) == [4]


class Closing:
    """A broker of 3.1.1 that says something, and closes the connection over the first publication.

    Parameters:
        granted: its answer to subscriptions.
    """

    def __init__(self, granted=1):
        self.granted = granted

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()

    async def _serve(self, reader, writer):
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                kind = (await reader.readexactly(1))[0] >> 4
                size, shift, more = 0, 0, True
                while more:
                    byte = (await reader.readexactly(1))[0]
                    size, shift, more = size | (byte & 127) << shift, shift + 7, byte > 127
                body = await reader.readexactly(size)
                if kind == 1:
                    writer.write(b"\x20\x02\x00\x00")  # CONNACK
                elif kind == 8:
                    writer.write(b"\x90\x03" + body[:2] + bytes([self.granted]))  # SUBACK
                    writer.write(b"\x30\x0d\x00\x0atele/level7")  # PUBLISH
                elif kind in (3, 14):
                    break


async def test_a_broker_that_ends_each_connection_is_asked_less_and_less():
    emitted = []
    async with Closing() as server:
        settings = bridge_settings(server.port, "3.1.1", to_mqtt=[{"topic": "plant/x", "messages": "other"}])
        box = Inbound(OutboxSettings(), None, "bridge", {"run"}, outgoing=Outbox(OutboxSettings()))
        await box.accept(IoMessage(infotype="text/plain", contentdata=b"x"))
        backoff = Steps()

        async def room():
            return None

        bridge = Supervisor(MqttBridge, settings, emitted.append, room, backoff, inbound=box)
        running = asyncio.ensure_future(bridge.run())
        await until(lambda: len(backoff.taken) >= 5)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert backoff.taken[:5] == [1, 2, 4, 8, 16]
    assert (box.read, box.buffered) == (1, 1)


async def test_a_subscription_that_is_refused_is_asked_for_less_and_less():
    async with Closing(granted=0x80) as server:
        with pytest.raises(DeviceError, match="a subscription to tele/level is refused") as found:
            async with opened(bridge_settings(server.port, "3.1.1")):
                pass
    assert found.value.kind is DeviceErrorKind.UNREACHABLE


async def next_value(samples):
    passed = await asyncio.wait_for(anext(samples), 60)
    (reading,) = passed.content
    return int(reading.value), reading.quality.value


@pytest.mark.parametrize("kind", ["nats", "mosquitto"])
async def test_what_has_waited_at_the_broker_is_stale_and_what_follows_is_good(kind, tmp_path):
    async with broker(kind, tmp_path / "broker") as node:
        settings = bridge_settings(node.relay.port, node.version)
        async with opened(settings) as service, client(node) as peer:
            samples = service.stream()
            await published(peer, *numbers(1, 1))
            assert await next_value(samples) == (1, "good")
            resumed = asyncio.ensure_future(anext(samples))  # by which it is acknowledged
            await asyncio.sleep(0.1)
            resumed.cancel()
            await asyncio.gather(resumed, return_exceptions=True)
        async with client(node) as peer:
            await published(peer, *numbers(2, 60))
        async with opened(settings) as service, client(node) as peer:
            samples = service.stream()
            assert [await next_value(samples) for _ in range(59)] == [(number, "stale") for number in range(2, 61)]
            follows = asyncio.ensure_future(next_value(samples))
            await until(lambda: not service.session._connection._freshness._may_have_waited)
            await published(peer, *numbers(61, 61))
            assert await follows == (61, "good")
            await samples.aclose()


async def test_what_comes_after_the_bridge_has_held_back_messages_may_have_waited(tmp_path, monkeypatch):
    monkeypatch.setattr("iofog_sdk.mqtt.freshness._HELD_BACK_S", 0.2)
    async with broker("mosquitto", tmp_path / "broker") as node:
        async with opened(bridge_settings(node.relay.port, node.version)) as service, client(node) as peer:
            samples = service.stream()
            await published(peer, *numbers(1, 400))
            assert await next_value(samples) == (1, "good")
            await asyncio.sleep(0.4)
            rest = [await next_value(samples) for _ in range(399)]
            assert [number for number, _ in rest] == list(range(2, 401))
            assert rest[-1] == (400, "stale"), "the broker sends no more than 256 without an acknowledgement"
            await samples.aclose()


@needs_mosquitto
@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_a_message_that_two_filters_fit_comes_once(version, tmp_path):
    rules = [{"topic": f"tele/{level}", "payload": "value"} for level in ("+", "level/#", "+/x")]
    rules += [{"topic": "+/level", "becomes": "command", "command": "set"}]
    async with broker("mosquitto", tmp_path / "broker") as node:
        node.version = version
        settings = bridge_settings(node.relay.port, version, to_iofog=rules)
        async with opened(settings) as service, client(node) as peer:
            samples = service.stream()
            await published(peer, *numbers(1, 3))
            found = [await asyncio.wait_for(anext(samples), 60) for _ in range(9)]
            kinds = [
                json.loads(one.content)["value"] if isinstance(one.content, bytes) else value(one) for one in found
            ]
            assert kinds == [1, 1, 1, 2, 2, 2, 3, 3, 3]
            waiting_for_more = asyncio.ensure_future(anext(samples))
            done, _ = await asyncio.wait([waiting_for_more], timeout=0.5)
            assert not done
            waiting_for_more.cancel()
            await asyncio.gather(waiting_for_more, return_exceptions=True)


@needs_mosquitto
@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_a_large_message_comes_or_is_counted(version, tmp_path):
    rules = [{"topic": "tele/level", "becomes": "message"}]
    async with broker("mosquitto", tmp_path / "broker") as node:
        node.version = version
        settings = bridge_settings(node.relay.port, version, to_iofog=rules)
        async with opened(settings) as service, client(node) as peer:
            samples = service.stream()
            for size in (5_000_000, 9_000_000, 3):
                await published(peer, Publication("tele/level", bytes(size)))
            found = [await asyncio.wait_for(anext(samples), 60) for _ in range(2)]
            assert [len(one.content) for one in found] == [5_000_000, 3]
            assert service.counters()["to_iofog_too_large"] == 1
            await samples.aclose()


@needs_mosquitto
async def test_a_command_that_the_broker_has_is_not_reported_as_failed_at_a_reload(tmp_path):
    commands = {"power": {"topic": "cmnd/plug"}}
    async with broker("mosquitto", tmp_path / "broker") as node:
        settings = bridge_settings(node.relay.port, node.version, to_iofog=(), commands=commands)

        async def room():
            return None

        bridge = Supervisor(MqttBridge, settings, lambda _: None, room)
        running = asyncio.ensure_future(bridge.run())
        await until(lambda: bridge.is_usable)
        node.relay.delay_s = 0.3
        asked = asyncio.ensure_future(bridge.execute(Command(name="power", parameters={"value": True})))
        await asyncio.sleep(0.05)
        bridge.apply(
            bridge_settings(node.relay.port, node.version, to_iofog=(), commands=commands | {"x": {"topic": "y"}})
        )
        result = await asyncio.wait_for(asked, 30)
        assert (result.ok, result.detail) == (True, "published on cmnd/plug")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
