"""Every collection that could grow with what comes in, and what bounds it.

A new attribute that begins as an empty collection has to be written into one of the two tables: with a filling that
shows its bound, or with what else bounds it.
"""

import ast
import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from device_bridge import Command, CommandedSettings, CommandError, OutboxSettings, Quantity, Reading
from device_bridge.control import Totals
from device_bridge.declared import MAX_NAMES, DeclaredQuantities
from device_bridge.filters import FilterChain, Median
from device_bridge.messages.clock import Clock
from device_bridge.messages.maker import MessageMaker
from device_bridge.outbox.durable import Outbox
from device_bridge.outbox.inbound import Inbound
from device_bridge.reading import Forwarded
from device_bridge.runtime import command_memory
from device_bridge.runtime.command_memory import CommandMemory
from device_bridge.runtime.commands import MAX_WAITING, CommandRunner
from device_bridge.supervision.instance import MAX_EXECUTING, Instance
from device_bridge.supervision.staleness import Staleness
from device_bridge.telemetry.repeated_lines import MAX_KINDS, RepeatedLines
from iofog_sdk import IoMessage, SequenceTracker
from iofog_sdk.mqtt.messages import DuplicateFilter

COMMON = Path(__file__).parents[2] / "common"
MANY = 11_000


async def commands_waiting():
    runner = CommandRunner(None, lambda *_: None, CommandedSettings())
    for number in range(1000):
        runner.take(IoMessage(id=str(number), contentdata=b'{"command":"x"}'), "")
    return len(runner._queue), MAX_WAITING


async def commands_remembered():
    memory = CommandMemory(Path("unused"))
    for number in range(MANY):
        memory.add(str(number), 1.0)
    return len(memory), command_memory.SIZE


async def commands_that_do_not_end():
    async def stubborn(_):
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    released = asyncio.Event()
    instance = Instance(lambda: None)
    instance.service = SimpleNamespace(execute=stubborn)
    tasks = [asyncio.ensure_future(instance.execute(Command(name="x"))) for _ in range(100)]
    await asyncio.sleep(0)
    size = len(instance._executing)
    released.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(outcome, CommandError) for outcome in outcomes) == 100 - MAX_EXECUTING
    return size, MAX_EXECUTING


async def totals():
    total = Totals(Path("/nowhere/totals.json"))
    for number in range(3000):
        total.add(str(number), 1)
    return len(total._changes), 1000


async def filtered_names():
    chain = FilterChain((Median(),))
    for number in range(3000):
        chain.apply(Reading(str(number), 1.0, time=1.0), 1.0)
    return len(chain._filters), 1000


async def stale_names():
    staleness = Staleness()
    staleness.after_s = 1.0
    for number in range(MANY):
        staleness.heard(1.0, [Reading(str(number), 1.0)])
    return len(staleness._latest), MAX_NAMES


async def forwarded_names():
    declared = DeclaredQuantities([])
    for number in range(MANY):
        declared.heard([Reading(str(number), 1.0)])
    return len(declared._forwarded), MAX_NAMES


async def undeclared_names():
    declared = DeclaredQuantities([Quantity("known")])
    declared._strict = False
    for number in range(1000):
        declared.check([Reading(str(number), 1.0)])
    assert declared.violations == 1000
    return len(declared._reported), 100


async def templates():
    maker = MessageMaker("p", Clock(), Outbox(OutboxSettings(durability="memory")))
    maker.use("x", FilterChain(()))
    sizes = []
    for number in range(1000):
        sizes.append(len(maker._templates))
        maker.put(Forwarded(content=b"x", infotype="t", infoformat="f", tag=str(number)))
    return max(sizes), 64


async def messages_in_memory():
    box = Outbox(OutboxSettings(durability="memory", max_messages=50))
    for _ in range(1000):
        box.put(b"x", 1)
    assert box.read == box.buffered + box.dropped.total() == 1000
    return len(box._ready), 50


async def inbound_ids():
    outgoing = Outbox(OutboxSettings(durability="memory"))
    settings = OutboxSettings(durability="memory", max_messages=10)
    inbound = Inbound(settings, None, "p", set(), outgoing=outgoing)
    for number in range(3000):
        await inbound.accept(IoMessage(id=str(number)))
    return len(inbound._known), 1000


async def kinds_of_lines():
    repeated = RepeatedLines()
    for number in range(3000):
        text = "".join(chr(ord("g") + int(digit)) for digit in str(number))
        repeated.admits(logging.LogRecord("x", logging.INFO, "", 0, text, (), None), 1.0)
    return len(repeated), MAX_KINDS + 1


async def senders():
    tracker = SequenceTracker()
    for number in range(5000):
        tracker.is_new(IoMessage(groupid=str(number), sequencenumber=1))
    return len(tracker._groups), tracker._max_groups


async def acknowledged_ids():
    duplicates = DuplicateFilter()
    for number in range(5000):
        finish = duplicates.begin(SimpleNamespace(mid=number, topic="t", payload=b"", dup=False), lambda: 1.0)
        finish()
    return len(duplicates._acknowledged), 4096


SHOWN = {
    "device_bridge.control.totals:Totals._changes": totals,
    "device_bridge.declared:DeclaredQuantities._forwarded": forwarded_names,
    "device_bridge.declared:DeclaredQuantities._reported": undeclared_names,
    "device_bridge.filters:FilterChain._filters": filtered_names,
    "device_bridge.messages.maker:MessageMaker._templates": templates,
    "device_bridge.outbox.inbound:Inbound._known": inbound_ids,
    "device_bridge.outbox.memory:Backlog._ready": messages_in_memory,
    "device_bridge.runtime.command_memory:CommandMemory._known": commands_remembered,
    "device_bridge.runtime.commands:CommandRunner._queue": commands_waiting,
    "device_bridge.supervision.instance:Instance._executing": commands_that_do_not_end,
    "device_bridge.telemetry.repeated_lines:RepeatedLines._kinds": kinds_of_lines,
    "device_bridge.supervision.staleness:Staleness._latest": stale_names,
    "iofog_sdk.messages.sequence:SequenceTracker._groups": senders,
    "iofog_sdk.mqtt.messages:DuplicateFilter._acknowledged": acknowledged_ids,
}

BOUNDED = {
    "device_bridge.gateway.bridges:ServiceBridges._bridges": "gateway_settings: MOST",
    "device_bridge.gateway.bridges:ServiceBridges._ending": "an end is bounded in time",
    "device_bridge.gateway.intake:RateLimit._held": "_MAX_HELD",
    "device_bridge.gateway.rules:BridgeRules._acting": "gateway_settings: MOST",
    "device_bridge.gateway.rules:BridgeRules._decided": "outputs that rules name",
    "device_bridge.gateway.rules:BridgeRules._heard": "readings that rules name",
    "device_bridge.gateway.rules:BridgeRules._held": "outputs that rules name",
    "device_bridge.gateway.rules:BridgeRules._lost": "readings that rules name",
    "device_bridge.gateway.rules:BridgeRules._problems": "outputs that rules name",
    "device_bridge.gateway.rules:BridgeRules._waiting": "outputs that rules name",
    "device_bridge.outbox.account:Account.dropped": "names in code",
    "device_bridge.outbox.memory:Backlog.accounts": "bridges that there were since the start",
    "device_bridge.outbox.memory:Backlog.set_aside": "a few at the head, for a while",
    "device_bridge.runtime.uplink:Uplink._shares": "bridges that there were since the start",
    "device_bridge.service:DeviceService.kept": "names in code",
    "device_bridge.buses.gpio.bus:GpioBus._chips": "chips of the machine",
    "device_bridge.buses.gpio.bus:GpioBus._warned": "lines in settings",
    "device_bridge.buses.i2c.locks:TaskLock._held": "tasks of the service",
    "device_bridge.buses.i2c.locks:TaskLock._waiting": "tasks of the service",
    "device_bridge.buses.i2c.owner:BusOwner._idle_since": "addresses of a bus",
    "device_bridge.buses.i2c.owner:BusOwner.counts": "names in code",
    "device_bridge.buses.serial.bus:SerialBus._finishing": "writes under way",
    "device_bridge.buses.serial.framed_line:FramedLine._unread": "_MOST_DURING_QUESTIONS, or one batch",
    "device_bridge.control.change_reporter:ChangeReporter._sent": "quantities of the settings",
    "device_bridge.control.debounce:Debounce._changed_at": "bits of a chip",
    "device_bridge.control.members:Member.counters": "names in code",
    "device_bridge.control.rules:Rules._by_reading": "rules in settings",
    "device_bridge.control.rules:Rules._last": "rules in settings",
    "device_bridge.control.totals:Totals._being_saved": "as _changes, whose place it takes",
    "device_bridge.filters:_OutlierGate._values": "size of the filter",
    "device_bridge.filters:_Window._values": "size of the filter",
    "device_bridge.messages.maker:MessageMaker.groups": "one for each 2**31 messages",
    "device_bridge.outbox.delivery:Delivery._in_flight": "the window of a delivery",
    "device_bridge.outbox.disk_backlog:DiskBacklog._done": "ranges of messages on disk: max_messages",
    "device_bridge.outbox.spilling:SpillingBacklog._done": "the same",
    "device_bridge.outbox.spilling:SpillingBacklog._fresh": "max_bytes and max_messages",
    "device_bridge.outbox.spilling:SpillingBacklog._timers": "names in code",
    "device_bridge.outbox.durable:Outbox._done": "ranges of messages on disk: max_messages",
    "device_bridge.outbox.inbound:Inbound.ignored": "names in code",
    "device_bridge.outbox.memory:Backlog._sent": "the window of a delivery",
    "device_bridge.outbox.memory:Backlog._to_notify": "messages of others in the queue of the link",
    "device_bridge.outbox.memory:Backlog.dropped": "names in code",
    "device_bridge.outbox.storage.store:Store._segments": "max_bytes",
    "device_bridge.protocols.questions.exchange:Exchange._answered_at": "devices in settings",
    "device_bridge.protocols.questions.exchange:Exchange._owed": "_MAX_REMEMBERED",
    "device_bridge.protocols.questions.known_answers:KnownAnswers._known": "MAX_REMEMBERED",
    "device_bridge.protocols.questions.known_answers:KnownAnswers._thrown": "MAX_REMEMBERED",
    "device_bridge.runtime.command_memory:CommandMemory._not_begun": "some of _known",
    "device_bridge.runtime.command_memory:CommandMemory._unwritten": "commands since the last flush",
    "device_bridge.supervision.instance:Instance._tasks": "methods marked with @every",
    "device_bridge.runtime.process:Runtime._background": "MAX_REPORTS",
    "device_bridge.runtime.readings_page:LatestReadings._latest": "_MAX_QUANTITIES",
    "device_bridge.supervision.supervisor:Supervisor._kept": "names in code",
    "device_bridge.supervision.supervisor:Supervisor._events": "handled as they come",
    "device_bridge.service:DeviceService._owned": "names in code",
    "device_bridge.settings.sources:SettingsSources._warned": "names in settings models",
    "device_bridge.settings.status:SettingsStatus._problems": "names in code",
    "device_bridge.telemetry.http_server:HttpServer._connections": "test_http_server: MAX_CONNECTIONS",
    "device_bridge.telemetry.listener:Listener._accepting": "addresses of a host",
    "device_bridge.telemetry.listener:Listener._sockets": "addresses of a host",
    "iofog_sdk.agent.message_socket:MessageSocket._awaiting_receipt": "messages in flight",
    "iofog_sdk.http.websocket_connection:SocketConnection._outgoing": "sent at the end of the turn of the loop",
    "iofog_sdk.http.websocket_connection:SocketConnection._pongs": "pings under way",
    "iofog_sdk.links.background_writer:BackgroundWriter._waiting": "who writes: test_logs, test_console_link",
    "iofog_sdk.links.console:ConsoleLink._posted": "messages in flight",
    "iofog_sdk.links.control:Control._logged": "_LOGGED_REASONS",
    "iofog_sdk.links.in_flight:InFlight._pending": "messages in flight",
    "iofog_sdk.links.inbox:Inbox._queue": "messages and bytes of its own limits",
    "iofog_sdk.links.reconnecting:ReconnectingLink._background": "one for each loss of the link",
    "iofog_sdk.links.reconnecting:ReconnectingLink._waiting": "messages in flight",
    "iofog_sdk.mqtt.connection:MqttConnection._acknowledgements": "messages in flight",
    "iofog_sdk.mqtt.connection:MqttConnection._by_mid": "messages in flight",
    "iofog_sdk.mqtt.connection:MqttConnection._logged_topics": "_MAX_LOGGED_TOPICS",
    "iofog_sdk.mqtt.connection:MqttConnection._queue": "messages in flight",
    "iofog_sdk.mqtt.connection:MqttConnection._unwritten": "messages in flight",
    "iofog_sdk.mqtt.messages:DuplicateFilter._earlier": "_REMEMBERED",
    "iofog_sdk.mqtt.messages:DuplicateFilter._pending": "RECEIVE_MAXIMUM",
    "iofog_sdk.nats.consumer:NatsConsumer._background": "messages that a consumer may hold",
    "iofog_sdk.nats.consumer:NatsConsumer._held": "messages that a consumer may hold",
    "iofog_sdk.nats.link:NatsLink._consumers": "names in code",
    "iofog_sdk.nats.link:NatsLink._requests": "_MAX_REQUESTS",
    "iofog_sdk.nats.publisher:NatsPublisher._done_by_reply": "messages in flight",
}


@pytest.mark.parametrize("name", SHOWN)
async def test_a_collection_keeps_its_bound(name, caplog):
    size, bound = await SHOWN[name]()
    assert size == bound, "neither more, nor a bound that was never reached"


def test_every_collection_is_in_one_of_the_tables():
    found = set(collections())
    listed = [*SHOWN, *BOUNDED]
    assert len(listed) == len(set(listed))
    assert found - set(listed) == set(), "write what bounds them into this file"
    assert set(listed) - found == set(), "these are gone"


def collections() -> Iterator[str]:
    """Attributes of instances that begin as empty collections."""
    for library in ("device_bridge", "iofog_sdk"):
        for file in sorted((COMMON / library).rglob("*.py")):
            module = ".".join(file.relative_to(COMMON).with_suffix("").parts)
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.ClassDef):
                    yield from (f"{module}:{node.name}.{attribute}" for attribute in _empty_attributes(node))


def _empty_attributes(owner: ast.ClassDef) -> Iterator[str]:
    for node in ast.walk(owner):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        for target in targets:
            pairs = [(target, value)]
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                pairs = list(zip(target.elts, value.elts, strict=True))
            for each, initial in pairs:
                is_own = (
                    isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name) and each.value.id == "self"
                )
                if is_own and _is_empty_collection(initial):
                    yield each.attr


def _is_empty_collection(node: ast.AST | None) -> bool:
    if isinstance(node, ast.Dict):
        return not node.keys
    if isinstance(node, ast.List):
        return not node.elts
    names = ("dict", "list", "set", "deque", "Counter", "defaultdict", "OrderedDict")
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names and not node.args
