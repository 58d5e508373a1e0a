"""A GPIO chip as its lines see it: levels, bias, edges, debouncing, who uses what. No I/O, on any clock.

Behaves as Linux's gpiolib-cdev does: edges are numbered even if they are dropped, a full buffer drops its oldest one,
debouncing reports an edge once the level has been stable for the whole period, with the time of detection.
"""

from __future__ import annotations

import errno
import struct
from collections import deque
from collections.abc import Callable, Mapping, Sequence

_EVENT = struct.Struct("QIIII24x")
_RISING, _FALLING = 1, 2


class _Line:
    """One line and its wiring."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.outside: int | None = None
        """The level driven from outside; None for none."""
        self.floating = 0
        """The level it has when nothing drives it and no bias pulls it."""
        self.request: SimulatedRequest | None = None
        self.settled = 0
        self.due_ns: int | None = None
        """When debouncing samples it again."""
        self.number = 0


class SimulatedRequest:
    """Lines in use. Made by `SimulatedGpioChip.request`.

    Parameters:
        chip: whose they are.
        offsets: of each.
        config: as `device_bridge.buses.LineConfig` has it.
        events: size of the buffer for edges.
        consumer: who asked.
    """

    def __init__(
        self,
        chip: SimulatedGpioChip,
        offsets: Sequence[int],
        config: Mapping[str, object],
        events: int,
        consumer: str,
    ) -> None:
        self.chip, self.offsets, self.consumer = chip, tuple(offsets), consumer
        self.output, self.active_low = bool(config["output"]), bool(config["active_low"])
        self.bias, self.drive = str(config["bias"]), str(config["drive"])
        self.rising, self.falling = bool(config["rising"]), bool(config["falling"])
        self.debounce_ns = int(str(config["debounce_us"])) * 1000
        self.values = int(str(config["values"]))
        self.events: deque[bytes] = deque()
        self.dropped = 0
        self.released = False
        self._size = events
        self._number = 0
        self.on_event: Callable[[], None] | None = None

    def get(self) -> int:
        """The values, on or off, a bit each; of an input with debouncing the settled one."""
        return sum(self.chip.seen(offset) << bit for bit, offset in enumerate(self.offsets))

    def set(self, mask: int, bits: int) -> None:
        """Sets outputs. Raises OSError (EPERM) for inputs, as the kernel does."""
        if not self.output:
            raise OSError(errno.EPERM, "these lines are inputs")
        self.values = self.values & ~mask | bits & mask
        for offset in self.offsets:
            self.chip.changed(offset)

    def driven(self, offset: int) -> int | None:
        """The level that it drives an output to; None where it does not drive it."""
        level = (self.values >> self.offsets.index(offset) & 1) ^ self.active_low
        released = {"open_drain": 1, "open_source": 0}.get(self.drive)
        return None if level == released else level

    def report(self, line: _Line, offset: int, on: int, now_ns: int) -> None:
        """Reports an edge, if it is requested."""
        if not (self.rising if on else self.falling):
            return
        self._number += 1
        line.number += 1
        if len(self.events) == self._size:
            self.events.popleft()
            self.dropped += 1
        self.events.append(_EVENT.pack(now_ns, _RISING if on else _FALLING, offset, self._number, line.number))
        if self.on_event is not None:
            self.on_event()

    def release(self) -> None:
        """Releases the lines."""
        self.released = True
        self.chip.release(self)
        if self.on_event is not None:
            self.on_event()


class SimulatedGpioChip:
    """A chip.

    Parameters:
        name: `gpiochip0`.
        label: `pinctrl-bcm2711`.
        lines: their names, "" for one without.
        now_ns: the clock, in nanoseconds.
        keeps: whether outputs keep their level when they are released; else they become inputs.
    """

    def __init__(
        self, name: str, label: str, lines: Sequence[str], now_ns: Callable[[], int], *, keeps: bool = True
    ) -> None:
        self.name, self.label, self._now_ns, self._keeps = name, label, now_ns, keeps
        self.lines = [_Line(line) for line in lines]
        self._left: dict[int, int] = {}
        self.biases = True
        """Whether the chip has resistors; without, asking for one is an error."""
        self.on_due: Callable[[int], None] | None = None
        """Called with the time at which `advance` is to be called."""
        self.on_level: Callable[[str, int], None] | None = None
        """Called when an output has another level."""
        self.on_request: Callable[[str, bool], None] | None = None
        """Called when a line is taken into use, and whether as an output."""
        self._shown: dict[int, int] = {}

    def request(
        self, offsets: Sequence[int], config: Mapping[str, object], events: int, consumer: str
    ) -> SimulatedRequest:
        """Takes lines into use. Raises OSError: EINVAL, EBUSY."""
        if not offsets or any(not 0 <= offset < len(self.lines) for offset in offsets):
            raise OSError(errno.EINVAL, "no such line")
        if any(self.lines[offset].request for offset in offsets):
            raise OSError(errno.EBUSY, "in use")
        request = SimulatedRequest(self, offsets, config, max(1, min(events, 1024)), consumer)
        if request.bias in ("pull_up", "pull_down") and not self.biases:
            raise OSError(errno.EINVAL, "no bias")
        for offset in offsets:
            line = self.lines[offset]
            line.request, line.due_ns, line.number = request, None, 0
            self._left.pop(offset, None)
            line.settled = self.level(offset)
            self._show(offset)
            if self.on_request is not None:
                self.on_request(line.name, request.output)
        return request

    def release(self, request: SimulatedRequest) -> None:
        """Frees lines."""
        for offset in request.offsets:
            line = self.lines[offset]
            if line.request is request:
                level = self.level(offset)
                line.request, line.due_ns = None, None
                if request.output and self._keeps:
                    self._left[offset] = level
                self._show(offset)

    def drive(self, line: str | int, level: int | None, at_ns: int | None = None) -> None:
        """Drives a line high or low from outside, or releases it. Raises KeyError for an unknown line."""
        offset = self.offset(line)
        self.lines[offset].outside = level
        self.changed(offset, at_ns)

    def offset(self, line: str | int) -> int:
        """Of a line by its name. Raises KeyError."""
        if isinstance(line, int):
            return line
        for offset, known in enumerate(self.lines):
            if known.name == line:
                return offset
        raise KeyError(line)

    def level(self, offset: int) -> int:
        """The level at a line now: what drives it from outside is stronger than the chip."""
        line = self.lines[offset]
        if line.outside is not None:
            return line.outside
        request = line.request
        if request is not None and request.output and (driven := request.driven(offset)) is not None:
            return driven
        if request is not None and request.bias in ("pull_up", "pull_down"):
            return int(request.bias == "pull_up")
        return self._left.get(offset, line.floating)

    def seen(self, offset: int) -> int:
        """The value that its user sees: on or off, debounced."""
        line, request = self.lines[offset], self.lines[offset].request
        if request is None:
            return self.level(offset)
        level = line.settled if request.debounce_ns and not request.output else self.level(offset)
        return level ^ request.active_low

    def changed(self, offset: int, at_ns: int | None = None) -> None:
        """Handles a change at a line."""
        self._show(offset)
        line, request = self.lines[offset], self.lines[offset].request
        if request is None or request.output:
            return
        level, now_ns = self.level(offset), self._now_ns() if at_ns is None else at_ns
        if not request.debounce_ns:
            if level != line.settled:
                line.settled = level
                request.report(line, offset, level ^ request.active_low, now_ns)
            return
        line.due_ns = now_ns + request.debounce_ns
        if self.on_due is not None:
            self.on_due(line.due_ns)

    def advance(self) -> None:
        """Reports edges that have settled by now."""
        now_ns = self._now_ns()
        due = [(line.due_ns, at) for at, line in enumerate(self.lines) if line.due_ns is not None]
        for due_ns, offset in sorted(due):
            line, request = self.lines[offset], self.lines[offset].request
            if due_ns > now_ns or request is None:
                continue
            line.due_ns = None
            level = self.level(offset)
            if level != line.settled:
                line.settled = level
                request.report(line, offset, level ^ request.active_low, due_ns)

    def _show(self, offset: int) -> None:
        request, level = self.lines[offset].request, self.level(offset)
        if request is None or not request.output:
            if offset not in self._shown:
                return
        elif self._shown.get(offset) == level:
            return
        if self._shown.get(offset) != level:
            self._shown[offset] = level
            if self.on_level is not None:
                self.on_level(self.lines[offset].name, level)
