"""Runs a service that bridges one physical device into ioFog messages."""

from .cli import run
from .commands import Command, CommandError, Result
from .errors import BridgeError, DeviceError, DeviceErrorKind, SettingsError
from .reading import Passed, Quality, Quantity, Reading, Sample, Value
from .service import DeviceService, every
from .settings import CommandedSettings, HttpSettings, OutboxSettings, ServiceSettings
from .settings_model import Port, Seconds, Settings

__all__ = [
    "BridgeError",
    "Command",
    "CommandError",
    "CommandedSettings",
    "DeviceError",
    "DeviceErrorKind",
    "DeviceService",
    "HttpSettings",
    "OutboxSettings",
    "Passed",
    "Port",
    "Quality",
    "Quantity",
    "Reading",
    "Result",
    "Sample",
    "Seconds",
    "ServiceSettings",
    "Settings",
    "SettingsError",
    "Value",
    "every",
    "run",
]
