"""A command says for which bridge it is: JSON in `bridge`, a SenML pack by its base name."""

import asyncio
import json

import pytest
from bench_lamps.service import Lamps

from iofog_sdk import IoMessage

from .conftest import steady, until

pytestmark = pytest.mark.clock("movable")
AGE = {"max_command_age": 1e12}
BRIDGES = {
    "one": steady(),
    "lamps": {"service": "bench_lamps", "settings": AGE | {"source": "plant/lamps"}},
    "more": {"service": "bench_lamps", "settings": AGE},
}


@pytest.fixture
def lamps():
    Lamps.done.clear()
    Lamps.refuses = False
    return Lamps


async def test_commands_reach_their_bridge_and_are_answered(gateway, lamps):
    async with gateway(bridges=BRIDGES) as running:
        await until(lambda: running.state("more") == running.state("lamps") == "open")
        running.link.command(command="lamp", bridge="lamps", value=True, id="1")
        await until(lambda: len(running.link.results) == 1)
        pack = json.dumps([{"bn": "plant/lamps:", "n": "lamp", "vb": False}]).encode()
        running.link.inbox.put_nowait(IoMessage(id="p", timestamp=2**31 * 1000, contentdata=pack))
        await until(lambda: len(running.link.results) == 2)
        running.link.command(command="test", bridge="more", id="3")
        await until(lambda: len(running.link.results) == 3)
    assert lamps.done == [("lamp", True), ("lamp", False), ("test", None)]
    assert [(result["id"], result["ok"]) for result in running.link.results] == [
        ("1", True),
        ("p", True),
        ("3", True),
    ]
    assert running.link.results[0]["readings"][0]["bn"] == "plant/lamps:"


async def test_a_pack_is_for_the_bridge_whose_whole_base_name_it_has(gateway, lamps):
    sources = {"plant": "plant", "second": "plant:2"}
    bridges = {
        name: {"service": "bench_lamps", "settings": AGE | {"source": source}} for name, source in sources.items()
    }
    async with gateway(bridges=bridges) as running:
        await until(lambda: running.state("plant") == running.state("second") == "open")
        pack = json.dumps([{"n": "plant:2:lamp", "vb": True}]).encode()
        running.link.inbox.put_nowait(IoMessage(id="p", timestamp=2**31 * 1000, contentdata=pack))
        await until(lambda: running.link.results)
    assert [(result["ok"], result["readings"][0]["bn"]) for result in running.link.results] == [(True, "plant:2:")]


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"command": "lamp", "value": True, "id": "7"}, "say for which bridge it is"),
        (
            {"command": "lamp", "value": True, "bridge": "lamp", "id": "7"},
            "there is no bridge 'lamp'. Known: lamps, mo",
        ),
        ({"command": "lamp", "value": True, "bridge": 3, "id": "7"}, "there is no bridge '3'"),
    ],
)
async def test_a_command_for_no_bridge_is_refused_and_executed_by_none(gateway, lamps, members, said):
    async with gateway(bridges=BRIDGES) as running:
        await until(lambda: running.state("more") == running.state("lamps") == "open")
        running.link.command(**members)
        await until(lambda: running.link.results)
    [result] = running.link.results
    assert said in result["detail"]
    assert (result["command"], result["id"], result["ok"]) == ("lamp", "7", False)
    assert lamps.done == []


@pytest.mark.parametrize(
    "content",
    [
        b'[{"n":"lamp","vb":true}]',
        b'[{"bn":"plant/lamps:","n":"lamp","vb":true},{"bn":"more:","n":"lamp","vb":true}]',
        b'[{"n":1}]',
        b"{",
        b'{"command":"lamp","value":NaN}',
    ],
)
async def test_what_is_for_several_or_cannot_be_read_is_executed_by_none(gateway, lamps, content):
    async with gateway(bridges=BRIDGES) as running:
        await until(lambda: running.state("more") == running.state("lamps") == "open")
        running.link.inbox.put_nowait(IoMessage(id="x", timestamp=2**31 * 1000, contentdata=content))
        await asyncio.sleep(20)
        assert lamps.done == []
        assert not any(result["ok"] for result in running.link.results)
        assert running.state("one") == "reading"


async def test_one_that_takes_no_commands(gateway, lamps):
    async with gateway(bridges=BRIDGES) as running:
        await until(lambda: running.state("one") == "reading")
        running.link.command(command="lamp", bridge="one", value=True, id="7")
        await asyncio.sleep(5)
        assert lamps.done == []


async def test_one_that_is_being_stopped_holds_up_no_command_for_another(gateway, lamps, monkeypatch):
    async with gateway(bridges=BRIDGES) as running:
        await until(lambda: running.state("more") == running.state("lamps") == "open")

        async def close(self):
            await asyncio.sleep(2.5 if self.settings.source else 0)

        monkeypatch.setattr(lamps, "close", close)
        running.link.reconfigure(bridges=BRIDGES | {"lamps": BRIDGES["lamps"] | {"enabled": False}})
        await asyncio.sleep(0.5)
        for number in range(40):
            running.link.command(command="lamp", bridge="lamps", value=True, id=f"l{number}")
            running.link.command(command="lamp", bridge="more", value=True, id=f"m{number}")
            await asyncio.sleep(0.1)
        await until(lambda: len(running.link.results) == 80)
        refused = [result["detail"] for result in running.link.results if result["id"].startswith("l")]
        assert set(refused) == {"the service is stopping", "bridge lamps does not run: it is disabled"}
        assert all(result["ok"] == result["id"].startswith("m") for result in running.link.results)
