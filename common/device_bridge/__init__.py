"""Runs a service that bridges one physical device into ioFog messages."""

from .command import Command, CommandError, Result
from .errors import BridgeError, DeviceError, DeviceErrorKind, SettingsError
from .reading import Passed, Quality, Quantity, Reading, Sample, Value
from .runtime.cli import run
from .service import DeviceService, every
from .service_settings import CommandedSettings, HttpSettings, OutboxSettings, ServiceSettings
from .settings.base import Port, Seconds, Settings

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
