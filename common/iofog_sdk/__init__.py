"""Talks to Eclipse ioFog: the ioMessage codec and an asyncio client of the node's local interface."""

from .agent.link import AgentLink
from .agent.local_api import LocalApiClient
from .agent.sockets import ControlSocket, MessageSocket
from .connect import NodeNotFound, connect
from .errors import (
    ConnectionLost,
    IoFogError,
    LinkError,
    MessageError,
    NodeUnreachable,
    ReceiptTimeout,
    RequestRefused,
)
from .links.backoff import Backoff
from .links.base import Link
from .links.console import ConsoleLink
from .links.receipts import Outcome, Receipt
from .messages.iomessage import IoMessage, MessageTemplate
from .messages.sequence import SequenceTracker
from .messages.tag import Address, address_of

__all__ = [
    "Address",
    "AgentLink",
    "Backoff",
    "ConnectionLost",
    "ConsoleLink",
    "ControlSocket",
    "IoFogError",
    "IoMessage",
    "Link",
    "LinkError",
    "LocalApiClient",
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
    "address_of",
    "connect",
]
