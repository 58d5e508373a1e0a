"""Commands to a device, and their results."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from .errors import BridgeError
from .reading import Sample, Value


class CommandError(BridgeError, ValueError):
    """A command cannot be executed as it was asked; the text says what is wrong and what would be right."""


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
    """What became of a command.

    Parameters:
        ok: whether the device did it.
        detail: its answer, or why it failed.
        readings: the state read back from the device afterwards.
    """

    ok: bool
    detail: str = ""
    readings: Sample = ()
