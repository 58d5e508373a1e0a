"""Emulated GPIO chips behind a UNIX socket; what is on it is described with `SimulatedChips` of `gpio_backend`."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from .command import execute_command
from .gpio_chip import SimulatedGpioChip, SimulatedRequest
from .message_server import MessageServer, read_message, write_message

_LONGEST_TRAIN_S = 3600.0
_TRAIN_STEP_S = 0.001
_SENT_TOGETHER = 16


class SimulatedGpio:
    """Chips on a socket, whose lines can be driven from outside.

    Parameters:
        path: of the socket; `sim:` and this path are the chips for a service.
        now_ns: the clock, in nanoseconds.
    """

    def __init__(self, path: Path, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self.path = path
        self.chips: dict[str, SimulatedGpioChip] = {}
        self.answer_delay_s = 0.0
        """Seconds after which an answer comes to what was done at once."""
        self.unplugged = False
        """Whether the chips are away."""
        self.now_ns = now_ns
        self._numbers = itertools.count(1)
        self._requests: dict[int, SimulatedRequest] = {}
        self._server = MessageServer(path, self._serve)
        self._work: set[asyncio.Task[None]] = set()
        self._commands: dict[str, tuple[int, Callable[..., object]]] = {
            "drive": (2, lambda line, level: self.drive(line, _level(level))),
            "pulses": (3, self._pulses),
            "disconnect": (0, self.disconnect),
            "unplug": (0, self.unplug),
            "replug": (0, self.replug),
        }

    def add(self, label: str, lines: Sequence[str], *, keeps: bool = True) -> SimulatedGpioChip:
        """Another chip, with the next number."""
        name = f"gpiochip{len(self.chips)}"
        chip = self.chips[name] = SimulatedGpioChip(name, label, lines, self.now_ns, keeps=keeps)
        chip.on_due = lambda due_ns: self._call_at(chip, due_ns)
        return chip

    def _call_at(self, chip: SimulatedGpioChip, due_ns: int) -> None:
        delay_s = max(0.0, (due_ns - self.now_ns()) / 1e9)
        asyncio.get_running_loop().call_later(delay_s + 1e-4, chip.advance)

    def drive(self, line: str, level: int | None, at_ns: int | None = None) -> None:
        """Drives a line from outside, or releases it. Raises KeyError."""
        self._chip_of(line).drive(line, level, at_ns)

    def level(self, line: str) -> int:
        """The level at a line. Raises KeyError."""
        chip = self._chip_of(line)
        return chip.level(chip.offset(line))

    def _chip_of(self, line: str) -> SimulatedGpioChip:
        for chip in self.chips.values():
            if any(known.name == line for known in chip.lines):
                return chip
        raise KeyError(line)

    def pulses(self, line: str, rate_hz: float, count: int) -> asyncio.Task[None]:
        """A train of pulses, half of the time high, each edge with the time it should have."""

        async def train() -> None:
            half_ns = int(0.5e9 / rate_hz)
            edge_ns, left = self.now_ns(), count * 2
            while left:
                while left and edge_ns <= self.now_ns():
                    self.drive(line, 1 if left % 2 == 0 else 0, edge_ns)
                    edge_ns += half_ns
                    left -= 1
                await asyncio.sleep(max(_TRAIN_STEP_S, (edge_ns - self.now_ns()) / 1e9))

        task = asyncio.ensure_future(train())
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        return task

    def _pulses(self, line: str, rate: str, count: str) -> None:
        rate_hz, number = float(rate), int(count)
        if not 0.001 <= rate_hz <= 20_000 or not 0 < number <= rate_hz * _LONGEST_TRAIN_S:
            raise ValueError(f"{number} pulses at {rate_hz:g} Hz: 0.001 to 20000 Hz, for an hour at most")
        self._chip_of(line)
        self.pulses(line, rate_hz, number)

    def execute(self, text: str) -> str:
        """Executes one line of the control input and returns the result.

        `drive LINE 1|0|-` (from outside; `-` lets it go), `pulses LINE RATE COUNT`, `disconnect`,
        `unplug`, `replug`.
        """
        return execute_command(text, self._commands)

    def disconnect(self) -> None:
        """Drops all connections, as when the chip is unplugged; its lines become free."""
        self._server.disconnect()

    def unplug(self) -> None:
        """Takes the chips away until `replug`."""
        self.unplugged = True
        self.disconnect()

    def replug(self) -> None:
        """Brings them back; what drives lines from outside still does."""
        self.unplugged = False

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[SimulatedGpio]:
        """Serves the socket within the block."""
        async with self._server.serving():
            try:
                yield self
            finally:
                for task in self._work:
                    task.cancel()
                await asyncio.gather(*self._work, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held: list[tuple[int, SimulatedRequest]] = []
        try:
            while not self.unplugged:
                verb, *arguments = await read_message(reader, list[Any])
                if verb == "events":
                    if (request := self._requests.get(arguments[0])) is not None:  # or they were given back already
                        await self._send_events(request, writer)
                    return
                try:
                    answer = [0, self._answer(verb, arguments, held)]
                except OSError as error:
                    answer = [error.errno or errno.EIO, arguments[2] if len(arguments) == 3 else None]
                if self.answer_delay_s:
                    await asyncio.sleep(self.answer_delay_s)
                await write_message(writer, answer)
        finally:
            for number, request in held:
                request.release()
                del self._requests[number]

    def _answer(self, verb: str, arguments: list[Any], held: list[tuple[int, SimulatedRequest]]) -> Any:
        match verb, arguments:
            case "chips", []:
                return [(c.name, c.label, [line.name for line in c.lines]) for c in self.chips.values()]
            case "user", [chip, offset]:
                request = self.chips[chip].lines[offset].request
                return request.consumer if request else ""
            case "request", [chip, offsets, config, events, consumer] if not held:
                number = next(self._numbers)
                request = self.chips[chip].request(offsets, config, events, consumer)
                held.append((number, request))
                self._requests[number] = request
                return number
            case "get", [] if held:
                return held[0][1].get()
            case "set", [mask, bits, *mark] if held:
                held[0][1].set(mask, bits)
                return mark[0] if mark else None
        raise ValueError(f"{verb!r} with {len(arguments)} arguments")

    async def _send_events(self, request: SimulatedRequest, writer: asyncio.StreamWriter) -> None:
        """Sends edges as long as they are read; what is not read stays in the request's own buffer, which drops."""
        come = asyncio.Event()
        request.on_event = come.set
        writer.transport.set_write_buffer_limits(high=0)
        while not request.released:
            while request.events:
                taken = min(len(request.events), _SENT_TOGETHER)
                writer.write(b"".join(request.events.popleft() for _ in range(taken)))
                await writer.drain()
            come.clear()
            await come.wait()


def _level(text: str) -> int | None:
    if text not in ("0", "1", "-"):
        raise ValueError(f"{text!r} is neither 1, 0 nor - (not driven)")
    return None if text == "-" else int(text)
