"""What becomes of a message that was posted on a link."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from ..errors import LinkError, MessageError


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """The agent's word that it has taken a message.

    Parameters:
        id: the id the agent gave the message.
        timestamp: when it took it, milliseconds since 1970-01-01 UTC.
    """

    id: str
    timestamp: int


Outcome = Receipt | LinkError | MessageError
"""What becomes of a posted message: the node's receipt, what left it without one, or why it never can be sent."""


async def receipt_for(post: Callable[[bytes, Callable[[Outcome], None]], None], body: bytes) -> Receipt:
    """Posts one binary ioMessage and waits for its receipt. Raises LinkError or MessageError."""
    answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    post(body, lambda outcome: None if answer.done() else answer.set_result(outcome))
    outcome = await answer
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
