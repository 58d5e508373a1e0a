"""Settings of gpiozero_device."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from device_bridge import CommandedSettings, Quantity, SettingsError, require_unique
from device_bridge.buses import GpioSettings
from device_bridge.control import Rules, RuleSettings

from .classes.rows import DeviceSettings, OutputSettings
from .classes.table import AnyDevice, row_of


class GpiozeroSettings(CommandedSettings, frozen=True, kw_only=True):
    """Settings of this service, beside those of every service."""

    gpio: GpioSettings = GpioSettings()
    devices: Annotated[
        tuple[AnyDevice, ...],
        Meta(min_length=1, max_length=64, description="each with `device`, `name` and its class's own; listed above"),
    ]
    rules: Annotated[
        tuple[RuleSettings, ...], Meta(description="which readings switch which outputs, link or no link")
    ] = ()
    node_timeout: Annotated[
        float,
        Meta(
            ge=0,
            le=86_400,
            description="seconds without the node until outputs that follow nothing go to their safe state; 0: never",
        ),
    ] = 60.0
    watchdog: Annotated[
        bool, Meta(description="a second process (10 MiB) brings outputs into their safe state if this one is killed")
    ] = True
    watchdog_timeout: Annotated[
        float,
        Meta(ge=0, le=3600, description="seconds without a sign of life, then it kills this one; 0: never"),
    ] = 10.0


def check(settings: GpiozeroSettings) -> None:
    """Raises SettingsError for settings that do not fit together."""
    names = [quantity.name for one in settings.devices for quantity in _quantities(one)]
    names += [one.name for one in settings.devices if one.name not in names]
    require_unique("devices.name", names, "Give every device a name of its own.")
    commands = [method.command(one).name for one in settings.devices for method in row_of(one).methods_of(one)]
    require_unique("devices.name", commands, "A device's commands have its name before them: give it another name.")
    for one in settings.devices:
        row = row_of(one)
        if row.check is not None and (problem := row.check(one)):
            option, rule = problem
            remedy = f"See {row.name} in the service's README."
            raise SettingsError(f"devices.{option}", getattr(one, option), f"of {one.name} {rule}", remedy)
    _check_lines(settings)
    _check_rules(settings)


def _check_lines(settings: GpiozeroSettings) -> None:
    """A line has one device, but for those of an SPI bus, which have many and nothing else."""
    users: dict[str, str] = {}
    for one in settings.devices:
        for option, pin in row_of(one).lines_of(one):
            user = f"several ({option.name})" if option.shared else one.name
            other = users.setdefault(pin.casefold(), user)
            if option.shared and other == user:
                continue
            if users.get(f"{pin.casefold()} by {one.name}") or other != one.name:
                rule = f"of {one.name} is used by {other} already"
                raise SettingsError(f"devices.{option.name}", pin, rule, "Give each device lines of its own.")
            users[f"{pin.casefold()} by {one.name}"] = one.name


def _quantities(one: DeviceSettings) -> list[Quantity]:
    return [measure.quantity(one) for measure in row_of(one).measures_of(one)]


def _check_rules(settings: GpiozeroSettings) -> None:
    measured = [quantity.name for one in settings.devices for quantity in _quantities(one)]
    devices = [one.name for one in settings.devices]
    outputs = [one.name for one in settings.devices if isinstance(one, OutputSettings)]
    Rules(settings.rules)
    for rule in settings.rules:
        if rule.output not in outputs:
            known = ", ".join(outputs) or "none here"
            raise SettingsError("rules.output", rule.output, "is no output", f"Write one of {known}.")
        if rule.reading not in measured:
            raise SettingsError("rules.reading", rule.reading, "is not measured here", "Name a reading of a device.")
    for one in settings.devices:
        if not isinstance(one, OutputSettings) or not one.source:
            continue
        if one.source not in devices or one.source == one.name:
            known = ", ".join(name for name in devices if name != one.name) or "none here"
            raise SettingsError("devices.source", one.source, "is no other device", f"Write one of {known}.")
        if one.name in [rule.output for rule in settings.rules]:
            raise SettingsError("devices.source", one.source, f"and a rule switch {one.name}", "Keep one of them.")
