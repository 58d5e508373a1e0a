"""Parts of a demo: processes that are started, ended in order, and their counts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec

from iofog_sdk import did_you_mean
from iofog_sdk.messages import decode_json

from .nodes import DemoNode

_START_S = 10.0
_STOP_S = 6.0
_POLL_S = 0.02


class DemoFailed(Exception):  # noqa: N818
    """The demo could not run; the text says why."""


@contextlib.asynccontextmanager
async def running(
    module: str, variables: dict[str, str], folder: Path, *arguments: str, controlled: bool = False
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs a module as a process, its log in the folder.

    Parameters:
        module: to run.
        variables: of its environment, beside this process's.
        folder: for its log.
        arguments: of its command line.
        controlled: whether it reads commands from its standard input.
    """
    with (folder / f"{module}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *arguments,
            stdin=asyncio.subprocess.PIPE if controlled else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env=os.environ | variables,
            start_new_session=True,  # Ctrl-C in the terminal is for the demo, which ends its parts in order
        )
        try:
            yield process
        finally:
            await end(process)


@contextlib.asynccontextmanager
async def viewing(
    node: DemoNode, service: str, report: Path, *options: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs the viewer; it listens when this begins.

    Parameters:
        node: that it is connected to.
        service: whose readings it shows.
        report: the file for its counts.
        options: others of its command line.
    """
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
        await end(process)


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


async def first_line(
    emulator: asyncio.subprocess.Process, service: str, folder: Path, profile: str | None = None
) -> tuple[dict[str, Any], str]:
    """The settings with which a service reaches the emulator, which every emulator prints first; and its note."""
    assert emulator.stdout is not None  # noqa: S101 - a pipe was asked for
    try:
        line = await asyncio.wait_for(emulator.stdout.readline(), _START_S)
        printed = decode_json(line)
        settings, note = printed["settings"], printed.get("note", "")
    except (TimeoutError, ValueError, KeyError, TypeError):
        log = folder / f"{service}.emulator.log"
        show_log(log)
        choices = re.findall(r"'([\w-]+)'", log.read_text(errors="replace").rpartition("choose from")[2])
        hint = did_you_mean(profile, choices) if profile else ""
        raise DemoFailed(f"the emulator of {service} did not start. {hint}".removesuffix(". ")) from None
    assert isinstance(settings, dict)  # noqa: S101 - the emulators' own convention
    return settings, note


async def first_of(stop: asyncio.Event, *processes: asyncio.subprocess.Process) -> None:
    """Returns when asked to stop, or when a process has ended."""
    waiting = [asyncio.ensure_future(stop.wait()), *(asyncio.ensure_future(p.wait()) for p in processes)]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


async def announce_count(viewer: asyncio.subprocess.Process, messages: int) -> None:
    """Sends the viewer the number of messages to expect; it stops once it has them, or after a time limit."""
    if viewer.returncode is None and viewer.stdin is not None:
        with contextlib.suppress(OSError):
            viewer.stdin.write(f"{messages}\n".encode())
            viewer.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(viewer.wait(), _STOP_S)


async def end(process: asyncio.subprocess.Process) -> None:
    """Ends a process in order; kills it when that takes too long."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()


def last_counts(log: Path) -> dict[str, int]:
    """The counts that the service logged when it stopped."""
    counts: dict[str, int] = next((line for line in reversed(list(_json_lines(log))) if "messages" in line), {})
    return counts


def _json_lines(log: Path) -> Iterator[Any]:
    for line in log.read_bytes().splitlines():
        with contextlib.suppress(ValueError):
            yield decode_json(line)


def read_json(file: Path) -> dict[str, int]:
    """The counts in a file; {} without one."""
    counts: dict[str, int] = msgspec.json.decode(file.read_bytes()) if file.exists() else {}
    return counts


def show_log(log: Path) -> None:
    """Prints what a part has logged, and what an emulator says about its options."""
    for text in log.read_text(errors="replace").splitlines():
        line = text
        with contextlib.suppress(ValueError, AttributeError):
            logged = decode_json(text)
            line = f"{logged.get('level')}: {logged.get('message')}"
        print(f"  {line}", file=sys.stderr)


def summarise(
    sent: dict[str, int], seen: dict[str, int], *, commanded: bool = False, may_repeat: bool = False
) -> int:
    """Prints how it went; 0 when readings arrived, none were lost, and the command was done.

    Parameters:
        sent: counted by the service.
        seen: counted by the viewer.
        commanded: whether the viewer has sent a command.
        may_repeat: whether connections were broken on purpose: what had no receipt then is sent again.
    """
    messages, received = sent.get("messages", 0), seen.get("received", 0)
    lost, twice = messages - received, seen.get("duplicates", 0)
    dropped = sent.get("dropped", 0) + sent.get("buffered", 0)
    problems = [
        *(["no good reading arrived"] if not seen.get("good") else []),
        *([f"{lost} messages lost"] if lost else []),
        *([f"{twice} messages arrived twice"] if twice and not may_repeat else []),
        *([f"{dropped} readings dropped"] if dropped else []),
        *(["the command was refused"] if commanded and seen.get("refused") else []),
        *(["the command was not answered"] if commanded and not seen.get("refused") and not seen.get("done") else []),
    ]
    verdict = f"FAILED: {', '.join(problems)}" if problems else f"ok: none lost, {twice or 'none'} twice"
    print(f"demo: {sent.get('read', 0)} readings in {messages} messages sent, {received} received. {verdict}")
    return 1 if problems else 0
