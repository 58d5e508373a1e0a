"""Recognises the echo of what was sent, byte for byte, in whatever pieces it comes. No I/O."""

from __future__ import annotations

from .question import Question


class Echo:
    """Of the present question; what is not yet decided is held back."""

    def __init__(self) -> None:
        self._expected = self._held = b""
        self._was_seen = False
        self._line_echoes: bool | None = None

    def expect(self, question: Question) -> None:
        """A question is sent. Where its answer can be the same bytes, only a line that echoes is expected to."""
        self._held, self._was_seen = b"", False
        self._expected = question.data if not question.echoes or self._line_echoes else b""

    def strip(self, data: bytes) -> bytes:
        """What has come, without the echo."""
        if not self._expected:
            return data
        self._held += data
        expected, held = self._expected, self._held
        if len(held) < len(expected) and expected.startswith(held):
            return b""
        self._expected = self._held = b""
        if not held.startswith(expected):
            return held
        self._was_seen = True
        return held[len(expected) :]

    def release(self) -> bytes:
        """What was held back and is no echo after all."""
        held, self._held, self._expected = self._held, b"", b""
        return held

    def answered(self, question: Question) -> None:
        """The question has its answer: whether the line echoes is known now, if the two can be told apart."""
        if not question.echoes:
            self._line_echoes = self._was_seen
