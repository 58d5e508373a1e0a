"""One document: each bridge follows its own part."""

import asyncio

import pytest
from bench_steady.service import Steady

from device_bridge import SettingsError
from edge_gateway.service import EdgeGateway, EdgeGatewaySettings

from .conftest import steady, until
from .recording_link import RecordingLink

pytestmark = pytest.mark.clock("movable")


@pytest.fixture
def gauge():
    Steady.levels.clear()
    Steady.opened.clear()
    Steady.closed.clear()
    return Steady


async def test_a_changed_part_concerns_its_own_bridge(gateway, gauge):
    async with gateway(bridges={"one": steady("1"), "two": steady("2")}) as running:
        await until(lambda: len(running.link.records("one")) > 2 and len(running.link.records("two")) > 2)
        running.link.reconfigure(bridges={"one": steady("1"), "two": steady("3")})
        await until(lambda: "3" in gauge.opened)
        await asyncio.sleep(3)
        assert (gauge.opened, gauge.closed) == (["1", "2", "3"], ["2"])
        assert running.link.numbers().keys() == {m.groupid for m in running.link.sent}
        assert len({m.groupid for m in running.link.sent}) == 3, "its own, and one for each bridge: the same run"


async def test_start_and_stop_of_one_alone(gateway, gauge):
    async with gateway(bridges={"one": steady("1"), "two": steady("2")}) as running:
        await until(lambda: running.state("two") == "reading")
        running.link.reconfigure(bridges={"one": steady("1"), "two": steady("2") | {"enabled": False}})
        await until(lambda: running.state("two") == "disabled")
        assert running.pipeline.is_up, "nothing is wrong with what is off"
        running.link.reconfigure(bridges={"one": steady("1")})
        await until(lambda: running.bridges().keys() == {"one"})
        running.link.reconfigure(bridges={"one": steady("1"), "two": steady("2"), "three": steady("3")})
        await until(lambda: running.state("two") == running.state("three") == "reading")
        assert gauge.opened == ["1", "2", "2", "3"]
        assert gauge.closed == ["2"]


async def test_another_service_under_the_same_name(gateway, gauge):
    async with gateway(bridges={"one": steady("1"), "two": steady("2")}) as running:
        await until(lambda: running.state("two") == "reading")
        running.link.reconfigure(bridges={"one": steady("1"), "two": {"service": "bench_lamps"}})
        await until(lambda: running.bridges()["two"]["service"] == "bench_lamps" and running.state("two") == "open")
        assert gauge.closed == ["2"]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (steady("2", level="high"), "bridges.two.settings.level = 'high'"),
        (steady("2", level=100), "bridges.two.settings.level = 100.0: is too high"),
        (steady("2", prot=1), "bridges.two.settings.prot = 1: unknown setting"),
        ({"service": "bench_steady"}, "bridges.two.settings.port: is required"),
        ({"service": "bench_stedy"}, "bridges.two.service = 'bench_stedy': is no service"),
        ({"service": "edge_gateway"}, "bridges.two.service = 'edge_gateway': runs other services"),
        ({"settings": {}}, "bridges.two.service: is required"),
        (steady("2") | {"enabeld": False}, "bridges.two.enabeld"),
        (steady("2", http={"port": 1}), "bridges.two.settings.http: belongs to the process"),
    ],
)
async def test_refused_settings_of_one_are_named_and_the_others_go_on(gateway, gauge, entry, said):
    async with gateway(bridges={"one": steady("1"), "two": entry}) as running:
        await until(lambda: running.state("two") == "refused")
        assert said in running.bridges()["two"]["settings"]["refused"]
        assert any(said in line for line in running.link.lines), "the node is told"
        await until(lambda: len(running.link.records("one")) > 3)
        running.link.reconfigure(bridges={"one": steady("1"), "two": steady("2")})
        await until(lambda: running.state("two") == "reading")
        assert running.bridges()["two"]["settings"]["refused"] == ""
        assert gauge.closed == []


@pytest.mark.parametrize("source", ["one", "one:"])
async def test_two_devices_under_one_name_are_one_device(gateway, gauge, source):
    second = {"service": "bench_steady", "settings": {"port": "2", "source": source}}
    async with gateway(bridges={"one": steady("1"), "two": second}) as running:
        await until(lambda: running.link.records("one"))
        said = running.bridges()["two"]["settings"]["refused"]
        assert "bridges.two.settings.source" in said
        assert "is that of bridge one" in said
        running.link.reconfigure(bridges={"one": steady("1") | {"enabled": False}, "two": second})
        await until(lambda: running.state("two") == "reading")


async def test_refused_settings_leave_a_running_bridge_as_it_is(gateway, gauge):
    async with gateway(bridges={"one": steady("1"), "two": steady("2")}) as running:
        await until(lambda: running.state("two") == "reading")
        running.link.reconfigure(bridges={"one": steady("1", level=5), "two": steady("2", level=100)})
        await until(lambda: running.link.records("one")[-1]["v"] == 5)
        assert "bridges.two.settings.level" in running.bridges()["two"]["settings"]["refused"]
        count = len(running.link.records("two"))
        await until(lambda: len(running.link.records("two")) > count + 2)
        assert "2" not in gauge.closed


async def test_the_process_has_one_of_what_is_shared(gateway, gauge):
    async with gateway(bridges={"one": steady("1")}, stale_after=30, announce=5) as running:
        await until(lambda: any("bridge" in str(m.contentdata) for m in running.link.sent if "announ" in m.infotype))
        said = [m for m in running.link.sent if "announcement" in m.infotype]
        assert {m.infotype for m in said} == {"application/vnd.iofog.announcement+json"}
        assert any(b'"bridge":"one"' in m.contentdata and b'"service":"bench_steady"' in m.contentdata for m in said)
        gauge.levels["1"] = None
        try:
            await until(lambda: running.state("one") == "stale")
        finally:
            gauge.levels.clear()


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"reading": "level", "output": "lamps/lamp", "on_when": True}, "rules"),
        ({"reading": "none/level", "output": "lamps/lamp", "on_when": True}, "names no bridge"),
        ({"reading": "one/depth", "output": "lamps/lamp", "on_when": True}, "is not measured"),
        ({"reading": "one/level", "output": "one/level", "on_when": True}, "no output with a safe state"),
        ({"reading": "one/level", "output": "lamps/test", "on_when": True}, "no output with a safe state"),
        ({"reading": "one/level", "output": "lamps/lamp"}, "has no condition"),
    ],
)
async def test_rules_that_cannot_be_are_refused(gateway, rule, said):
    link = RecordingLink({"bridges": {"one": steady(), "lamps": {"service": "bench_lamps"}}, "rules": [rule]})
    with pytest.raises(SettingsError, match=said):
        async with gateway(link):
            await asyncio.sleep(60)
    assert EdgeGateway.settings_type is EdgeGatewaySettings
