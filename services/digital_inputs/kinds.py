"""Kinds of inputs: their settings, and how each is watched."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from device_bridge import DeviceError, DeviceErrorKind, Quantity, Reading
from device_bridge.buses import Bias, EdgeBatch, GpioBus, GpioLine, GpioLines, LineConfig
from device_bridge.control import Debounce, Put, Totals

from .edges import RISING, FrequencyMeter, Quadrature

log = logging.getLogger("digital_inputs")

Interval = Annotated[float, Meta(ge=0.05, le=86_400)]
_RECONCILE_S = 1.0


class InputSettings(GpioLine, frozen=True, kw_only=True, tag_field="kind"):
    """What all kinds have in common."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=50)]
    bias: Annotated[Bias, Meta(description="the chip's own resistor")] = "as_is"
    debounce: Annotated[float, Meta(ge=0, le=1, description="seconds it has to stay as it is to count")] = 0.0

    def quantities(self) -> Iterator[Quantity]:
        """What it measures."""
        yield Quantity(self.name)


class Input:
    """One input in use.

    Parameters:
        settings: its own.
        bus: where its line is.
        totals: of counters.
    """

    def __init__(self, settings: AnyInput, bus: GpioBus, totals: Totals) -> None:
        self.settings, self.bus, self.totals = settings, bus, totals
        self.lines: GpioLines | None = None
        self.healed = self.slips = 0
        self.software_debounce = False

    async def request(self, *more: str, rising: bool = True, falling: bool = True) -> GpioLines:
        """Takes its lines into use, debounced by the kernel, or by ourselves where the kernel cannot."""
        settings = self.settings
        lines = [
            settings,
            *(GpioLine(line=line, chip=settings.chip, active_low=settings.active_low) for line in more),
        ]
        config = LineConfig(
            bias=settings.bias, rising=rising, falling=falling, debounce_us=round(settings.debounce * 1e6)
        )
        try:
            self.lines = await self.bus.request(lines, config)
        except DeviceError as error:
            if error.kind is not DeviceErrorKind.BUS_FAULT or not config.debounce_us or more or not falling:
                raise
            self.lines = await self.bus.request(lines, config._replace(debounce_us=0))
            self.software_debounce = True
        return self.lines

    async def read(self, within_s: float) -> EdgeBatch | None:
        """Edges, or None when none come in time."""
        assert self.lines is not None  # noqa: S101 - requested first
        try:
            async with asyncio.timeout(max(within_s, 0.0)):
                batch = await self.lines.read()
        except TimeoutError:
            return None
        if batch.lost:
            log.warning("%s: %d edges came faster than they were read", self.settings.name, batch.lost)
        return batch

    def count_pending(self) -> None:
        """Adds pulses that have come and that nobody has read yet to a counter's total."""
        if not isinstance(self.settings, Counter) or self.lines is None:
            return
        with contextlib.suppress(DeviceError):
            while (batch := self.lines.pending()) is not None:
                self.totals.add(self.settings.name, len(batch) + batch.lost)

    async def close(self) -> None:
        """Gives its lines back."""
        if self.lines is not None:
            await self.lines.close()


class Contact(InputSettings, frozen=True, kw_only=True, tag="contact"):
    """A contact, a button, a motion detector: its state, at each change."""

    heartbeat: Annotated[Interval, Meta(description="seconds after which the state is told again")] = 60.0

    async def watch(self, input_: Input, put: Put) -> None:
        """Tells the state at first, each change, and from time to time all the same."""
        lines = await input_.request()
        debounce = Debounce(await lines.get(), self.debounce if input_.software_debounce else 0.0)
        told: int | None = None
        loop = asyncio.get_running_loop()
        tell_at = loop.time()
        while True:
            now = loop.time()
            if debounce.levels != told or now >= tell_at:
                told, tell_at = debounce.levels, now + self.heartbeat
                await put([Reading(self.name, bool(told))])
            unsettled = debounce.seen != debounce.levels
            batch = await input_.read(self.debounce if unsettled else min(_RECONCILE_S, tell_at - now))
            for time_ns, kind, *_ in batch or ():
                debounce.update(int(kind == RISING), time_ns / 1e9)
                if debounce.levels != told:
                    told = debounce.levels
                    ago_s = max(0.0, loop.time() - time_ns / 1e9)
                    await put([Reading(self.name, bool(told), time=-ago_s)])
            if batch is None or batch.lost:
                # Nothing says that no edge was missed: look.
                level, before = await lines.get(), debounce.seen
                debounce.update(level, loop.time())
                input_.healed += level != before


class Counter(InputSettings, frozen=True, kw_only=True, tag="counter"):
    """Pulses of a meter: total and rate."""

    per_pulse: Annotated[float, Meta(gt=0, description="what one pulse stands for")] = 1.0
    unit: Annotated[str, Meta(max_length=20, description="of the total (SenML)")] = "count"
    rate_unit: Annotated[str, Meta(max_length=20, description="of the rate")] = "1/s"
    rate_scale: Annotated[float, Meta(description="the rate is that per second, times this")] = 1.0
    interval: Annotated[Interval, Meta(description="seconds from report to report")] = 10.0

    def quantities(self) -> Iterator[Quantity]:
        """Total and rate."""
        yield Quantity(self.name, self.unit, description="total")
        yield Quantity(f"{self.name}/rate", self.rate_unit)

    async def watch(self, input_: Input, put: Put) -> None:
        """Counts; edges that the kernel had to drop are counted too, for it numbers them all."""
        await input_.request(falling=False)
        loop = asyncio.get_running_loop()
        counted, since = 0, loop.time()
        due = since
        while True:
            now = loop.time()
            if now >= due:
                total = input_.totals.get(self.name)
                rate = counted / (now - since) * self.per_pulse * self.rate_scale if now > since else 0.0
                await put(
                    [
                        Reading(self.name, total * self.per_pulse, self.unit),
                        Reading(f"{self.name}/rate", rate, self.rate_unit),
                    ]
                )
                counted, since, due = 0, now, max(due + self.interval, now)
            batch = await input_.read(due - loop.time())
            if batch is not None:
                count = len(batch) + batch.lost
                counted += count
                input_.totals.add(self.name, count)


class Frequency(InputSettings, frozen=True, kw_only=True, tag="frequency"):
    """A signal: its frequency, and the share of the time that it is on."""

    interval: Annotated[Interval, Meta(description="seconds from report to report")] = 1.0

    def quantities(self) -> Iterator[Quantity]:
        """Frequency and duty."""
        yield Quantity(self.name, "Hz")
        yield Quantity(f"{self.name}/duty", "/", (0, 1))

    async def watch(self, input_: Input, put: Put) -> None:
        """Measures by the kernel's own times."""
        lines = await input_.request()
        loop = asyncio.get_running_loop()
        since = round(loop.time() * 1e9)
        meter = FrequencyMeter(bool(await lines.get()), since)
        while True:
            due = since + round(self.interval * 1e9)
            while (left := due - round(loop.time() * 1e9)) > 0:
                batch = await input_.read(left / 1e9)
                if batch is not None:
                    meter.feed(batch)
            now = round(loop.time() * 1e9)
            hertz, duty = meter.report(since, now)
            await put([Reading(self.name, hertz, "Hz"), Reading(f"{self.name}/duty", duty, "/")])
            since = now


class Encoder(InputSettings, frozen=True, kw_only=True, tag="encoder"):
    """An incremental encoder on two lines: position and speed."""

    line_b: Annotated[str, Meta(min_length=1, max_length=64, description="the second line; `line` is the first")]
    per_step: Annotated[float, Meta(description="what one of its four steps a period stands for")] = 1.0
    unit: Annotated[str, Meta(max_length=20, description="of the position")] = "count"
    interval: Annotated[Interval, Meta(description="seconds from report to report")] = 0.5

    def quantities(self) -> Iterator[Quantity]:
        """Position and speed."""
        yield Quantity(self.name, self.unit, description="since the start")
        yield Quantity(f"{self.name}/speed", f"{self.unit}/s" if self.unit else "1/s")

    async def watch(self, input_: Input, put: Put) -> None:
        """Follows both lines in the order of their edges."""
        lines = await input_.request(self.line_b)
        quadrature = Quadrature(lines.offsets[0], await lines.get())
        units = [quantity.unit for quantity in self.quantities()]
        loop = asyncio.get_running_loop()
        before, since = 0, loop.time()
        due = since
        while True:
            now = loop.time()
            if now >= due:
                moved = (quadrature.position - before) * self.per_step
                speed = moved / (now - since) if now > since else 0.0
                position = quadrature.position * self.per_step
                await put([Reading(self.name, position, units[0]), Reading(f"{self.name}/speed", speed, units[1])])
                before, since, due = quadrature.position, now, max(due + self.interval, now)
            batch = await input_.read(due - loop.time())
            if batch is not None:
                quadrature.feed(batch)
                if batch.lost:
                    quadrature.resync(await lines.get())
                input_.slips = quadrature.slips


AnyInput = Contact | Counter | Frequency | Encoder
