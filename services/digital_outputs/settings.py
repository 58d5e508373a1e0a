"""Settings of digital_outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from device_bridge import CommandedSettings, CommandSpec, Name, Parameter, Quantity, SettingsError, require_unique
from device_bridge.buses import Drive, GpioLine, GpioSettings
from device_bridge.control import Rules, RuleSettings, Watchdog, WatchdogTimeout
from digital_inputs.input_lines import line_text
from digital_inputs.kinds import AnyInput, by_line

from .interlock import Limits

LONGEST_S = 86_400.0
ALL_SAFE = CommandSpec("all_safe", description="all outputs to their safe state")
Time = Annotated[float, Meta(ge=0, le=86_400)]


class OutputSettings(GpioLine, frozen=True, kw_only=True):
    """One output."""

    name: Name
    kind: Annotated[Literal["switch", "pwm"], Meta(description="`pwm`: its value is a duty, 0 to 1")] = "switch"
    drive: Drive = "push_pull"
    safe: Annotated[bool, Meta(description="its safe state")] = False
    group: Annotated[str, Meta(max_length=50, description="outputs of one group are never on together")] = ""
    min_on: Annotated[Time, Meta(description="seconds that it stays on, once on")] = 0.0
    min_off: Annotated[Time, Meta(description="seconds that it stays off, once off")] = 0.0
    max_on: Annotated[Time, Meta(description="seconds after which it goes to its safe state; 0 for never")] = 0.0
    frequency: Annotated[float, Meta(ge=0.1, le=200, description="of a `pwm` output, in Hz")] = 50.0
    on_stop: Annotated[
        Literal["safe", "keep"], Meta(description="`keep`: stays as it is when the service is stopped in order")
    ] = "safe"

    @property
    def limits(self) -> Limits:
        """What it may do."""
        return Limits(self.safe, self.group, self.min_on, self.min_off, self.max_on)

    @property
    def quantity(self) -> Quantity:
        """Its state."""
        return Quantity(self.name, "/" if self.kind == "pwm" else "", description="output")

    @property
    def command(self) -> CommandSpec:
        """Its commands: a value, for a time or for good; or a pattern."""
        seconds = (0.01, LONGEST_S)
        value = (
            Parameter("value", "level", (0, 1), required=False, description="duty")
            if self.kind == "pwm"
            else Parameter("value", "boolean", required=False, description="on or off")
        )
        return CommandSpec(
            self.name,
            (
                value,
                Parameter("for", range=seconds, required=False, unit="s", description="then its safe state"),
                Parameter("on_s", range=seconds, required=False, unit="s", description="of a pattern"),
                Parameter("off_s", range=seconds, required=False, unit="s", description="of a pattern"),
                Parameter("times", "integer", (1, LONGEST_S), required=False, description="of a pattern"),
            ),
            "switches it; or `on_s`, `off_s` and `times`: a pattern, then its safe state",
            self.safe,
        )


class OutputsSettings(CommandedSettings, frozen=True, kw_only=True):
    """Settings of this service, beside those of every service."""

    renamed: ClassVar[Mapping[str, str]] = {**CommandedSettings.renamed, "hold": "node_timeout", "guard": "watchdog"}

    gpio: GpioSettings = GpioSettings()
    outputs: Annotated[
        tuple[OutputSettings, ...], Meta(min_length=1, description="each with `name`, `line` and what else it needs")
    ]
    inputs: Annotated[
        tuple[AnyInput, ...], Meta(description="inputs for rules, also reported; as those of digital_inputs")
    ] = ()
    rules: Annotated[
        tuple[RuleSettings, ...], Meta(description="which readings switch which outputs, link or no link")
    ] = ()
    node_timeout: Annotated[
        Time,
        Meta(description="seconds without the node until outputs without a rule go to their safe state; 0: never"),
    ] = 60.0
    report_interval: Annotated[
        float, Meta(ge=0.1, le=86_400, description="seconds after which all states are reported again")
    ] = 60.0
    watchdog: Watchdog = True
    watchdog_timeout: WatchdogTimeout = 10.0


def check(settings: OutputsSettings) -> None:
    """Raises SettingsError for settings that do not fit together."""
    outputs = [output.name for output in settings.outputs]
    measured = [quantity.name for one in settings.inputs for quantity in one.quantities()]
    require_unique("outputs.name", [ALL_SAFE.name, *outputs, *measured], "Give everything a name of its own.")
    require_unique("outputs.line", map(line_text, settings.outputs), "Give every output a line of its own.")
    by_line(settings.inputs, line_text)
    for output in settings.outputs:
        if output.max_on and output.safe:
            remedy = "An output that is on in its safe state has no longest time on."
            raise SettingsError("outputs.max_on", output.max_on, f"cannot end for {output.name}", remedy)
        if output.on_stop == "keep" and (output.max_on or output.kind == "pwm"):
            remedy = f"Leave out on_stop of {output.name}: nothing would see to max_on or its duty meanwhile."
            raise SettingsError("outputs.on_stop", "keep", "is for switches without max_on", remedy)
    safe_on = [output.group for output in settings.outputs if output.safe and output.group]
    for group in safe_on:
        if safe_on.count(group) > 1:
            remedy = "Let one at most be on in its safe state."
            raise SettingsError("outputs.safe", group, "would have two of a group on", remedy)
    Rules(settings.rules)
    for rule in settings.rules:
        if rule.output not in outputs:
            raise SettingsError("rules.output", rule.output, "is no output", f"Write one of {', '.join(outputs)}.")
        if rule.reading not in measured:
            remedy = "Name a reading of one of `inputs`."
            raise SettingsError("rules.reading", rule.reading, "is not measured here", remedy)
