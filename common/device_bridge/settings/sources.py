"""Sources of settings, and how they are merged.

A later source wins over an earlier one, member by member:

1. the defaults in the model,
2. the configuration that ioFog keeps for the microservice (a JSON object),
3. the file given with `--settings` (TOML or JSON; YAML where PyYAML is installed, which images do not have),
4. environment variables: `SETTING_` and the path in capitals, `__` between levels (`SETTING_SERIAL__PORT`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from iofog_sdk.messages import decode_json

from ..errors import SettingsError
from .base import Settings
from .limits import check_limits, limit
from .profiles import read_profile

log = logging.getLogger("device_bridge")

Layers = list[tuple[str, dict[str, Any]]]
ENVIRONMENT_PREFIX = "SETTING_"

_QUOTED = re.compile(r"'.*'", re.DOTALL)
"""What a parser's error repeats of the file: it may be a part of a secret."""
_ANCHOR = re.compile(rb"(?:[:\[{,-]|^)[ \t]*&\w", re.MULTILINE)
"""Of YAML: what refers to it over and over makes a small file large."""
_LONG_KEY = re.compile(rb"""(?<![\w"'-])(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){%d}""" % limit("depth"))
"""Python's TOML parser needs a time for them that grows with the square of their length."""

S = TypeVar("S", bound=Settings)


class SettingsSources:
    """The places settings come from, and their merged result.

    Parameters:
        model: the settings model of the service.
        file: a TOML, JSON or YAML file, or None.
        environment: variables to look through.
        config_name: what errors call the configuration text; "" for nothing.

    Raises SettingsError when the file cannot be read.
    """

    def __init__(
        self, model: type[S], *, file: Path | None, environment: Mapping[str, str], config_name: str = "ioFog config"
    ) -> None:
        self.model: type[Settings] = model
        self._file, self._environment, self._config_name = file, environment, config_name
        self._warned: set[str] = set()
        self.reread_file()

    def reread_file(self) -> None:
        """Reads the file again. Raises SettingsError; the old content then stays."""
        self._from_file = _read_file(self._file) if self._file else {}

    def resolve(self, config: str | None) -> Any:
        """The settings with this configuration text from ioFog in place. Raises SettingsError."""
        try:
            return self._resolve(config)
        except RecursionError:
            raise SettingsError("", None, "settings are nested too deeply", "Write flat objects.") from None

    def _resolve(self, config: str | None) -> Any:
        layers = [
            (self._config_name, _config_members(config)),
            (f"file {self._file}", self._from_file),
            ("environment", self._from_environment()),
        ]
        for name, members in layers:
            check_limits(members, name)
        try:
            return self._convert(layers)
        except SettingsError:
            renamed = self._with_new_names(layers)
            if renamed == layers:
                raise
            return self._convert(renamed)

    def _with_new_names(self, layers: Layers) -> Layers:
        from .renames import with_new_names  # noqa: PLC0415 - needed for old settings only

        def warn(text: str) -> None:
            if text not in self._warned:
                self._warned.add(text)
                log.warning("%s", text)

        return [(name, with_new_names(layer, self.model, warn)) for name, layer in layers]

    def _convert(self, layers: Layers) -> Any:
        merged = _merged(layers)
        if "profile" in self.model.__struct_fields__:
            name = merged.get("profile", self.model.default_profile)
            profile = read_profile(self.model.profiles, name)
            check_limits(profile, f"profile {name}")
            layers = [(f"profile {name}", profile), *layers]
            merged = _merged(layers)
        try:
            return msgspec.convert(merged, self.model)
        except msgspec.ValidationError as error:
            from .explain import explained  # noqa: PLC0415 - needed to help, not to run

            raise explained(error, self.model, merged, layers) from None

    def _from_environment(self) -> dict[str, Any]:
        variables = {name: text for name, text in self._environment.items() if name.startswith(ENVIRONMENT_PREFIX)}
        if not variables:
            return {}
        from .explain import fields  # noqa: PLC0415 - needed only where there are variables

        known = dict(fields(self.model))
        members: dict[str, Any] = {}
        for name, text in sorted(variables.items()):
            path = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
            target = members
            for part in path[:-1]:
                target = target.setdefault(part, {})
                if not isinstance(target, dict):
                    raise SettingsError(
                        ".".join(path), text, "goes below a variable that is a value", "Keep one of the two."
                    )
            target[path[-1]] = _typed(text, known.get(".".join(path)))
        return members


def _merged(layers: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for _, layer in layers:
        _merge(merged, layer)
    return merged


def _read_file(file: Path) -> dict[str, Any]:
    remedy = "Give a .toml or .json file."
    try:
        with file.open("rb") as stream:
            data = stream.read(limit("source") + 1)
    except OSError as error:
        raise SettingsError("file", str(file), error.strerror or str(error), remedy) from None
    if len(data) > limit("source"):
        raise SettingsError("file", str(file), f"is larger than {limit('source')} bytes", remedy)
    is_toml = file.suffix == ".toml"
    if is_toml and _LONG_KEY.search(data):
        raise SettingsError("file", str(file), f"has a key of more than {limit('depth')} names", "Write flat tables.")
    is_yaml = file.suffix in (".yaml", ".yml")
    if is_yaml and _ANCHOR.search(data):
        raise SettingsError("file", str(file), "has an anchor (&name)", "Write out what it stands for.")
    try:
        if is_yaml:
            members = msgspec.yaml.decode(data)
        else:
            members = msgspec.toml.decode(data) if is_toml else msgspec.json.decode(data)
    except ImportError:
        raise SettingsError("file", str(file), "is YAML, and PyYAML is not installed here", remedy) from None
    except (ValueError, RecursionError) as error:
        raise SettingsError(
            "file", str(file), f"cannot be parsed: {_QUOTED.sub('...', str(error))}", remedy
        ) from None
    if not isinstance(members, dict):
        raise SettingsError("file", str(file), "holds no object", remedy)
    return members


def _config_members(config: str | None) -> dict[str, Any]:
    if config is None or not config.strip():
        return {}
    remedy = "Write a JSON object into the microservice's config."
    if len(config) > limit("source"):
        problem = f"is longer than {limit('source')} characters"
        raise SettingsError("config", None, problem, remedy, source="ioFog config")
    try:
        members = decode_json(config)
    except ValueError as error:
        raise SettingsError("config", None, f"is not JSON: {error}", remedy, source="ioFog config") from None
    if not isinstance(members, dict):
        raise SettingsError("config", None, "is not a JSON object", remedy, source="ioFog config")
    return members


def _merge(target: dict[str, Any], layer: Mapping[str, Any]) -> None:
    for name, value in layer.items():
        if isinstance(value, Mapping) and isinstance(target.get(name), dict):
            _merge(target[name], value)
        elif isinstance(value, Mapping):
            target[name] = {}
            _merge(target[name], value)
        else:
            target[name] = value


def _typed(text: str, field: Any) -> Any:
    """A variable's text is taken as JSON unless its setting is text."""
    from .explain import plain_type  # noqa: PLC0415 - needed only where there are variables

    if field is not None and plain_type(field.type).__class__.__name__ in ("StrType", "LiteralType"):
        return text
    try:
        return decode_json(text)
    except ValueError:
        return text
