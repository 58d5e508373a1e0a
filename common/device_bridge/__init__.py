"""Runs a service that bridges one physical device into ioFog messages."""

from .cli import run
from .errors import BridgeError, DeviceError, DeviceErrorKind, SettingsError
from .reading import Quality, Quantity, Reading, Sample, Value
from .service import DeviceService, every
from .settings import HttpSettings, OutboxSettings, ServiceSettings
from .settings_model import Port, Seconds, Settings

__all__ = [
    "BridgeError",
    "DeviceError",
    "DeviceErrorKind",
    "DeviceService",
    "HttpSettings",
    "OutboxSettings",
    "Port",
    "Quality",
    "Quantity",
    "Reading",
    "Sample",
    "Seconds",
    "ServiceSettings",
    "Settings",
    "SettingsError",
    "Value",
    "every",
    "run",
]
