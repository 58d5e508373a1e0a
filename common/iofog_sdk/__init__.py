"""Talks to Eclipse ioFog: the ioMessage codec and an asyncio client of the node's local interface."""

from .addressing import Address, address_of
from .agent_link import AgentLink
from .backoff import Backoff
from .errors import (
    ConnectionLost,
    IoFogError,
    LinkError,
    MessageError,
    NodeUnreachable,
    ReceiptTimeout,
    RequestRefused,
)
from .frames import Receipt
from .link import ConsoleLink, Link
from .local_api import LocalApiClient
from .message import IoMessage, MessageTemplate
from .node import NodeNotFound, connect
from .sequence import SequenceTracker
from .sockets import ControlSocket, MessageSocket, Outcome

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
