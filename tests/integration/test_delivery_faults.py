"""Delivery while the node misbehaves: nothing lost, order kept, duplicates only of what was under way.

`FAULT_S=180 make test ARGS='tests/integration/test_delivery_faults.py -k "restart or refuse"'` has servers away for
minutes.
"""

import asyncio
import json
import os

import pytest

from device_bridge.outbox.delivery import WINDOW
from gps_receiver.emulator import encode
from gps_receiver.service import GpsReceiver
from local_agent import LocalAgent
from local_agent.ports import free_port

from ..campaign import budget
from .conftest import ServiceHere, agent_config, environment, opened, page, receiving, until, until_page
from .nodes import NODES, is_here
from .test_mqtt_link import MOSQUITTO

SENTENCES = budget(200, 400)
FAULT_S = float(os.environ.get("FAULT_S", "1.2"))
"""Longer than the time limits of the link."""


def sentence(number):
    return encode(f"GPVTG,,T,,M,{number}.0,N,,K")


DURABILITIES = ("spill", "always")
CASES = [
    pytest.param(kind, fault, durability, id=f"{kind}-{fault}-{durability}")
    for kind, node in NODES.items()
    for n, fault in enumerate(node.FAULTS)
    for durability in budget(DURABILITIES[n % 2 :][:1], DURABILITIES)
]


@pytest.mark.campaign
@pytest.mark.timeout(600 + FAULT_S)
@pytest.mark.parametrize(("kind", "fault", "durability"), CASES)
async def test_nothing_is_lost_and_order_kept(line, tmp_path, caplog, kind, fault, durability):
    if not is_here(kind):
        pytest.skip(MOSQUITTO)
    settings = {
        "SETTING_SERIAL__PORT": str(line.path),
        "SETTING_STALE_AFTER": "0",
        "SETTING_OUTBOX__DURABILITY": durability,
        "SETTING_OUTBOX__DIRECTORY": str(tmp_path),
        "SETTING_OUTBOX__SPILL_AFTER": "0.1",
    }
    async with NODES[kind](tmp_path) as node, node.receiving() as receiver:
        if fault in node.SENDS_AGAIN_LATE:
            async with node.receiving("witness"):
                pass  # away meanwhile: what it gets in the end is in the order in which the server has taken it
        service = ServiceHere(GpsReceiver, caplog, **node.variables(), **settings)
        await until(lambda: opened(service, line))
        for number in range(1, SENTENCES + 1):
            if number == SENTENCES // 4:
                await until(lambda: receiver.samples)
                await node.begin(fault)
            await line.send(sentence(number))
        await asyncio.sleep(FAULT_S)
        await node.end(fault)
        await until(lambda: len(receiver.samples) >= SENTENCES, 150)
        await service.stop()
        if fault in node.SENDS_AGAIN_LATE:
            async with node.receiving("witness") as witness:
                await until(lambda: len(witness.samples) >= SENTENCES, 150)
                receiver = witness  # noqa: PLW2901 - it is the one to be believed
    counts = service.counts
    assert counts["read"] == counts["delivered"] == SENTENCES
    assert (counts["dropped"], counts["buffered"]) == (0, 0)
    tracker = receiver.tracker
    assert (tracker.received, tracker.missing, tracker.reordered) == (SENTENCES, 0, 0)
    assert tracker.duplicates <= 8 * WINDOW
    assert [round(sample[0].value / 0.514444) for sample in receiver.samples] == list(range(1, SENTENCES + 1))


async def test_an_agent_that_comes_late_gets_everything(start, line, tmp_path):
    port = free_port()
    ids = LocalAgent(agent_config(port=port))
    service = await start(
        *("gps_receiver",),
        **environment(ids),
        SETTING_SERIAL__PORT=str(line.path),
        SETTING_OUTBOX__DIRECTORY=str(tmp_path),
        SETTING_OUTBOX__SPILL_AFTER="0.1",
    )
    await until(lambda: opened(service, line))
    for number in range(1, 1001):
        await line.send(sentence(number))
    async with LocalAgent(agent_config(port=port)) as agent, receiving(agent) as receiver:
        await until(lambda: len(receiver.samples) == 1000, 150)
        assert await service.stop() == 0
    assert receiver.tracker.missing == receiver.tracker.duplicates == 0


async def test_a_full_disk_is_said_and_survived(start, line, tmp_path):
    port, http_port = free_port(), free_port()
    ids = LocalAgent(agent_config(port=port))
    service = await start(
        "gps_receiver",
        max_file=200_000,  # as a full disk: the kernel refuses to let any file grow beyond
        **environment(ids),
        SETTING_SERIAL__PORT=str(line.path),
        SETTING_HTTP__PORT=str(http_port),
        SETTING_OUTBOX__DIRECTORY=str(tmp_path),
        SETTING_OUTBOX__SPILL_AFTER_S="0.1",
    )
    await until(lambda: opened(service, line))
    for number in range(1, 2001):
        await line.send(sentence(number))
    text = await until_page(
        http_port, "/readyz", lambda _, text: "outbox" in text and json.loads(text)["outbox"]["problem"]
    )
    assert ".outbox" in json.loads(text)["outbox"]["problem"]
    assert (await page(http_port, "/healthz"))[0] == 200
    async with LocalAgent(agent_config(port=port)) as agent, receiving(agent) as receiver:
        await until(lambda: len(receiver.samples) == 2000, 150)
        assert await service.stop() == 0
    assert receiver.tracker.missing == receiver.tracker.reordered == 0
    assert service.counts["dropped"] == 0


async def test_sigkill_of_the_whole_service_leaves_no_hole(agent, start, line, tmp_path):
    outbox = {"durability": "always", "directory": str(tmp_path)}
    agent.set_config("device", {"serial": {"port": str(line.path)}, "outbox": outbox})
    async with receiving(agent) as receiver:
        for life in range(budget(4, 12)):
            service = await start("gps_receiver", **environment(agent))
            await until(lambda service=service: opened(service, line))
            before = len(receiver.samples)
            for number in range(200):
                await line.send(sentence(number))
            await until(lambda before=before, life=life: len(receiver.samples) >= before + life * 20)
            assert await service.stop(9) == -9
        service = await start("gps_receiver", **environment(agent))
        await until(lambda: opened(service, line))
        await line.send(sentence(1))
        assert await service.stop() == 0
        assert service.counts["buffered"] == 0
    groups: dict[str, list[int]] = {}
    for name, number in receiver.order:
        groups.setdefault(name, []).append(number)
    for numbers in groups.values():
        assert numbers == list(range(1, len(numbers) + 1))
    assert receiver.tracker.missing == 0
