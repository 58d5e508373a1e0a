"""Starts agent, simulated device, service and viewer, stops them in order, and reports lost messages."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from deployment.services import needs_of

from .nodes import DemoNode, demo_node

_START_S = 10.0
_STOP_S = 6.0
_POLL_S = 0.02
_ANNOUNCE_S = 5


class DemoFailed(Exception):  # noqa: N818
    """The demo could not run; the text says why."""


async def run_demo(
    service: str,
    seconds: float | None,
    profile: str | None = None,
    command: str | None = None,
    link: str = "agent",
) -> int:
    """Runs for the given time or until Ctrl-C; 0 when readings arrived and none were lost.

    Parameters:
        service: name of a service that has an emulator.
        seconds: how long, or None for no limit.
        profile: device profile of the service; None for the emulator's default.
        command: JSON that the viewer sends to the service once readings arrive.
        link: transport of messages, one of LINKS.

    Raises DemoFailed when a part does not start.
    """
    if not service.isidentifier() or importlib.util.find_spec(service) is None:
        raise DemoFailed(f"no service named {service!r}")
    if importlib.util.find_spec(f"{service}.emulator") is None:
        raise DemoFailed(f"{service} has no emulator")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

    beside = needs_of(service).demo_with
    with tempfile.TemporaryDirectory(prefix="iofog-demo-") as folder_name:
        folder = Path(folder_name)
        chosen = ("--profile", profile) if profile else ()
        async with (
            demo_node(link, (service, *beside), folder) as node,
            _process(f"{service}.emulator", {}, folder, *chosen) as emulator,
        ):
            settings, note = await _first_line(emulator, service, folder)
            arguments = node.configure(service, settings)
            if note:
                print(f"demo: {note}", flush=True)
            viewer_report = folder / "viewer.json"
            async with (
                _viewer(node, service, viewer_report, command) as viewer,
                _process(service, node.variables[service], folder, *arguments) as bridge,
                _all_beside(node, beside, folder),
            ):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(_first_of(stop, bridge, emulator, viewer), seconds)
                ended = next((p for p in (bridge, emulator, viewer) if p.returncode is not None), None)
                await _end(bridge)
                counts = _last_counts(folder / f"{service}.log")
                await _announce_count(viewer, counts.get("messages", 0))
            if ended is not None:
                _show(folder / f"{service}.log")
                raise DemoFailed(f"a part ended by itself with status {ended.returncode}")
        return _summary(counts, _read_json(viewer_report))


@contextlib.asynccontextmanager
async def _process(
    module: str, variables: dict[str, str], folder: Path, *arguments: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    with (folder / f"{module}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env=os.environ | variables,
            start_new_session=True,  # Ctrl-C in the terminal is for the demo, which ends its parts in order
        )
        try:
            yield process
        finally:
            await _end(process)


@contextlib.asynccontextmanager
async def _all_beside(node: DemoNode, services: Sequence[str], folder: Path) -> AsyncIterator[None]:
    """Services that send to the one that is shown, each on its emulator, and say which commands they take."""
    async with contextlib.AsyncExitStack() as stack:
        for name in services:
            emulator = await stack.enter_async_context(_process(f"{name}.emulator", {}, folder))
            settings, _ = await _first_line(emulator, name, folder)
            arguments = node.configure(name, settings | {"announce": _ANNOUNCE_S})
            await stack.enter_async_context(_process(name, node.variables[name], folder, *arguments))
        yield


@contextlib.asynccontextmanager
async def _viewer(
    node: DemoNode, service: str, report: Path, command: str | None
) -> AsyncIterator[asyncio.subprocess.Process]:
    options = ("--command", command) if command else ()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "demo.viewer", service, "--way", node.way, "--report", str(report), *options),
        stdin=asyncio.subprocess.PIPE,
        env=os.environ | node.viewer,
        start_new_session=True,
    )
    try:
        await _until_ready(process, report.with_suffix(".ready"))
        yield process
    finally:
        await _end(process)


async def _until_ready(viewer: asyncio.subprocess.Process, mark: Path) -> None:
    """Waits until the viewer listens: not every kind of node keeps messages for it."""
    try:
        async with asyncio.timeout(_START_S):
            while not mark.exists():
                if viewer.returncode is not None:
                    raise DemoFailed(f"the viewer ended with status {viewer.returncode}")
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        raise DemoFailed("the viewer cannot connect") from None


async def _first_line(emulator: asyncio.subprocess.Process, service: str, folder: Path) -> tuple[dict[str, Any], str]:
    """The settings with which a service reaches the emulator, which every emulator prints first; and its note."""
    assert emulator.stdout is not None  # noqa: S101 - a pipe was asked for
    try:
        line = await asyncio.wait_for(emulator.stdout.readline(), _START_S)
        printed = msgspec.json.decode(line)
        settings, note = printed["settings"], printed.get("note", "")
    except (TimeoutError, msgspec.DecodeError, KeyError, TypeError):
        _show(folder / f"{service}.emulator.log")
        raise DemoFailed(f"the emulator of {service} did not start") from None
    assert isinstance(settings, dict)  # noqa: S101 - the emulators' own convention
    return settings, note


async def _first_of(stop: asyncio.Event, *processes: asyncio.subprocess.Process) -> None:
    waiting = [asyncio.ensure_future(stop.wait()), *(asyncio.ensure_future(p.wait()) for p in processes)]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


async def _announce_count(viewer: asyncio.subprocess.Process, messages: int) -> None:
    """Sends the viewer the number of messages to expect; it stops once it has them, or after a time limit."""
    if viewer.returncode is None and viewer.stdin is not None:
        with contextlib.suppress(OSError):
            viewer.stdin.write(f"{messages}\n".encode())
            viewer.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(viewer.wait(), _STOP_S)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()


def _last_counts(log: Path) -> dict[str, int]:
    """The counts that the service logged when it stopped."""
    counts: dict[str, int] = next((line for line in reversed(list(_json_lines(log))) if "messages" in line), {})
    return counts


def _json_lines(log: Path) -> Iterator[Any]:
    for line in log.read_bytes().splitlines():
        with contextlib.suppress(msgspec.DecodeError):
            yield msgspec.json.decode(line)


def _read_json(file: Path) -> dict[str, int]:
    counts: dict[str, int] = msgspec.json.decode(file.read_bytes()) if file.exists() else {}
    return counts


def _show(log: Path) -> None:
    for line in _json_lines(log):
        print(f"  {line.get('level')}: {line.get('message')}", file=sys.stderr)


def _summary(sent: dict[str, int], seen: dict[str, int]) -> int:
    messages, received = sent.get("messages", 0), seen.get("received", 0)
    lost, twice = messages - received, seen.get("duplicates", 0)
    dropped = sent.get("dropped", 0) + sent.get("buffered", 0)
    problems = [
        *(["no good reading arrived"] if not seen.get("good") else []),
        *([f"{lost} messages lost"] if lost else []),
        *([f"{twice} messages arrived twice"] if twice else []),
        *([f"{dropped} readings dropped"] if dropped else []),
    ]
    verdict = f"FAILED: {', '.join(problems)}" if problems else "ok: none lost, none twice"
    print(f"demo: {sent.get('read', 0)} readings in {messages} messages sent, {received} received. {verdict}")
    return 1 if problems else 0
