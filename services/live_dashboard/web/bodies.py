"""Bodies of requests and answers that are not the board's own."""

from __future__ import annotations

import msgspec

from device_bridge import Value


class LinkBody(msgspec.Struct):
    """The link to the node."""

    up: bool
    reason: str


class StatusBody(msgspec.Struct):
    """The page itself.

    Parameters:
        title: of the page.
        version: of the service.
        link: to the node.
        switching: whether commands can be sent at all.
        sources, quantities: that are known.
        clients: pages that are open.
        clients_dropped: pages that were too slow.
        refused: messages and readings left out because of limits, by reason.
        history_dropped: buckets that found no room on disk.
    """

    title: str
    version: str
    link: LinkBody
    switching: bool
    sources: int
    quantities: int
    clients: int
    clients_dropped: int
    refused: dict[str, int]
    history_dropped: int


class CommandBody(msgspec.Struct, forbid_unknown_fields=True):
    """A command to the service of a source, as it has announced it."""

    source: int
    command: str
    parameters: dict[str, Value] = {}


class ErrorBody(msgspec.Struct):
    """Why a request was not done."""

    error: str
