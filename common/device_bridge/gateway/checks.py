"""Settings of several services that must fit together: rules name what there is."""

from __future__ import annotations

from ..control.rules import Rules
from ..errors import SettingsError
from .entries import check_entry
from .gateway_settings import GatewayRule, GatewaySettings


def check_rules(gateway: GatewaySettings) -> None:
    """Raises SettingsError for a rule about something that is not there.

    A bridge whose own settings cannot be used is refused by itself, later, and its rules are left to be judged then.
    """
    Rules(gateway.rules)
    for rule in gateway.rules:
        for member in ("reading", "output"):
            given = getattr(rule, member)
            if given.partition("/")[0] not in gateway.bridges:
                remedy = (
                    f"Write one of {', '.join(gateway.bridges) or 'the names in `bridges`'}, then `/` and a name."
                )
                raise SettingsError(f"rules.{member}", given, "names no bridge", remedy)
        _check_reading(rule, gateway)
        _check_output(rule, gateway)


def _check_reading(rule: GatewayRule, gateway: GatewaySettings) -> None:
    bridge, _, name = rule.reading.partition("/")
    try:
        service_type, settings = check_entry(bridge, gateway)
    except SettingsError:
        return
    names = [quantity.name for quantity in service_type.quantities_of(settings)]
    if names and name not in names:
        remedy = f"Write {bridge}/ and one of {', '.join(names[:30])}."
        raise SettingsError("rules.reading", rule.reading, "is not measured", remedy)


def _check_output(rule: GatewayRule, gateway: GatewaySettings) -> None:
    bridge, _, name = rule.output.partition("/")
    try:
        service_type, settings = check_entry(bridge, gateway)
    except SettingsError:
        return
    names = [spec.name for spec in service_type.commands_of(settings) if spec.safe is not None]
    if name not in names:
        remedy = (
            f"Write {bridge}/ and one of {', '.join(names[:30])}." if names else "Name a bridge that has outputs."
        )
        raise SettingsError("rules.output", rule.output, "is no output with a safe state", remedy)
