"""Runs a service that bridges one physical device into ioFog messages."""

from iofog_sdk.lazy import import_when_used

# asyncio imports them, and asks of every socket whether it is one of TLS; they take 4 MiB, and most links use none.
import_when_used("ssl", SSLSocket=type("SSLSocket", (), {}))
import_when_used("asyncio.sslproto")

from .cli.command_line import run
from .command import Command, CommandError, CommandSpec, Parameter, Result
from .errors import BridgeError, ContractError, DeviceError, DeviceErrorKind, SettingsError
from .node_state import NodePosition, NodeState
from .reading import Forwarded, Quality, Quantity, Reading, Sample, Value, aged, is_finite
from .secrets import shown
from .service import DeviceService, every
from .service_settings import CommandedSettings, HttpSettings, OutboxSettings, ServiceSettings
from .settings.base import Interval, Name, OptionalName, Port, Seconds, Settings, require_unique

__all__ = [
    "BridgeError",
    "Command",
    "CommandError",
    "CommandSpec",
    "CommandedSettings",
    "ContractError",
    "DeviceError",
    "DeviceErrorKind",
    "DeviceService",
    "Forwarded",
    "HttpSettings",
    "Interval",
    "Name",
    "OptionalName",
    "NodePosition",
    "NodeState",
    "OutboxSettings",
    "Parameter",
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
    "aged",
    "every",
    "is_finite",
    "require_unique",
    "run",
    "shown",
]
