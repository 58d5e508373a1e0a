"""Kinds of inputs: their settings, what they measure, and which share a line."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Annotated, Literal

from msgspec import Meta

from device_bridge import (
    CommandError,
    CommandSpec,
    Interval,
    Name,
    Parameter,
    Quantity,
    Reading,
    SettingsError,
    Value,
)
from device_bridge.buses import Bias, GpioLine, LineName
from device_bridge.control import Totals
from device_bridge.protocols import scaled

from .views import ContactView, CounterView, EncoderView, FrequencyView, Start, View

Standstill = Annotated[
    float, Meta(gt=0, le=86_400, description="seconds without a pulse after which there is no rate: 0")
]
_MAX_COUNT = 2**53


class InputSettings(GpioLine, frozen=True, kw_only=True, tag_field="kind"):
    """What all kinds have in common."""

    name: Name
    bias: Annotated[Bias, Meta(description="the chip's own resistor")] = "as_is"
    debounce: Annotated[float, Meta(ge=0, le=3600, description="seconds it has to stay as it is to count")] = 0.0

    def quantities(self) -> tuple[Quantity, ...]:
        """What it measures, the value itself first."""
        return (Quantity(self.name),)

    def commands(self) -> tuple[CommandSpec, ...]:
        """Its commands."""
        return ()

    @property
    def wiring(self) -> tuple[object, ...]:
        """What all inputs on one line have to agree in."""
        return self.active_low, self.bias, self.debounce


class Contact(InputSettings, frozen=True, kw_only=True, tag="contact"):
    """A contact, a button, a motion detector: its state, at each change."""

    heartbeat: Annotated[Interval, Meta(description="seconds after which the state is reported again")] = 60.0

    def view(self, start: Start) -> View:
        """How it is watched."""
        return ContactView(self, start)


class CountedSettings(InputSettings, frozen=True, kw_only=True):
    """What kinds with a total have in common; it belongs to the process, and can be set."""

    @property
    def step(self) -> float:
        """What one count stands for."""
        return 1.0

    def commands(self) -> tuple[CommandSpec, ...]:
        """The total can be set to what is right."""
        total, most = self.quantities()[0], abs(self.step) * _MAX_COUNT
        value = Parameter("value", range=(0 if isinstance(self, Counter) else -most, most), unit=total.unit)
        return (CommandSpec(self.name, (value,), "sets the total, as to what the meter shows"),)

    @property
    def missed(self) -> str:
        """The name of the total of steps of unknown direction."""
        return f"{self.name}/missed"

    def total(self, totals: Totals) -> Reading:
        """Its total; uncertain once steps were missed, until it is set, and while earlier ones cannot be read."""
        total, value = self.quantities()[0], scaled(totals.get(self.name), self.step, 0.0)
        if not totals.is_complete:
            return total.uncertain(value, "what was counted before this start cannot be read now")
        missed = totals.get(self.missed)
        return total.uncertain(value, f"{missed} edges were missed since it was set") if missed else total.good(value)

    def set_total(self, value: Value, totals: Totals) -> Reading:
        """Does what the command says; returns the total as it is then. Raises CommandError."""
        if isinstance(value, str):
            raise CommandError(f"{self.name} cannot be set to {value!r}")
        totals.set(self.name, round(value / self.step))
        totals.set(self.missed, 0)
        return self.total(totals)


class Counter(CountedSettings, frozen=True, kw_only=True, tag="counter"):
    """Pulses of a meter: total and rate."""

    edges: Annotated[Literal["rising", "falling", "both"], Meta(description="which edges count as a pulse")] = (
        "rising"
    )
    per_pulse: Annotated[float, Meta(gt=0, description="what one pulse stands for")] = 1.0
    unit: Annotated[str, Meta(max_length=20, description="of the total (SenML)")] = "count"
    rate_unit: Annotated[str, Meta(max_length=20, description="of the rate")] = "1/s"
    rate_scale: Annotated[float, Meta(description="the rate is that per second, times this")] = 1.0
    interval: Annotated[Interval, Meta(description="seconds from report to report")] = 10.0
    standstill: Standstill = 300.0

    def quantities(self) -> tuple[Quantity, ...]:
        """Total and rate."""
        return Quantity(self.name, self.unit, description="total"), Quantity(f"{self.name}/rate", self.rate_unit)

    @property
    def step(self) -> float:
        return self.per_pulse

    def view(self, start: Start) -> View:
        """How it is watched."""
        return CounterView(self, start)


class Frequency(InputSettings, frozen=True, kw_only=True, tag="frequency"):
    """A signal: its frequency, and the share of the time that it is on."""

    interval: Annotated[Interval, Meta(description="seconds from report to report")] = 1.0
    standstill: Standstill = 10.0

    def quantities(self) -> tuple[Quantity, ...]:
        """Frequency and duty."""
        return Quantity(self.name, "Hz"), Quantity(f"{self.name}/duty", "/", (0, 1))

    def view(self, start: Start) -> View:
        """How it is watched."""
        return FrequencyView(self, start)


class Encoder(CountedSettings, frozen=True, kw_only=True, tag="encoder"):
    """An incremental encoder on two lines: position and speed."""

    line_b: Annotated[LineName, Meta(description="the second line; `line` is the first")]
    per_step: Annotated[float, Meta(description="what one of its four steps a period stands for; not 0")] = 1.0
    unit: Annotated[str, Meta(max_length=20, description="of the position")] = "count"
    interval: Annotated[Interval, Meta(description="seconds from report to report")] = 0.5

    def quantities(self) -> tuple[Quantity, ...]:
        """Position and speed."""
        speed_unit = f"{self.unit}/s" if self.unit else "1/s"
        return Quantity(self.name, self.unit, description="position"), Quantity(f"{self.name}/speed", speed_unit)

    @property
    def step(self) -> float:
        return self.per_step

    def view(self, start: Start) -> View:
        """How it is watched."""
        return EncoderView(self, start)


AnyInput = Contact | Counter | Frequency | Encoder


def by_line(inputs: Sequence[AnyInput], place: Callable[[GpioLine], Hashable]) -> list[list[AnyInput]]:
    """Inputs that look at the same line together.

    Parameters:
        inputs: all.
        place: what is the same for the same line.

    Raises SettingsError for those that want the same line differently.
    """
    lines: dict[Hashable, list[AnyInput]] = {}
    for one in inputs:
        others = lines.setdefault(place(one), [])
        if others and (one.wiring != others[0].wiring or Encoder in map(type, (one, others[0]))):
            remedy = "Give all inputs on one line the same active_low, bias and debounce; an encoder shares no line."
            raise SettingsError("inputs.line", one.line, f"is wanted otherwise by {others[0].name}", remedy)
        others.append(one)
        if isinstance(one, Encoder) and lines.setdefault(place(second_line(one)), others) is not others:
            remedy = "An encoder shares no line."
            raise SettingsError("inputs.line_b", one.line_b, f"is used by {one.name} and another input", remedy)
    return list({id(group): group for group in lines.values()}.values())


def second_line(encoder: Encoder) -> GpioLine:
    """The second line of an encoder."""
    return GpioLine(line=encoder.line_b, chip=encoder.chip, active_low=encoder.active_low)
