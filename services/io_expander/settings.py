"""Settings of io_expander."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from device_bridge import CommandedSettings, OptionalName, Quantity, Reading, Settings, SettingsError, require_unique
from device_bridge.buses import GpioLine, GpioSettings, I2cAddress, I2cSettings
from device_bridge.control import Watchdog, WatchdogTimeout

from .chip import EXPANDERS


class LineSettings(Settings, frozen=True, kw_only=True):
    """What inputs and outputs have in common."""

    kind: ClassVar[str]

    line: Annotated[str, Meta(description="`A0` to `B7`, or `P0` to `P7`")]
    name: OptionalName = ""
    active_low: bool = False

    @property
    def label(self) -> str:
        """As it is called in readings and commands."""
        return self.name or self.line

    @property
    def quantity(self) -> Quantity:
        """Its state."""
        return Quantity(self.label, description=self.kind)


class InputSettings(LineSettings, frozen=True, kw_only=True):
    """A line that is read."""

    kind: ClassVar[str] = "input"

    pull_up: Annotated[bool, Meta(description="for a contact to ground; a PCF8574 always has one")] = True

    def reading(self, high: bool) -> Reading:
        """Its state at a level."""
        return self.quantity.good(high != self.active_low)


class OutputSettings(LineSettings, frozen=True, kw_only=True):
    """A line that is driven."""

    kind: ClassVar[str] = "output"

    safe: Annotated[bool, Meta(description="state when the service starts, stops, or has lost the chip")] = False

    def reading(self, high: bool, driven_high: bool) -> Reading:
        """Its state at a level, and whether that is the one it is driven to."""
        if high == driven_high:
            return self.quantity.good(high != self.active_low)
        driven, level = ("high" if it_is_high else "low" for it_is_high in (driven_high, high))
        reason = f"driven {driven}, yet it is {level}: overload or short circuit"
        return self.quantity.uncertain(high != self.active_low, reason)


class ExpanderSettings(CommandedSettings, frozen=True, kw_only=True):
    """Settings of this service, beside those of every service."""

    renamed: ClassVar[Mapping[str, str]] = {**CommandedSettings.renamed, "at_end": "on_stop"}

    chip: Annotated[Literal["mcp23017", "pcf8574"], Meta(description="which one it is")] = "mcp23017"
    bus: I2cSettings = I2cSettings()
    address: Annotated[I2cAddress | None, Meta(description="0x20 by default; a PCF8574A begins at 0x38")] = None
    inputs: Annotated[
        tuple[InputSettings, ...], Meta(description="each with `line`, `name`, `active_low`, `pull_up`")
    ] = ()
    outputs: Annotated[
        tuple[OutputSettings, ...], Meta(description="each with `line`, `name`, `active_low`, `safe`")
    ] = ()
    interval: Annotated[float, Meta(ge=0.002, le=60, description="seconds from look to look at the lines")] = 0.02
    interrupt: Annotated[
        GpioLine | None,
        Meta(description="GPIO line that the chip's INT is wired to; lines are then read when it says so"),
    ] = None
    gpio: GpioSettings = GpioSettings()
    debounce: Annotated[float, Meta(ge=0, le=10, description="seconds an input has to stay as it is to count")] = 0.0
    report_interval: Annotated[
        float, Meta(ge=0.1, le=86_400, description="seconds after which all is reported again, changed or not")
    ] = 60.0
    on_stop: Annotated[
        Literal["safe", "keep"], Meta(description="outputs when the service stops; `keep` leaves them as they are")
    ] = "safe"
    watchdog: Watchdog = True
    watchdog_timeout: WatchdogTimeout = 10.0


def check(settings: ExpanderSettings) -> None:
    """Raises SettingsError for lines that the chip does not have, or that are used twice."""
    lines = [*(("inputs", line) for line in settings.inputs), *(("outputs", line) for line in settings.outputs)]
    if not lines:
        raise SettingsError("inputs", None, "is empty, and so is outputs", "List the lines that are wired.")
    known = EXPANDERS[settings.chip].lines
    for field, line in lines:
        if line.line not in known:
            remedy = f"Write {known[0]} to {known[-1]}."
            raise SettingsError(f"{field}.line", line.line, f"is no line of a {settings.chip}", remedy)
    words = [word for _, line in lines for word in {line.line, line.label}]
    require_unique(" and ".join(dict(lines)), words, "Give every line one entry and a name of its own.")
