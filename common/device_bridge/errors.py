"""Errors of the bridge, by who has to act.

BridgeError
├── SettingsError       the operator: a setting is missing, unknown or wrong
├── ContractError       the author of a service: its class is not as the runtime needs it
└── DeviceError         the device or the way to it; retried, never ends a service
"""

from __future__ import annotations

import enum
import errno
from collections.abc import Mapping
from pathlib import Path

from .secrets import shown, shown_path, without_url_secrets

_MAX_ERROR = 2000
"""Characters of an error's text."""


class BridgeError(Exception):
    """Base of everything this package raises on purpose."""


class SettingsError(BridgeError, ValueError):
    """A setting cannot be used. Raised before anything is opened; ends a starting service with status 78.

    Parameters:
        field: dotted path of the setting (`serial.baud`).
        value: what was given; shown shortened, and not at all where it may be a secret.
        rule: what is wrong with it.
        remedy: what to write instead.
        source: where it came from (`file gps.toml`, `environment`), "" when it is known from context.
    """

    def __init__(self, field: str, value: object, rule: str, remedy: str, *, source: str = "") -> None:
        self.field, self.value, self.rule, self.remedy, self.source = field, value, rule, remedy, source
        given = "" if value is None else f" = {shown(value, field)}"
        origin = f" (from {source})" if source else ""
        name = shown_path(field) or "''"
        super().__init__(without_url_secrets(f"setting {name}{given}{origin}: {rule}. {remedy}")[:_MAX_ERROR])

    def within(self, path: str) -> SettingsError:
        """The same of settings that are a part of others, at this path."""
        if not path:
            return self
        field = f"{path}.{self.field}" if self.field else path
        return SettingsError(field, self.value, self.rule, self.remedy, source=self.source)


class ContractError(BridgeError, TypeError):
    """A service's class or its readings break the contract of DeviceService."""


class DeviceErrorKind(enum.Enum):
    """What went wrong between us and the device."""

    NOT_FOUND = "not found"
    PERMISSION = "permission"
    NO_ACKNOWLEDGE = "no acknowledge"
    BUS_FAULT = "bus fault"
    TIMEOUT = "timeout"
    GARBLED = "garbled"
    GONE = "gone"
    BUSY = "busy"
    UNREACHABLE = "unreachable"


class DeviceError(BridgeError, OSError):
    """The device cannot be used now. The runtime reports it once, then reopens the device with back-off.

    Parameters:
        kind: what went wrong.
        device: the path or address concerned.
        detail: what happened, and what probably fixes it.
    """

    def __init__(self, kind: DeviceErrorKind, device: str, detail: str) -> None:
        self.kind = kind
        self.device, self.detail = without_url_secrets(device), without_url_secrets(detail)
        super().__init__(f"{self.device}: {kind.value}: {self.detail}")

    @classmethod
    def from_os(cls, error: OSError, device: str, known: Mapping[int, tuple[DeviceErrorKind, str]]) -> DeviceError:
        """The error of a device out of one of the kernel's; `known` says what its numbers mean for this device."""
        if error.errno in (errno.EACCES, errno.EPERM) and error.filename:  # from open(2)
            path = str(error.filename)
            return cls(DeviceErrorKind.PERMISSION, path, permission_hint(path, error.errno))
        kind, detail = known.get(error.errno or 0, (DeviceErrorKind.BUS_FAULT, error.strerror or str(error)))
        return cls(kind, device, detail)

    def __str__(self) -> str:
        return f"{self.device}: {self.kind.value}: {self.detail}"


def permission_hint(path: str, number: int) -> str:
    """Which of the two permissions is missing, and how to give it: the container's device rule, or the file's mode.

    Parameters:
        path: of the device node.
        number: EPERM or EACCES, as open(2) failed.
    """
    if number == errno.EPERM:
        return "the container has no rule for this device; pass it in as a device, not as a volume"
    try:
        gid = Path(path).stat().st_gid
    except OSError:
        return "access denied"
    return f"access denied; give the service group {gid}, which owns the device"
