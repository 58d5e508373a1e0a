"""Questions on a line, and what is known of their answers. No I/O."""

from __future__ import annotations

import enum
from collections.abc import Callable, Hashable

import msgspec


def _never(_: bytes) -> bool:
    return False


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent, and how its answer is known.

    Parameters:
        data: bytes to send.
        accepts: whether a frame can be the answer.
        timeout_s: seconds to wait for it, from the beginning of sending.
        device: who is asked; an answer of one device is never taken for one of another.
        repeatable: whether asking twice changes nothing, as reading does; it may then be asked again, and a late
            answer to the same question is as good.
        echoes: whether the answer can be the same bytes as the question.
        pause_s: seconds that the device wants between its last answer and this question.
        is_damaged: whether bytes that came hold its answer, but damaged; then no late one is waited for.
    """

    data: bytes
    accepts: Callable[[bytes], bool]
    timeout_s: float
    device: Hashable = ""
    repeatable: bool = False
    echoes: bool = False
    pause_s: float = 0.0
    is_damaged: Callable[[bytes], bool] = _never


class Verdict(enum.Enum):
    """What is known about the answer to the present question."""

    PENDING = "pending"
    ANSWERED = "answered"
    UNANSWERED = "unanswered"
    """Nothing came in time."""
    GARBLED = "garbled"
    """Something came, but no answer; only on a strict line."""
    DOUBTFUL = "doubtful"
    """More than one answer came, or one that may belong to another question."""
