"""Base classes of listeners. Each connection calls its listener in a thread of its own, one call after another."""

from __future__ import annotations

from .iomessage import IoMessage

__all__ = ["IoFogControlWsListener", "IoFogMessageWsListener"]


class IoFogControlWsListener:
    """Called when something of the node has changed."""

    def on_control_signal(self) -> None:
        """The configuration differs from what `get_config` returned last, or from what was signalled before."""

    def on_edge_resources_signal(self) -> None:
        """The node's edge resources have changed (Java agents from 3.0)."""


class IoFogMessageWsListener:
    """Given messages and receipts."""

    def on_message(self, io_msg: IoMessage) -> None:
        """A message has come; it is acknowledged when this returns."""

    def on_receipt(self, message_id: str, timestamp: int) -> None:
        """The node has a message of `post_message_via_socket`, and calls it by this id and time (ms since 1970)."""
