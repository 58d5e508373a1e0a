"""Each task of a running service dies of an error that nobody thought of: it goes on whole, or its process ends."""

import asyncio
import contextvars
import json
import logging
from collections import Counter

import msgspec

from device_bridge import CommandedSettings, CommandSpec, DeviceService, Quantity, Result
from device_bridge.runtime import Runtime
from device_bridge.settings import SettingsSources
from iofog_sdk import IoMessage, connect
from local_agent import LocalAgent, Route
from local_agent.ports import free_port

from ..cancellation import stepped
from .conftest import agent_config, environment, page

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

    def kill(self, name):
        """All tasks whose work has this name."""
        for task in [task for task, each in self.tasks.items() if each == name]:
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
    """A service, its agent, and a viewer that reads and commands."""

    def __init__(self, agent, viewer, folder):
        self.agent, self.viewer, self.folder, self.port = agent, viewer, folder, free_port()
        self.count, self.answered, self.readings = 0, "", 0

    async def run(self):
        IS_VICTIM.set(True)
        self.configure()
        variables = environment(self.agent, options="?receipt_timeout_s=2")
        sources = SettingsSources(BenchSettings, file=None, environment={})
        await Runtime(Bench, sources, connect(variables)).run()

    def configure(self):
        self.count += 1
        outbox = {"directory": str(self.folder), "durability": "always"}
        http = {"port": self.port, "host": "127.0.0.1"}
        self.agent.set_config(
            "device", {"port": f"p{self.count}", "outbox": outbox, "http": http, "max_command_age": 1e12}
        )

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
            await self.viewer.send(IoMessage(contentdata=json.dumps(command).encode()))
            await asyncio.sleep(0.1)
        while (await page(self.port, "/readyz"))[0] != 200:
            await asyncio.sleep(0.1)


async def test_a_task_that_dies_ends_the_process_or_is_replaced(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.CRITICAL)
    monkeypatch.setattr("device_bridge.runtime.pipeline._DRAIN_S", 0.1)
    monkeypatch.setattr("iofog_sdk.links.always._PAUSE_S", 0.01)
    deaths, ended = Deaths(), set()
    asyncio.get_running_loop().set_task_factory(deaths)
    config = agent_config()
    config = msgspec.structs.replace(config, routes=[*config.routes, Route(source="viewer", to="device")])
    async with LocalAgent(config) as agent, connect(environment(agent, "viewer")) as viewer:
        await viewer.wait_connected()
        site = Site(agent, viewer, tmp_path)
        viewing = asyncio.ensure_future(site.view())
        running = asyncio.ensure_future(site.run())
        await site.until_whole()
        before = Counter(deaths.tasks.values())
        for name in before:
            deaths.kill(name)
            whole = asyncio.ensure_future(site.until_whole())
            async with asyncio.timeout(60):
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
    assert before["run_always"] == 5, "two sockets, configuration, disk, pages"
    assert {"Delivery.run", "Supervisor.run", "Runtime._take_messages"} <= ended < set(before) - {"run_always"}
