"""Connects a microservice to its Eclipse ioFog node: ioMessages, and links to every kind of node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .lazy import lazy_exports

if TYPE_CHECKING:
    from .agent.control import LocalApiControl
    from .agent.control_socket import ControlSocket
    from .agent.link import AgentLink
    from .agent.local_api import LocalApiClient
    from .agent.message_socket import MessageSocket
    from .detect import NodeNotFound, connect
    from .errors import (
        ConnectionLost,
        IoFogError,
        LinkError,
        MessageError,
        NodeUnreachable,
        ReceiptTimeout,
        RequestRefused,
    )
    from .links.background_writer import BackgroundWriter
    from .links.backoff import Backoff
    from .links.base import Link
    from .links.console import ConsoleLink
    from .links.receipts import Outcome, Receipt
    from .links.split import SplitLink
    from .messages.iomessage import IoMessage, MessageTemplate
    from .messages.sequence import SequenceTracker
    from .messages.tag import Address, address_of
    from .private_files import keep_files_private
    from .suggestions import did_you_mean
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "agent.control": ("LocalApiControl",),
            "agent.control_socket": ("ControlSocket",),
            "agent.link": ("AgentLink",),
            "agent.local_api": ("LocalApiClient",),
            "agent.message_socket": ("MessageSocket",),
            "detect": ("NodeNotFound", "connect"),
            "errors": (
                "ConnectionLost",
                "IoFogError",
                "LinkError",
                "MessageError",
                "NodeUnreachable",
                "ReceiptTimeout",
                "RequestRefused",
            ),
            "links.background_writer": ("BackgroundWriter",),
            "links.backoff": ("Backoff",),
            "links.base": ("Link",),
            "links.console": ("ConsoleLink",),
            "links.receipts": ("Outcome", "Receipt"),
            "links.split": ("SplitLink",),
            "messages.iomessage": ("IoMessage", "MessageTemplate"),
            "messages.sequence": ("SequenceTracker",),
            "messages.tag": ("Address", "address_of"),
            "private_files": ("keep_files_private",),
            "suggestions": ("did_you_mean",),
        },
    )

__version__ = "0.1.0"
"""Of every package and service of the project: their pyproject.toml files read it from here."""

__all__ = [
    "Address",
    "AgentLink",
    "BackgroundWriter",
    "Backoff",
    "ConnectionLost",
    "ConsoleLink",
    "ControlSocket",
    "IoFogError",
    "IoMessage",
    "Link",
    "LinkError",
    "LocalApiClient",
    "LocalApiControl",
    "MessageError",
    "MessageSocket",
    "MessageTemplate",
    "NodeNotFound",
    "NodeUnreachable",
    "Outcome",
    "Receipt",
    "ReceiptTimeout",
    "RequestRefused",
    "SequenceTracker",
    "SplitLink",
    "address_of",
    "connect",
    "did_you_mean",
    "keep_files_private",
]
