"""Each task of a running service dies of an error that nobody thought of: it goes on whole, or its process ends."""

import asyncio
import contextlib
import contextvars
import json
import logging
from collections import Counter

import msgspec
import nats
import pytest

from device_bridge import CommandedSettings, CommandSpec, DeviceService, Quantity, Result
from device_bridge.runtime import Runtime
from device_bridge.settings import SettingsSources
from iofog_sdk import IoMessage, connect
from local_agent import LocalAgent, Route
from local_agent.ports import free_port

from ..cancellation import stepped
from .conftest import agent_config, environment, page
from .nodes import MosquittoNode, MqttNode, NatsNode
from .test_mqtt_link import needs_mosquitto

IS_VICTIM = contextvars.ContextVar("is_victim", default=False)
UNEXPECTED = "nobody thought of it"


class Deaths:
    """A task factory: tasks begun by a victim can be made to raise where they wait."""

    def __init__(self):
        self.tasks = {}
        self._dying = set()

    def __call__(self, loop, coroutine, **options):
        if not (options.get("context") or contextvars.copy_context()).get(IS_VICTIM):
            return asyncio.Task(coroutine, loop=loop, **options)
        task = asyncio.Task(self._run(coroutine), loop=loop, **options)
        self.tasks[task] = coroutine.__qualname__
        task.add_done_callback(self.tasks.pop)
        task.add_done_callback(lambda _: coroutine.close())  # one that was cancelled before its first step
        return task

    def kill(self, name, number):
        """One of the tasks whose work has this name, in the order of their beginning."""
        alike = [task for task, each in self.tasks.items() if each == name]
        task = alike[number % len(alike)]
        self._dying.add(task)
        task.cancel()

    async def end(self):
        while self.tasks:
            for task in self.tasks:
                task.cancel()
            await asyncio.wait(self.tasks)

    async def _run(self, coroutine):
        return await stepped(coroutine, thrown=self._thrown)

    def _thrown(self, error):
        task = asyncio.current_task()
        if task not in self._dying:
            return error
        self._dying.discard(task)
        task.uncancel()
        return KeyError(UNEXPECTED)


@contextlib.asynccontextmanager
async def half_alive_after(name):
    try:
        async with asyncio.timeout(60):
            yield
    except TimeoutError:
        raise AssertionError(f"half alive after the death of {name}") from None


class BenchSettings(CommandedSettings, frozen=True, kw_only=True):
    port: str = "a"


class Bench(DeviceService[BenchSettings]):
    quantities = (Quantity("level", "m"),)
    commands = (CommandSpec("x"),)

    async def stream(self):
        while True:
            yield [self.quantities[0].good(1.5)]
            await asyncio.sleep(0.05)

    async def execute(self, command):
        return Result(ok=True, detail=self.settings.port)


class Site:
    """A service, what it is linked to, and a viewer that reads and commands.

    Parameters:
        variables: of the service's environment.
        viewer: a link that is up.
        folder: for the outbox.
    """

    def __init__(self, variables, viewer, folder):
        self.variables, self.viewer, self.folder, self.port = variables, viewer, folder, free_port()
        self.count, self.answered, self.readings = 0, "", 0

    async def run(self):
        IS_VICTIM.set(True)
        self.configure()
        await self.make_runtime(connect(self.variables)).run()

    def configure(self):
        self.count += 1
        outbox = {"directory": str(self.folder / "outbox"), "durability": "always"}
        http = {"port": self.port, "host": "127.0.0.1"}
        self.give({"port": f"p{self.count}", "outbox": outbox, "http": http, "max_command_age": 1e12})

    async def view(self):
        async for message in self.viewer.messages():
            if message.infotype == "application/json":
                self.answered = json.loads(message.contentdata)["detail"]
            else:
                self.readings += 1

    async def until_whole(self):
        """Settings, commands, readings and pages all go their way."""
        self.configure()
        before, number = self.readings, 0
        while self.answered != f"p{self.count}" or self.readings <= before:
            number += 1
            command = {"command": "x", "id": f"{self.count}-{number}", "time": 2**31}
            await self.viewer.send(IoMessage(contentdata=json.dumps(command).encode(), tag=self.tag))
            await asyncio.sleep(0.1)
        while (await page(self.port, "/readyz"))[0] != 200:
            await asyncio.sleep(0.1)


class AgentSite(Site):
    """Over an agent, which has the settings too."""

    tag = ""
    tasks = Counter({"run_always": 5})
    """Two sockets, configuration, disk, pages."""

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, folder):
        config = agent_config()
        config = msgspec.structs.replace(config, routes=[*config.routes, Route(source="viewer", to="device")])
        async with LocalAgent(config) as agent, connect(environment(agent, "viewer")) as viewer:
            await viewer.wait_connected()
            site = cls(environment(agent, options="?receipt_timeout_s=2"), viewer, folder)
            site.agent = agent
            yield site

    def make_runtime(self, link):
        return Runtime(Bench, SettingsSources(BenchSettings, file=None, environment={}), link)

    def give(self, settings):
        self.agent.set_config("device", settings)


class ServerSite(Site):
    """Over a server that carries messages alone; the settings are in a file."""

    tag = "for:device"
    tasks = Counter({"run_always": 3})
    """Link, disk, pages."""
    runtime = None

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, folder):
        async with cls.node(folder) as node, connect(cls.viewing(node)) as viewer:
            await viewer.wait_connected()
            site = cls(node.variables(), viewer, folder)
            site.node, site.file = node, folder / "settings.json"
            yield site

    def make_runtime(self, link):
        self.context = contextvars.copy_context()
        self.runtime = Runtime(Bench, SettingsSources(BenchSettings, file=self.file, environment={}), link)
        return self.runtime

    def give(self, settings):
        self.file.write_text(json.dumps(settings))
        if self.runtime is not None:
            asyncio.get_running_loop().call_soon(self.runtime.reload, context=self.context)


class NatsSite(ServerSite):
    """Requests are answered as well."""

    node = NatsNode
    tasks = ServerSite.tasks + Counter(
        {
            **dict.fromkeys(
                ("NatsLink._publish", "Client._read_loop", "Client._flusher", "Client._ping_interval"), 1
            ),
            "Subscription._wait_for_msgs": 3,
        }
    )

    @staticmethod
    def viewing(node):
        link = f"nats://127.0.0.1:{node.server_port}?receive=iofog.readings.default.device"
        return {"IOFOG_LINK": link, "IOFOG_MICROSERVICE": "viewer"}

    async def until_whole(self):
        await super().until_whole()
        client = await nats.connect(f"nats://127.0.0.1:{self.node.server_port}")
        try:
            while True:
                with contextlib.suppress(nats.errors.NoRespondersError, nats.errors.TimeoutError):
                    await client.request("iofog.requests.default.device", b'{"command":"x"}', timeout=1)
                    break
                await asyncio.sleep(0.1)
        finally:
            await client.close()


class MqttSite(ServerSite):
    node = MqttNode

    @staticmethod
    def viewing(node):
        topics = "iofog/default/device/readings,iofog/default/device/results"
        link = f"mqtt://127.0.0.1:{node.server_port}?version={node.version}&receive={topics}"
        return {"IOFOG_LINK": link, "IOFOG_MICROSERVICE": "viewer"}


class MosquittoSite(MqttSite):
    node = MosquittoNode


@pytest.mark.parametrize(
    "site_type", [AgentSite, NatsSite, MqttSite, pytest.param(MosquittoSite, marks=needs_mosquitto)]
)
async def test_a_task_that_dies_ends_the_process_or_is_replaced(tmp_path, monkeypatch, caplog, site_type):
    caplog.set_level(logging.CRITICAL)
    monkeypatch.setattr("device_bridge.runtime.pipeline._DRAIN_S", 0.1)
    monkeypatch.setattr("iofog_sdk.links.always._PAUSE_S", 0.01)
    deaths, ended = Deaths(), set()
    asyncio.get_running_loop().set_task_factory(deaths)
    async with site_type.opened(tmp_path) as site:
        viewing = asyncio.ensure_future(site.view())
        running = asyncio.ensure_future(site.run())
        await site.until_whole()
        before = Counter(deaths.tasks.values())
        for name, number in ((name, number) for name, count in before.items() for number in range(count)):
            deaths.kill(name, number)
            whole = asyncio.ensure_future(site.until_whole())
            async with half_alive_after(name):
                await asyncio.wait((running, whole), return_when=asyncio.FIRST_COMPLETED)
                whole.cancel()
                if running.done():
                    ended.add(name)
                    assert UNEXPECTED in str(running.exception())
                    running = asyncio.ensure_future(site.run())
                    await site.until_whole()
                while before - Counter(deaths.tasks.values()):  # each is there again
                    await asyncio.sleep(0.01)
        running.cancel()
        viewing.cancel()
        await asyncio.wait((running, viewing))
        await deaths.end()
    assert not site_type.tasks - before
    assert {"Delivery.run", "Supervisor.run", "Runtime._take_messages"} <= ended <= set(before) - set(site_type.tasks)
