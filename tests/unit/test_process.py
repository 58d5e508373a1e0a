"""A whole service in this process: reload, pages, commands at the end, several pipelines on one link."""

import asyncio
import contextlib
import gc
import json
import socket

import pytest

from device_bridge import CommandedSettings, CommandSpec, DeviceService, Parameter, Quantity, Result, SettingsError
from device_bridge.outbox.durable import Outbox
from device_bridge.runtime import Runtime
from device_bridge.runtime.pipeline import Pipeline
from device_bridge.runtime.settings_follower import SettingsFollower
from device_bridge.settings import SettingsSources
from iofog_sdk import __version__
from pytest_simulated_devices import MemoryLink


class BenchSettings(CommandedSettings, frozen=True, kw_only=True):
    port: str = "a"


class Bench(DeviceService[BenchSettings]):
    quantities = (Quantity("level", "m"),)
    commands = (CommandSpec("wait"), CommandSpec("set", (Parameter("value"),)))

    async def open(self):
        opened.append(self.settings.port)

    async def stream(self):
        yield [self.quantities[0].good(1.5)]
        await asyncio.Event().wait()

    async def execute(self, command):
        executed.append(command.name)
        await (asyncio.Event().wait() if command.name == "wait" else asyncio.sleep(0))
        return Result(ok=True)


opened, executed = [], []


@contextlib.asynccontextmanager
async def running(file=None, **environment):
    opened.clear()
    executed.clear()
    link = MemoryLink()
    environment = {f"SETTING_{name}": value for name, value in environment.items()} | {
        "SETTING_MAX_COMMAND_AGE": "1e12"
    }
    runtime = Runtime(Bench, SettingsSources(BenchSettings, file=file, environment=environment), link)
    task = asyncio.ensure_future(runtime.run())
    try:
        async with asyncio.timeout(30):
            yield runtime, link
    finally:
        runtime.stop()
        await asyncio.wait_for(task, 20)


async def until(condition):
    while not condition():
        await asyncio.sleep(0.001)


async def get(port, path="/readyz", host="127.0.0.1"):
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer.decode().partition("\r\n\r\n")[2]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def test_commands_that_wait_at_the_end_are_answered():
    async with running() as (runtime, link):
        await until(lambda: link.sent)
        for number in range(3):
            link.command(command="wait", id=f"w{number}")
        await until(lambda: executed)
        runtime.stop()
    assert executed == ["wait"]
    answers = {result["id"]: (result["ok"], result["detail"]) for result in link.results}
    assert answers == {
        "w0": (False, "the device was closed before it had done it"),
        "w1": (False, "the service is stopping"),
        "w2": (False, "the service is stopping"),
    }


async def test_a_command_that_is_not_as_declared_never_reaches_the_device():
    async with running() as (_, link):
        await until(lambda: link.sent)
        link.command(command="set", value="high", id="1")
        link.command(command="jump", id="2")
        link.command(command="set", value=2, id="3")
        await until(lambda: len(link.results) == 3)
    assert executed == ["set"]
    assert [result["ok"] for result in link.results] == [False, False, True]


async def test_settings_that_come_while_the_outbox_is_opened_come_into_force(tmp_path, monkeypatch):
    file, open_outbox = tmp_path / "settings.json", Outbox.open
    is_opening, may_open = asyncio.Event(), asyncio.Event()
    file.write_text('{"port": "a"}')

    async def open_late(self):
        is_opening.set()
        await may_open.wait()
        await open_outbox(self)

    monkeypatch.setattr(Outbox, "open", open_late)
    async with running(file) as (runtime, _):
        await is_opening.wait()
        file.write_text('{"port": "b"}')
        runtime.reload()
        may_open.set()
        await until(lambda: opened and opened[-1] == "b")


async def test_pages_move_with_the_settings_and_stay_where_they_are_when_they_cannot(tmp_path):
    first, second = free_port(), free_port()
    file = tmp_path / "settings.json"

    def configure(**members):
        file.write_text(json.dumps(members))

    configure(http={"port": first})
    async with running(file) as (runtime, link):
        await until(lambda: link.sent)
        assert json.loads(await get(first))["ready"] is True
        metrics = await get(first, "/metrics")
        assert "bridge_readings_delivered_total 1\n" in metrics
        assert f'\nbridge_build_info{{version="{__version__}",service="' in metrics
        with socket.socket() as busy:
            busy.bind(("127.0.0.1", second))
            busy.listen()
            configure(http={"port": second})
            runtime.reload()
            await until(lambda: link.lines)
            assert "http.port" in json.loads(await get(first))["settings"]["refused"]
        configure(http={"port": second}, log_level="warning")
        runtime.reload()
        await until(lambda: runtime._http.port == second)
        assert json.loads(await get(second))["settings"]["refused"] == ""
        configure(http={"port": second, "host": "0.0.0.0"})  # noqa: S104 - what a container needs
        runtime.reload()
        await until(lambda: runtime._http.host == "0.0.0.0")  # noqa: S104
        assert json.loads(await get(second))["ready"] is True
        assert opened == ["a"], "the device was not touched"


async def test_a_busy_port_is_refused_where_no_pages_were_served_before(tmp_path):
    file, unhandled = tmp_path / "settings.json", []
    file.write_text("{}")
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        async with running(file) as (runtime, link):
            await until(lambda: link.sent)
            file.write_text(json.dumps({"http": {"port": busy.getsockname()[1]}}))
            runtime.reload()
            await until(lambda: link.lines)
            assert "http.port" in str(link.lines[0])
    gc.collect()
    assert unhandled == []


async def test_a_busy_port_at_the_start_is_a_wrong_setting():
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        runtime = Runtime(
            Bench,
            SettingsSources(BenchSettings, file=None, environment={"SETTING_HTTP__PORT": str(busy.getsockname()[1])}),
            MemoryLink(),
        )
        with pytest.raises(SettingsError, match=r"http.port = .*in use"):
            await asyncio.wait_for(runtime.run(), 20)


async def test_several_pipelines_share_a_link():
    link = MemoryLink()
    pipelines = []
    for source in ("north", "south"):
        sources = SettingsSources(BenchSettings, file=None, environment={"SETTING_SOURCE": source})
        follower = SettingsFollower(Bench, sources, lambda _: None)
        follower.take_config(None)
        pipelines.append(Pipeline(Bench, await follower.first("link"), follower, link))
    for pipeline in pipelines:
        await pipeline.open()
    tasks = [asyncio.ensure_future(pipeline.run()) for pipeline in pipelines]
    async with asyncio.timeout(30):
        await until(lambda: len(link.sent) == 2)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert {json.loads(m.contentdata)[0]["bn"] for m in link.sent} == {"north:", "south:"}
    assert len({m.groupid for m in link.sent}) == 2
    assert [pipeline.outbox.delivered for pipeline in pipelines] == [1, 1]
