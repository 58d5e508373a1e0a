"""The generated parts of a service's README: tables between `<!-- settings -->` and `<!-- end -->` marks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..service import DeviceService
from ..settings.explain import settings_table
from ..settings.profiles import about_profile, profile_names, read_profile
from .command_docs import commands_table


def write_readme(service_type: type[DeviceService[Any]], file: Path) -> None:
    """Brings the tables of a README up to date; the rest of it stays."""
    file.write_text(with_tables(service_type, file.read_text()))


def with_tables(service_type: type[DeviceService[Any]], text: str) -> str:
    """The README's text with its tables as the code has them."""
    for mark, table in {
        "quantities": quantities_table(service_type),
        "settings": settings_table(service_type.settings_type),
        "profiles": profiles_table(service_type),
        "commands": commands_table(service_type.commands),
        **service_type.readme_tables(),
    }.items():
        start, found, rest = text.partition(f"<!-- {mark} -->\n")
        if found:
            text = f"{start}{found}{table}\n{rest[rest.index('<!-- end -->') :]}"
    return text


def quantities_table(service_type: type[DeviceService[Any]]) -> str:
    """A Markdown table of what a service measures."""
    rows = ["| quantity | unit | from | to | meaning |", "|---|---|---|---|---|"]
    for quantity in service_type.quantities:
        low, high = quantity.valid or ("", "")
        unit = f"`{quantity.unit}`" if quantity.unit else ""
        rows.append(f"| `{quantity.name}` | {unit} | {low} | {high} | {quantity.description} |")
    return "\n".join(rows)


def profiles_table(service_type: type[DeviceService[Any]]) -> str:
    """A Markdown table of the devices a service knows by name."""
    package = service_type.settings_type.profiles
    profiles = {name: read_profile(package, name) for name in profile_names(package)} if package else {}
    commands = any("commands" in profile for profile in profiles.values())
    rows = ["| profile | device | measures |" + " commands |" * commands, "|---|---|---|" + "---|" * commands]
    for name, profile in profiles.items():
        measured = profile.get("fields") or profile.get("registers") or profile.get("channels") or []
        parts = [*profile.get("reads", ()), *profile.get("records", {}).values()]
        measured += [field for part in parts for field in part["fields"]]
        measured = [field for field in (*measured, *profile.get("computed", ())) if not field.get("hidden")]
        at = f" at `0x{profile['address']:02x}`" if "address" in profile else ""
        row = f"| `{name}` | {about_profile(package, name)}{at} | {', '.join(map(_measured, measured))} |"
        rows.append(row + f" {', '.join(f'`{command}`' for command in profile.get('commands', {}))} |" * commands)
    return "\n".join(rows)


def _measured(field: dict[str, Any]) -> str:
    """A quantity, and its unit, range and resolution where a profile states them."""
    text = f"`{field['name']}`"
    if low_and_high := field.get("valid"):
        low, high = low_and_high
        text += f" {low:g} to {high:g}"
    text += f" {unit}" if (unit := field.get("unit")) else ""
    if "scale" in field and "valid" in field and "table" not in field:
        text += f" by {field['scale']:.2g}"
    return text
