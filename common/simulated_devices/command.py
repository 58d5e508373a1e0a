"""The common part of every emulator's command line."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import os
import shlex
import signal
import stat
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from .faults import SerialFaults
from .serial_line import SimulatedSerialLine


class Controllable(Protocol):
    """A device whose faults can be controlled while it runs."""

    def execute(self, text: str) -> str:
        """Executes one line and returns the result."""


def emulator_parser(module: str, description: str | None, kind: type[Controllable]) -> argparse.ArgumentParser:
    """The command line of an emulator, without its options."""
    return argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=(description or "").strip(),
        epilog=f"Commands are read from standard input, one a line. {kind.execute.__doc__}",
    )


def add_line_options(parser: argparse.ArgumentParser, frames: str) -> None:
    """The options of every emulator on a serial line, for `line_of`; `frames` is what it sends, for the help."""
    add = parser.add_argument
    add("--link", type=Path, help="path of the tty to create (default: in a temporary folder)")
    add("--corrupt", type=number(float, 0, 1), default=0.0, help=f"share of {frames} with one damaged byte")
    add("--seed", type=int, default=1, help="seed of random damage (default 1)")


@contextlib.contextmanager
def line_of(options: argparse.Namespace) -> Iterator[tuple[SimulatedSerialLine, SerialFaults]]:
    """The line and the faults that the options of `add_line_options` ask for."""
    with (
        tempfile.TemporaryDirectory(prefix="tty-") as folder,
        SimulatedSerialLine(options.link.absolute() if options.link else Path(folder) / "tty") as line,
    ):
        yield line, SerialFaults(corrupt=options.corrupt, seed=options.seed)


def add_socket_option(parser: argparse.ArgumentParser) -> None:
    """The option of every emulator that is reached by a socket, for `socket_of`."""
    parser.add_argument("--socket", type=Path, help="path of the socket (default: in a temporary folder)")


@contextlib.contextmanager
def socket_of(options: argparse.Namespace) -> Iterator[Path]:
    """The path that the option of `add_socket_option` asks for."""
    with tempfile.TemporaryDirectory(prefix="emulator-") as folder:
        yield options.socket.absolute() if options.socket else Path(folder) / "socket"


async def play_until_stopped(
    settings: Mapping[str, object], play: Coroutine[Any, Any, None], controllable: Controllable, *, note: str = ""
) -> None:
    """Prints how to reach the device, runs it, then waits until SIGTERM or SIGINT.

    Parameters:
        settings: what a service needs to reach the device; printed as the first line of standard output, as JSON:
            `{"settings": {...}}`.
        play: the device; an exception ends the wait, a signal cancels it.
        controllable: executes commands from standard input meanwhile, one a line, each answered by one line of JSON
            on standard output; only when standard input is a pipe or a terminal.
        note: for people who see a demo; printed with the settings, as `note`.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    sys.stdout.write(json.dumps({"settings": settings} | ({"note": note} if note else {})) + "\n")
    sys.stdout.flush()
    playing, stopping = asyncio.ensure_future(play), asyncio.ensure_future(stop.wait())
    control = asyncio.ensure_future(_execute_standard_input(controllable))
    await asyncio.wait((playing, stopping), return_when=asyncio.FIRST_COMPLETED)
    if not stop.is_set():
        playing.result()
        sys.stderr.write("all is sent, silent from now on\n")
        sys.stderr.flush()
        await stopping
    playing.cancel()
    control.cancel()
    await asyncio.wait((playing, control))


async def _execute_standard_input(controllable: Controllable) -> None:
    mode = os.fstat(sys.stdin.fileno()).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or sys.stdin.isatty()):
        return
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while text := (await reader.readline()).decode(errors="replace").strip():
        sys.stdout.write(json.dumps({"control": text, "result": controllable.execute(text)}) + "\n")
        sys.stdout.flush()


def number(kind: type[int] | type[float], low: float, high: float = math.inf) -> Callable[[str], float]:
    """An argparse type: a number within limits."""

    def parse(text: str) -> float:
        with contextlib.suppress(ValueError):
            if low <= (value := kind(text)) <= high and math.isfinite(value):
                return value
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low:,} to {high:,}")

    return parse


def is_on(word: str) -> bool:
    """A word of the control input: `on` or `off`. Raises ValueError."""
    if word not in ("on", "off"):
        raise ValueError(f"{word!r} is neither on nor off")
    return word == "on"


def execute_command(
    text: str, commands: Mapping[str, tuple[int, Callable[..., object]]], also: Iterable[str] = ()
) -> str:
    """Executes one line of the control input and returns the result.

    Parameters:
        text: a command and its arguments, as in a shell.
        commands: by name, each with the number of its arguments.
        also: other names to list when one is unknown.
    """
    try:
        name, *arguments = shlex.split(text)
        count, action = commands[name]
        if len(arguments) != count:
            return f"{name} takes {count} arguments"
        action(*arguments)
    except KeyError as error:
        return f"unknown: {error}; known are {', '.join([*commands, *also])}"
    except (ValueError, OSError) as error:
        return str(error)
    return "ok"
