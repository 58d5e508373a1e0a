"""Lines of inputs in use: each is watched, fails and comes back by itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Hashable, Sequence

from device_bridge import DeviceError, DeviceErrorKind, Sample
from device_bridge.buses import EdgeBatch, GpioBus, GpioLine, GpioLines, LineConfig
from device_bridge.control import Member, Put, Totals

from .kinds import AnyInput, Contact, Counter, Encoder, by_line, second_line
from .views import Start, View

log = logging.getLogger("digital_inputs")

_LOOK_NS = 1_000_000_000
"""A line without edges is looked at so often, should one have been missed."""
_MAX_RETRY_S = 30.0
_SHORTEST_S = 1e-5


class InputLine:
    """One line, or the two of an encoder, and the inputs that look at it.

    Parameters:
        inputs: at least one; all are wired alike.
        bus: where the line is.
        totals: of counters.
    """

    def __init__(self, inputs: Sequence[AnyInput], bus: GpioBus, totals: Totals) -> None:
        self._inputs, self._bus, self._totals = inputs, bus, totals
        label = "+".join(one.name for one in inputs)
        quantities = [quantity for one in inputs for quantity in one.quantities()]
        self.member = Member(label, quantities, max_retry_s=_MAX_RETRY_S)

    async def run(self, put: Put) -> None:
        """Watches the line until cancelled, and tries again after each failure."""
        await self.member.keep(self._watch, put)

    async def _watch(self, put: Put) -> None:
        lines, start = await self._request()
        views = [one.view(start) for one in self._inputs]
        looked_ns = start.now_ns
        try:
            while True:
                now_ns = _now_ns()
                for view in views:
                    if sample := view.report(now_ns):
                        await put(sample)
                until_ns = min(looked_ns + _LOOK_NS, *(view.due_ns for view in views))
                batch = await _read(lines, (until_ns - _now_ns()) / 1e9)
                for sample in self._feed(views, batch):
                    await put(sample)
                lost = batch is not None and batch.lost > 0
                if batch is not None and not lost:
                    looked_ns = _now_ns()
                elif lost or _now_ns() >= looked_ns + _LOOK_NS:
                    values = await lines.get()
                    looked_ns = _now_ns()
                    if (batch := lines.pending()) is None:
                        for view in views:
                            view.look(values, looked_ns, lost=lost)
                    for sample in self._feed(views, batch):
                        await put(sample)
        finally:
            with contextlib.suppress(DeviceError):
                while (batch := lines.pending()) is not None:
                    self._feed(views, batch)  # pulses that have come count
            await lines.close()

    def _feed(self, views: Sequence[View], batch: EdgeBatch | None) -> list[Sample]:
        """Has all views take the edges; returns what is to be reported."""
        counters = self.member.counters
        for view, one in zip(views, self._inputs, strict=True):
            counters["quadrature_errors" if isinstance(one, Encoder) else "resyncs"] = view.resyncs
        if batch is None:
            return []
        counters["edges"] += len(batch)
        counters["lost_edges"] += batch.lost
        if batch.lost:
            log.warning("%s: %d edges came faster than they were read", self.member.label, batch.lost)
        now_ns = _now_ns()
        return [sample for view in views for sample in view.feed(batch, now_ns)]

    async def _request(self) -> tuple[GpioLines, Start]:
        """Takes the line into use, debounced by the kernel or, where it cannot, by the view. Raises DeviceError."""
        first = self._inputs[0]
        lines = [first, second_line(first)] if isinstance(first, Encoder) else [first]
        edges = {one.edges if isinstance(one, Counter) else "both" for one in self._inputs}
        config = LineConfig(
            bias=first.bias,
            rising=edges != {"falling"},
            falling=edges != {"rising"},
            debounce_us=round(first.debounce * 1e6),
        )
        settle_s = 0.0
        try:
            taken = await self._bus.request(lines, config)
        except DeviceError as error:
            only_contacts = all(isinstance(one, Contact) for one in self._inputs)
            if error.kind is not DeviceErrorKind.BUS_FAULT or not config.debounce_us or not only_contacts:
                raise
            taken, settle_s = await self._bus.request(lines, config._replace(debounce_us=0)), first.debounce
        try:
            values = await taken.get()
        except BaseException:
            await taken.close()
            raise
        both = config.rising and config.falling
        return taken, Start(values, _now_ns(), self._totals, taken.offsets[0], both, settle_s)


def input_lines(inputs: Sequence[AnyInput], bus: GpioBus, totals: Totals) -> list[InputLine]:
    """The lines of inputs. Raises SettingsError for inputs that want one line differently."""

    def place(line: GpioLine) -> Hashable:
        try:
            chip, offset = bus.find(line)
        except DeviceError:  # it may come later
            return line_text(line)
        return chip.name, offset

    return [InputLine(group, bus, totals) for group in by_line(inputs, place)]


def line_text(line: GpioLine) -> Hashable:
    """A line as it is written."""
    return line.chip, str(line.line).casefold()


def _now_ns() -> int:
    return round(asyncio.get_running_loop().time() * 1e9)


async def _read(lines: GpioLines, within_s: float) -> EdgeBatch | None:
    """Edges, or None when none come in time. Raises DeviceError."""
    try:
        async with asyncio.timeout(max(within_s, _SHORTEST_S)):
            return await lines.read()
    except TimeoutError:
        return None
