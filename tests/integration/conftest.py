"""Fixtures: an agent, and services as processes of their own."""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import urllib.error
import urllib.request
from pathlib import Path
from resource import RLIMIT_FSIZE, setrlimit

import pytest

from device_bridge.messages import senml
from device_bridge.runtime import Runtime
from device_bridge.settings import SettingsSources
from iofog_sdk import Backoff, SequenceTracker, connect
from local_agent import AgentConfig, Listen, LocalAgent, Microservice, Route
from simulated_devices import SimulatedSerialLine


def agent_config(*, port: int = 0, **configs) -> AgentConfig:
    """An agent with the microservices `device` and `viewer`, and a route between them."""
    return AgentConfig(
        listen=Listen(port=port),
        microservices={name: Microservice(config=configs.get(name)) for name in ("device", "viewer")},
        routes=[Route(source="device", to="viewer")],
    )


@pytest.fixture
async def agent():
    async with LocalAgent(agent_config()) as running:
        yield running


async def until(condition, timeout_s: float = 150.0):
    """Waits for what a test expects; the time limit is only for tests that fail."""
    async with asyncio.timeout(timeout_s):
        while not (result := condition()):
            await asyncio.sleep(0.005)
        return result


class Steps(Backoff):
    """Waits next to nothing, and remembers how long it would have waited at most."""

    def __init__(self):
        super().__init__(1, 64)
        self.taken = []

    def next_s(self):
        self.taken.append(self._step_s)
        super().next_s()
        return 0.01


class ServiceProcess:
    """A service as its user runs it, with its log lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process, self.pid = process, process.pid
        self.lines: list[dict] = []
        self._reading = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        async for line in self.process.stderr:
            with contextlib.suppress(ValueError):
                self.lines.append(json.loads(line))

    def logged(self, text: str) -> list[dict]:
        return [line for line in self.lines if text in line["message"]]

    async def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await self.wait()

    async def wait(self) -> int:
        status = await asyncio.wait_for(self.process.wait(), 60)
        await self._reading
        return status

    @property
    def counts(self) -> dict:
        return self.logged("stopped: ")[-1]


@pytest.fixture
async def start():
    """Starts `python -m module` with extra environment variables; ends it with the test."""
    started: list[ServiceProcess] = []

    async def begin(module: str, *arguments: str, max_file: int | None = None, **variables: str) -> ServiceProcess:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("SETTING_", "IOFOG_"))}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", module, *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={**clean, **variables},
            cwd=Path(__file__).parent,
            preexec_fn=None if max_file is None else lambda: setrlimit(RLIMIT_FSIZE, (max_file, max_file)),
        )
        service = ServiceProcess(process)
        started.append(service)
        return service

    yield begin
    for service in started:
        if service.process.returncode is None:
            service.process.kill()
        await service.wait()


def environment(agent: LocalAgent, name: str = "device", options: str = "") -> dict[str, str]:
    return {"SELFNAME": agent.id_of(name), "IOFOG_LINK": f"agent://127.0.0.1:{agent.port}{options}"}


class ServiceHere:
    """A whole service in this process: for tests of what it does rather than of how it starts and ends.

    Parameters:
        service_type: what runs.
        caplog: of the test.
        variables: of its environment.
    """

    def __init__(self, service_type, caplog, **variables: str) -> None:
        self._caplog = caplog
        sources = SettingsSources(service_type.settings_type, file=None, environment=variables)
        self._runtime = Runtime(service_type, sources, connect(variables))
        self._running = asyncio.ensure_future(self._runtime.run())
        self.pid = os.getpid()

    async def stop(self) -> None:
        self._runtime.stop()
        await asyncio.wait_for(self._running, 60)

    @property
    def counts(self) -> dict:
        return next(record.data for record in self._caplog.records if "stopped: " in record.getMessage())


class Receiver:
    """The viewer's end of the route."""

    def __init__(self):
        self.tracker = SequenceTracker(from_start=True)
        self.samples = []
        self.order = []

    async def run(self, link):
        async for message in link.messages():
            if self.tracker.is_new(message):
                self.order.append((message.groupid, message.sequencenumber))
                self.samples.append(senml.decode(message.contentdata))


@contextlib.asynccontextmanager
async def receiving(agent: LocalAgent):
    receiver = Receiver()
    async with connect(environment(agent, "viewer")) as link:
        await link.wait_connected()
        task = asyncio.ensure_future(receiver.run(link))
        yield receiver
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def opened(service: ServiceProcess | ServiceHere, line: SimulatedSerialLine) -> bool:
    """Whether the service reads the line: it is open, and its event loop waits for it.

    What is sent before that is thrown away on opening.
    """
    target, process = os.path.realpath(line.path), Path(f"/proc/{service.pid}")
    with contextlib.suppress(OSError):
        descriptors = {fd.name for fd in (process / "fd").iterdir() if os.path.realpath(fd) == target}
        polled = set()
        for name in os.listdir(process / "fdinfo"):  # noqa: PTH208 - closed again before what it lists is read
            with contextlib.suppress(OSError):
                polled.update(re.findall(r"^tfd:\s+(\d+)", (process / "fdinfo" / name).read_text(), re.MULTILINE))
        return not descriptors.isdisjoint(polled)
    return False


@pytest.fixture
def line(tmp_path):
    with SimulatedSerialLine(tmp_path / "ttyGPS") as simulated:
        yield simulated


async def page(port: int, path: str) -> tuple[int, str]:
    def get():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    return await asyncio.to_thread(get)


async def until_page(port: int, path: str, wanted) -> str:
    """Asks until the page is as wanted; the page."""
    async with asyncio.timeout(60):
        while not wanted(*(answer := await page(port, path))):
            await asyncio.sleep(0.02)
    return answer[1]
