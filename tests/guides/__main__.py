"""`make test-guides`: does what the guides say, in clean clones, with emulated devices in place of real ones.

The commands and files are those of the pages in common/guides. Where a page names the port or bus of a device, its
emulator's is used; `iofogctl` is a stand-in that takes files that can be read.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

from .pages import Command, File, steps

PROJECT = Path(__file__).parents[2]
GUIDES = PROJECT / "common/guides"
CLONES = 2
"""Followed at once, each in a clone of its own."""
_DEVICES = re.compile(r"/dev/(ttyUSB0|i2c-1)")
_RUN_S = 60.0
_COMMAND_S = 300.0
_IOFOGCTL = '#!/bin/sh\nfor last; do :; done\n[ -r "$last" ] && echo "deployed $last"\n'


class GuideError(Exception):
    """A command of a guide does not do what the guide says."""


class Figures(NamedTuple):
    """What a guide takes."""

    commands: int
    files: int
    lines: int
    seconds: float


class Reader:
    """Somebody who does what a guide says.

    Parameters:
        folder: the clone.
        tools: a folder with stand-ins, first on the path.
    """

    def __init__(self, folder: Path, tools: Path) -> None:
        self._folder = folder
        clean = {
            name: text for name, text in os.environ.items() if not name.startswith(("SETTING_", "IOFOG_", "MAKE"))
        }
        self._environment = clean | {"PATH": f"{tools}:{clean['PATH']}"}

    def follow(self, page: Path) -> Figures:
        """Does all of it. Raises GuideError."""
        began, commands, files, lines = time.monotonic(), 0, set(), 0
        for step in steps(page):
            if isinstance(step, File):
                lines += self._write(step)
                files.add(step.path)
            else:
                self._run(step)
                commands += 1
        return Figures(commands, len(files), lines, time.monotonic() - began)

    def _write(self, file: File) -> int:
        """Writes a file; how many of its lines were not there before, without blank ones."""
        path = self._folder / file.path
        before = path.read_text().splitlines() if path.exists() else []
        path.write_text(file.text)
        return sum(1 for line in file.text.splitlines() if line.strip() and line not in before)

    def _run(self, command: Command) -> None:
        began = time.monotonic()
        output, status = self._run_on(command) if command.runs_on else self._run_to_its_end(command)
        if not command.runs_on and status != command.status:
            raise GuideError(f"{command.text}\n{output}\nIt ended with status {status}, not {command.status}")
        if missing := command.missing(output):
            raise GuideError(f"{command.text}\n{output}\nIt does not say: {missing[0]}")
        print(f"{time.monotonic() - began:6.1f} s  {command.text}", flush=True)

    def _run_to_its_end(self, command: Command) -> tuple[str, int]:
        done = subprocess.run(
            ["bash", "-c", command.text],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_COMMAND_S,
            check=False,
        )
        return done.stdout, done.returncode

    def _run_on(self, command: Command) -> tuple[str, int]:
        """Runs a service on its emulator, or an emulator, until it has said what the guide shows."""
        if "SERVICE=" not in command.text:
            return self._until_shown(command, command.text, self._environment), 0
        service = command.text.partition("SERVICE=")[2].split()[0]
        with subprocess.Popen(
            [self._folder / ".venv/bin/python", "-m", f"{service}.emulator"],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        ) as emulator:
            assert emulator.stdout
            settings = json.loads(emulator.stdout.readline())["settings"]
            reached = settings.get("serial", {}).get("port") or settings.get("bus", {}).get("path", "")
            gpio = {"SETTING_GPIO__PATH": settings["gpio"]["path"]} if "gpio" in settings else {}
            try:
                return self._until_shown(command, _DEVICES.sub(reached, command.text), self._environment | gpio), 0
            finally:
                emulator.terminate()

    def _until_shown(self, command: Command, text: str, environment: dict[str, str]) -> str:
        output = ""
        with subprocess.Popen(
            ["bash", "-c", text],
            cwd=self._folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            assert process.stdout
            limit = time.monotonic() + _RUN_S
            for line in process.stdout:
                output += line
                if not command.missing(output) or time.monotonic() > limit:
                    break
            os.killpg(process.pid, signal.SIGTERM)
        return output


def _follow(pages: queue.SimpleQueue[Path], folder: Path, tools: Path) -> dict[str, Figures]:
    """Takes pages and does them in a clone of its own until none is left. Raises GuideError."""
    subprocess.run(["git", "clone", "--quiet", PROJECT, folder], check=True)
    subprocess.run(["make", "setup"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    reader, figures = Reader(folder, tools), {}
    with contextlib.suppress(queue.Empty):
        while True:
            page = pages.get_nowait()
            try:
                figures[page.stem] = reader.follow(page)
            except GuideError as error:
                raise GuideError(f"{page.relative_to(PROJECT)}: {error}") from None
    return figures


def main(names: list[str]) -> int:
    """Exit status 1 when a guide does not do what it says."""
    pages: queue.SimpleQueue[Path] = queue.SimpleQueue()
    for page in [GUIDES / f"{name}.md" for name in names] or sorted(GUIDES.glob("*.md")):
        pages.put(page)
    figures: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory(prefix="guides-") as folder:
        tools = Path(folder) / "tools"
        tools.mkdir()
        (tools / "iofogctl").write_text(_IOFOGCTL)
        (tools / "iofogctl").chmod(0o755)
        count = min(CLONES, pages.qsize())
        with ThreadPoolExecutor(count) as workers:
            work = [workers.submit(_follow, pages, Path(folder) / f"clone{n}", tools) for n in range(count)]
            try:
                for each in as_completed(work):
                    figures |= each.result()
            except GuideError as error:
                with contextlib.suppress(queue.Empty):
                    while True:
                        pages.get_nowait()
                print(f"guides: {error}", file=sys.stderr, flush=True)
                return 1
    print(f"{'guide':28} commands  files by hand  lines by hand  seconds")
    for name, (commands, files, lines, seconds) in sorted(figures.items()):
        print(f"{name:28} {commands:8}  {files:13}  {lines:13}  {seconds:7.0f}")
    print(f"{len(figures)} passed, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
