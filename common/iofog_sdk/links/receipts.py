"""Receipts: how a node acknowledges a message."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from ..errors import LinkError, MessageError


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """The node's acknowledgement that it has accepted a message.

    Parameters:
        id: the id that the node gave the message.
        timestamp: when the node accepted it, milliseconds since 1970-01-01 UTC.
    """

    id: str
    timestamp: int


Outcome = Receipt | LinkError | MessageError
"""Result of a posted message: its receipt, why there is none, or why the message can never be sent."""


async def post_and_wait(post: Callable[[bytes, Callable[[Outcome], None]], None], body: bytes) -> Receipt:
    """Posts one binary ioMessage and waits for its receipt. Raises LinkError or MessageError."""
    answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    post(body, lambda outcome: None if answer.done() else answer.set_result(outcome))
    outcome = await answer
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
