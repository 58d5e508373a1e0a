"""Misbehaviour on demand, for tests of clients."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Faults:
    """Faults that the agent injects; all may be changed while it runs.

    Parameters:
        hang: takes connections and data, and never answers.
        close_without_reply: closes the connection in place of every answer to a request or handshake.
        delay_s: seconds by which answers and receipts are late.
        drop_receipts: takes messages without a receipt.
        garbage: sent as a binary message in place of every receipt.
        drop_signals: signals no changed configuration, whatever the node: a client has to look by itself.
    """

    hang: bool = False
    close_without_reply: bool = False
    delay_s: float = 0.0
    drop_receipts: bool = False
    garbage: bytes = b""
    drop_signals: bool = False
