"""The rule that runs a service on its emulated device."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shlex
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence, Set

from device_bridge import Quality
from device_bridge.messages import senml
from device_bridge.settings import SettingsSources

from .target import Target

_START_S, _READ_S, _LONGEST_S = 20.0, 10.0, 120.0
"""For an answer, for all quantities of a profile, for everything."""
_SECTION = re.compile(r"^## The emulated .*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_SHOWN = re.compile(
    r"^\$ \.venv/bin/python -m (?P<name>\w+)\.emulator(?P<options>[^#\n]*).*\n(?P<lines>(?:[a-z{].*\n)+)",
    re.MULTILINE,
)
_PROFILE = re.compile(r"--profile (?P<name>\w+)|\bPROFILE=(?P<made>\w+)")
_LONGEST_LINE = 10_000_000


def emulator(target: Target) -> Iterator[str]:
    """Quantities that never come, and control lines of the README that the emulator does not take."""
    yield from asyncio.run(_findings(target))


async def _findings(target: Target) -> list[str]:
    text = target.text("README.md")
    sections = "".join(_SECTION.findall(text))
    shown = [found for found in _SHOWN.finditer(sections) if found["name"] == target.name]
    found = (
        []
        if shown
        else [f"README.md: no `$ .venv/bin/python -m {target.name}.emulator` with its control lines below"]
    )
    profiles = sorted({found["name"] or found["made"] for found in _PROFILE.finditer(text)})
    async with asyncio.timeout(_LONGEST_S):
        for each in shown:
            found += await _refusals(each["options"], each["lines"].splitlines(), target.name)
        missing = await _never_read(target, profiles)
    return found + [f"quantity {name} never comes from its emulator" for name in missing]


async def _refusals(options: str, lines: Sequence[str], name: str) -> list[str]:
    """What an emulator does not take of the control lines that are shown."""
    refused = []
    words = re.sub(r"--link \S+", "", options)
    async with _process(f"{name}.emulator", *shlex.split(words)) as emulator:
        await _first_line(emulator)
        for line in (line for line in lines if not line.startswith("{")):
            result = await _tell(emulator, line)
            if result != "ok":
                refused.append(f"README.md: its emulator refuses `{line}`: {result}")
    return refused


async def _never_read(target: Target, profiles: Sequence[str]) -> list[str]:
    """Declared quantities of which no good reading comes from any profile of the emulator that the README names."""
    wanted, seen = await _read(target, ())
    for profile in profiles:
        if wanted - seen:
            seen |= (await _read(target, ("--profile", profile), seen))[1]
    return sorted(wanted - seen)


async def _read(target: Target, options: Sequence[str], before: Set[str] = frozenset()) -> tuple[set[str], set[str]]:
    """Quantities that the service declares for its emulator's settings, and those of which a good reading came."""
    wanted, seen = set[str](), set(before)
    async with _process(f"{target.name}.emulator", *options) as emulator:
        try:
            settings = json.loads(await _first_line(emulator))["settings"]
        except ValueError:
            return wanted, seen  # it does not know the profile: that of a setting, or of another service
        sources = SettingsSources(target.service_type.settings_type, file=None, environment={})
        resolved = sources.resolve(json.dumps(settings))
        switched = {
            command.name for command in target.service_type.commands_of(resolved)
        }  # unknown until it is commanded
        declared = target.service_type.quantities_of(resolved)
        wanted |= {quantity.name for quantity in declared if not quantity.optional} - switched
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(settings, file)
            file.flush()
            async with _process(target.name, "--settings", file.name) as service:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_READ_S):
                        while wanted - seen and (line := await _line(service)):
                            seen |= _good(line)
    return wanted, seen


def _good(line: bytes) -> set[str]:
    """Quantities of good readings in a message that the console link prints."""
    content = json.loads(line).get("content", [])
    readings = senml.decode(json.dumps(content).encode())
    return {reading.name.partition(":")[2] for reading in readings if reading.quality is Quality.GOOD}


@contextlib.asynccontextmanager
async def _process(module: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=os.environ | {"IOFOG_LINK": "console:"},
        limit=_LONGEST_LINE,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.communicate()


async def _line(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    return await process.stdout.readline()


async def _first_line(emulator: asyncio.subprocess.Process) -> bytes:
    """Where its service reaches it."""
    return await asyncio.wait_for(_line(emulator), _START_S)


async def _tell(emulator: asyncio.subprocess.Process, text: str) -> str:
    """What became of a line of its control input."""
    assert emulator.stdin is not None  # noqa: S101 - a pipe was asked for
    emulator.stdin.write(f"{text}\n".encode())
    async with asyncio.timeout(_START_S):
        while answer := await _line(emulator):
            if "result" in (reply := json.loads(answer)):  # one that is a microservice prints what it sends, too
                return str(reply["result"])
    return "it has ended"
