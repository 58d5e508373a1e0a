"""Fixtures: an agent, and services as processes of their own."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from local_agent import AgentConfig, Listen, LocalAgent, Microservice, Route


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


async def until(condition, timeout_s: float = 20.0):
    """Waits for what a test expects; the time limit is only for tests that fail."""
    async with asyncio.timeout(timeout_s):
        while not (result := condition()):
            await asyncio.sleep(0.005)
        return result


class ServiceProcess:
    """A service as its user runs it, with its log lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
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
        status = await asyncio.wait_for(self.process.wait(), 20)
        await self._reading
        return status

    @property
    def counts(self) -> dict:
        return self.logged("stopped: ")[-1]


@pytest.fixture
async def start():
    """Starts `python -m module` with extra environment variables; ends it with the test."""
    started: list[ServiceProcess] = []

    async def begin(module: str, *arguments: str, **variables: str) -> ServiceProcess:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("SETTING_", "IOFOG_"))}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", module, *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={**clean, **variables},
            cwd=Path(__file__).parent,
        )
        service = ServiceProcess(process)
        started.append(service)
        return service

    yield begin
    for service in started:
        if service.process.returncode is None:
            service.process.kill()
        await service.wait()


def environment(agent: LocalAgent, name: str = "device") -> dict[str, str]:
    return {"SELFNAME": agent.id_of(name), "IOFOG_LINK": f"agent://127.0.0.1:{agent.port}"}
