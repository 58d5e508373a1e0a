"""Answers that have come on a line, and to which questions: a doubled or late one is recognised by them. No I/O."""

from __future__ import annotations

from collections.abc import Hashable

import msgspec

from .question import Question

REMEMBERED_S = 60.0
"""A late or doubled answer is recognised for this long."""
MAX_REMEMBERED = 256
_KEPT_ANSWERS = 4
"""Of each question."""


class Known(msgspec.Struct):
    """The last answers to a question with the times they came at, and how late the last one was if it was late."""

    device: Hashable
    answers: dict[bytes, float] = {}
    late_s: float = 0.0

    @property
    def last(self) -> bytes | None:
        """The answer that was accepted last."""
        return next(reversed(self.answers), None)

    def add(self, answer: bytes, now: float) -> None:
        """An answer was accepted."""
        self.answers.pop(answer, None)
        self.answers[answer] = now
        if len(self.answers) > _KEPT_ANSWERS:
            del self.answers[next(iter(self.answers))]


class KnownAnswers:
    """Of all questions of a line. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._known: dict[bytes, Known] = {}
        self._thrown: dict[bytes, float] = {}

    def get(self, question: Question) -> Known | None:
        """What is known of a question."""
        return self._known.get(question.data)

    def remember(self, question: Question) -> Known:
        """The same, from now on if it is not known yet."""
        known = self._known.pop(question.data, None) or Known(question.device)
        self._known[question.data] = known
        if len(self._known) > MAX_REMEMBERED:
            del self._known[next(iter(self._known))]
        return known

    def throw_away(self, frame: bytes, now: float) -> None:
        """A frame was not believed."""
        self._thrown.pop(frame, None)
        self._thrown[frame] = now
        if len(self._thrown) > MAX_REMEMBERED:
            del self._thrown[next(iter(self._thrown))]

    def is_of_another(self, question: Question, answer: bytes, now: float) -> bool:
        """Whether this was the answer to another question lately, or was thrown away, and not that to this one."""
        known = self._known.get(question.data)
        if known is not None and answer == known.last:
            return False
        others = (
            other.answers.get(answer, -REMEMBERED_S)
            for data, other in self._known.items()
            if data != question.data and other.device == question.device
        )
        return now - max(self._thrown.get(answer, -REMEMBERED_S), *others, -REMEMBERED_S) < REMEMBERED_S
