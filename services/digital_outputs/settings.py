"""Settings of digital_outputs."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal

from msgspec import Meta

from device_bridge import CommandedSettings, SettingsError
from device_bridge.buses import Drive, GpioLine, GpioSettings
from device_bridge.control import Rules, RuleSettings
from digital_inputs.kinds import AnyInput

from .switchboard import Limits

Time = Annotated[float, Meta(ge=0, le=86_400)]


class OutputSettings(GpioLine, frozen=True, kw_only=True):
    """One output."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=50)]
    kind: Annotated[Literal["switch", "pwm"], Meta(description="`pwm`: its value is a duty, 0 to 1")] = "switch"
    drive: Drive = "push_pull"
    safe: Annotated[bool, Meta(description="its safe state")] = False
    group: Annotated[str, Meta(max_length=50, description="outputs of one group are never on together")] = ""
    min_on: Annotated[Time, Meta(description="seconds that it stays on, once on")] = 0.0
    min_off: Annotated[Time, Meta(description="seconds that it stays off, once off")] = 0.0
    max_on: Annotated[Time, Meta(description="seconds after which it goes to its safe state; 0 for never")] = 0.0
    frequency: Annotated[float, Meta(ge=0.1, le=200, description="of a `pwm` output, in Hz")] = 50.0

    @property
    def limits(self) -> Limits:
        """What it may do."""
        return Limits(self.safe, self.group, self.min_on, self.min_off, self.max_on)


class OutputsSettings(CommandedSettings, frozen=True, kw_only=True):
    """What this service can be told beside the settings every service has."""

    gpio: GpioSettings = GpioSettings()
    outputs: Annotated[
        tuple[OutputSettings, ...], Meta(min_length=1, description="each with `name`, `line` and what else it needs")
    ]
    inputs: Annotated[
        tuple[AnyInput, ...], Meta(description="inputs for rules, also told; as those of digital_inputs")
    ] = ()
    rules: Annotated[
        tuple[RuleSettings, ...], Meta(description="which readings switch which outputs, link or no link")
    ] = ()
    hold: Annotated[
        Time,
        Meta(description="seconds without the node until outputs without a rule go to their safe state; 0: never"),
    ] = 60.0
    report_interval: Annotated[
        float, Meta(ge=0.1, le=86_400, description="seconds after which all states are told again")
    ] = 60.0
    guard: Annotated[
        bool, Meta(description="a second process (7 MiB) brings outputs into their safe state if this one is killed")
    ] = True


def check(settings: OutputsSettings) -> Rules:
    """The rules of settings that fit together. Raises SettingsError."""
    names = [output.name for output in settings.outputs]
    names += [quantity.name for one in settings.inputs for quantity in one.quantities()]
    for name, count in Counter(names).items():
        if count > 1:
            raise SettingsError("outputs.name", name, "stands twice", "Give everything a name of its own.")
    for group, count in Counter(output.group for output in settings.outputs if output.safe and output.group).items():
        if count > 1:
            remedy = "Let one at most be on in its safe state."
            raise SettingsError("outputs.safe", group, "would have two of a group on", remedy)
    rules = Rules(settings.rules)
    for rule in settings.rules:
        if rule.output not in {output.name for output in settings.outputs}:
            raise SettingsError("rules.output", rule.output, "is no output", f"Write one of {', '.join(names)}.")
        if rule.reading not in {quantity.name for one in settings.inputs for quantity in one.quantities()}:
            remedy = "Name a reading of one of `inputs`."
            raise SettingsError("rules.reading", rule.reading, "is not measured here", remedy)
    return rules
