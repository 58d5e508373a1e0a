"""Commands to a device: as they are declared, as they come, and their results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec

from .errors import BridgeError
from .reading import Sample, Value, is_finite
from .secrets import shown, shown_path

MAX_TEXT = 1000
"""Characters of a text parameter."""
_EXACT = 2**53
"""A larger whole number that comes as floating point may have been another one."""
_STATES = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}
_NUMBERS: Mapping[float, bool] = {1: True, 0: False}


def _to_boolean(value: Value) -> bool | None:
    return _STATES.get(value.lower()) if isinstance(value, str) else _NUMBERS.get(value)


def _to_number(value: Value) -> float | None:
    return value if not isinstance(value, bool | str) and is_finite(value) else None


def _to_integer(value: Value) -> int | None:
    number = _to_number(value)
    if number is None or int(number) != number or (isinstance(number, float) and abs(number) > _EXACT):
        return None
    return int(number)


def _to_text(value: Value) -> str | None:
    return value if isinstance(value, str) and len(value) <= MAX_TEXT else None


def _to_any(value: Value) -> Value | None:
    return _to_text(value) if isinstance(value, str) else value if is_finite(value) else None


_CONVERTERS: Mapping[str, Callable[[Value], Value | None]] = {
    "boolean": _to_boolean,
    "number": _to_number,
    "integer": _to_integer,
    "text": _to_text,
    "any": _to_any,
    "level": _to_number,
}


class CommandError(BridgeError, ValueError):
    """A command cannot be executed as it was asked; the text says what is wrong and what would be accepted."""


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a device is asked to do.

    Parameters:
        name: of the command, or of what is to be set.
        parameters: what goes with it; `value` is the usual one.
        id: the sender's name for this command, or that of its message; goes back with the result.
        time: when it was given, seconds since 1970-01-01 UTC.
        via: bridges that it has been through; see `iofog_sdk.Address`.
    """

    name: str
    parameters: Mapping[str, Value] = {}
    id: str = ""
    time: float = 0.0
    via: tuple[str, ...] = ()

    @property
    def value(self) -> Value | None:
        """The parameter `value`, None without one."""
        return self.parameters.get("value")


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How a command ended.

    Parameters:
        ok: whether the device did it.
        detail: its answer, or why it failed.
        readings: the state read back from the device afterwards.
    """

    ok: bool
    detail: str = ""
    readings: Sample = ()


class Parameter(msgspec.Struct, frozen=True):
    """A parameter of a declared command.

    Parameters:
        name: as in the message.
        kind: `boolean` also takes 1, 0 and the texts on, off, true, false; `level` is a number, or a boolean for
            the least and the greatest of its range; `any` takes every kind.
        range: least and greatest number.
        choices: the values it can have; any when empty.
        required: whether a command without it is refused.
        unit: of a number, a SenML unit code.
        description: one line for people.
    """

    name: str
    kind: Literal["number", "integer", "boolean", "text", "level", "any"] = "number"
    range: tuple[float, float] | None = None
    choices: tuple[Value, ...] = ()
    required: bool = True
    unit: str = ""
    description: str = ""

    def check(self, value: Value) -> Value:
        """The value, of the declared kind. Raises CommandError."""
        checked = _CONVERTERS[self.kind](value)
        if self.kind == "level" and self.range and (state := _to_boolean(value)) is not None:
            checked = self.range[state]
        if checked is None or (self.choices and checked not in self.choices):
            raise self._error(value)
        if self.range and not isinstance(checked, bool | str) and not self.range[0] <= checked <= self.range[1]:
            raise self._error(value)
        return checked

    @property
    def expected(self) -> str:
        """The accepted values, for people."""
        if self.choices:
            return f"one of {', '.join(str(choice) for choice in self.choices)}"
        if self.kind == "boolean":
            return "true or false"
        if self.kind == "any":
            return f"a finite number, true, false, or text of at most {MAX_TEXT} characters"
        if self.kind == "text":
            return f"text of at most {MAX_TEXT} characters"
        kind = "a whole number" if self.kind == "integer" else "a number"
        span = f" from {self.range[0]:g} to {self.range[1]:g}" if self.range else ""
        return f"{kind}{span}{f' ({self.unit})' if self.unit else ''}"

    def _error(self, value: Value) -> CommandError:
        return CommandError(f"`{self.name}` = {shown(value, self.name)} is not {self.expected}")


class CommandSpec(msgspec.Struct, frozen=True):
    """A command that a device takes: what checks, documentation, schemas and pages are made from.

    Parameters:
        name: as in the message.
        parameters: what goes with it.
        description: one line for people.
        safe: the `value` of its safe state, of an output; None for a command that switches none.
    """

    name: str
    parameters: tuple[Parameter, ...] = ()
    description: str = ""
    safe: bool | None = None

    def check(self, command: Command) -> Command:
        """The command with parameters of the declared kinds. Raises CommandError."""
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in command.parameters:
            if name not in known:
                takes = f"it takes {', '.join(f'`{one}`' for one in known)}" if known else "it takes none"
                raise CommandError(f"parameter `{shown_path(name)}` is unknown to {self.name}; {takes}")
        values: dict[str, Value] = {}
        for parameter in self.parameters:
            if parameter.name in command.parameters:
                values[parameter.name] = parameter.check(command.parameters[parameter.name])
            elif parameter.required:
                raise CommandError(f"{self.name} needs `{parameter.name}`: {parameter.expected}")
        return msgspec.structs.replace(command, parameters=values)


def check_command(specs: Sequence[CommandSpec], command: Command) -> Command:
    """The command as its declaration wants it. Raises CommandError, with the nearest name for an unknown one."""
    for spec in specs:
        if spec.name == command.name:
            return spec.check(command)
    if not specs:
        raise CommandError(f"{shown(command.name)}: this device takes no commands")
    from iofog_sdk import did_you_mean  # noqa: PLC0415 - needed to help once, not to run

    names = [spec.name for spec in specs]
    known = f"{did_you_mean(command.name, names)} Known are {', '.join(names)}".lstrip()
    raise CommandError(f"unknown command {shown(command.name)}. {known}")
