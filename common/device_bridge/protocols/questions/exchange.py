"""Questions and answers on a line where answers carry no number: which answer belongs to which question. No I/O.

An answer can be late, lost, doubled or damaged, and the line can echo what is sent. Answers to different questions
are often alike (two registers of the same unit), so that only time tells them apart:

* After a question without an answer the line is drained: nothing is asked until it has been quiet for a frame gap and
  for as long as the slowest answer seen took. What comes meanwhile is thrown away and counted as late.
* While an answer may still be on its way, no question is asked that it could be taken for an answer to; another
  device, or the same question again, can be asked.
* An answer that repeats, byte for byte, that to another question of the same device, or one that was thrown away, is
  believed when it comes again.

* One that did not come even then may still. For a minute each answer that it could be is believed only after the
  time that the slowest answer took: if it was the late one, the true one comes within that time, and both are thrown
  away.

What this cannot tell is an answer that comes later than `_LATENESS_FACTOR` timeouts, was never seen before, and takes
the place of one that is lost.
"""

from __future__ import annotations

from collections.abc import Hashable

import msgspec

from .echo import Echo
from .known_answers import MAX_REMEMBERED, REMEMBERED_S, KnownAnswers
from .question import Question, Verdict

_MIN_LATENESS_S = 2.0
_LATENESS_FACTOR = 6
_MAX_LATENESS_S = 10.0
"""An answer is expected for so many timeouts, within these limits, before it counts as lost."""
_SLOWEST_DECAY = 0.95
"""Each answer in time lets the slowest one fade."""
_SLOWEST_FACTOR = 1.5
"""An answer that may take the place of a late one is expected for so many times the slowest."""
_FIRST_QUIET_S = 0.5
"""Most seconds of quiet before the first question: an earlier process may have asked."""
_MAX_HEARD = 4096
_RESOLUTION_S = 1e-6
"""Timers of event loops may fire so much too soon."""


class _Owed(msgspec.Struct):
    """An answer that has not come: it may be late, or lost."""

    question: Question
    asked_at: float
    expected_until: float


class Exchange:
    """One line, and one question at a time. All times are monotonic seconds.

    Parameters:
        gap_s: seconds of silence between frames.
        pause_s: seconds of silence the line wants after an answer and before any question.
        strict: whether devices speak only when they are asked, and with one frame: any byte then speaks against
            asking, and a second, different answer against both.
    """

    def __init__(self, gap_s: float = 0.0, pause_s: float = 0.0, *, strict: bool = False) -> None:
        self._gap_s, self._pause_s, self._strict = gap_s, pause_s, strict
        self._opened_at = -_FIRST_QUIET_S
        self._quiet_until = 0.0
        self._slowest_s = 0.0
        self._owed: list[_Owed] = []
        self._known = KnownAnswers()
        self._echo = Echo()
        self._answered_at: dict[Hashable, float] = {}
        self._question: Question | None = None
        self._asked_at = self._last_byte_at = 0.0
        self._answer: bytes | None = None
        self._answer_at = 0.0
        self._is_ambiguous = False
        self._doubted: tuple[Question, bytes] | None = None
        self._doubted_at = 0.0
        self._heard = bytearray()
        self._late_at = -REMEMBERED_S
        self.late = 0
        """Answers that came too late, or twice, and were thrown away."""
        self.doubtful = 0
        """Answers that could have been those to another question, and were asked for again."""

    @property
    def is_idle(self) -> bool:
        """Whether no answer is expected, in time or late."""
        return self._question is None and not self._owed

    def open(self, now: float) -> None:
        """Begins on a line that was opened now: somebody else may have asked before."""
        self._opened_at = now

    def wait_s(self, question: Question, now: float) -> float:
        """Seconds until this question may be asked; 0 for now. To be called again after them: they can grow."""
        until = max(self._quiet_until, self._opened_at + min(question.timeout_s, _FIRST_QUIET_S))
        if question.device in self._answered_at:
            until = max(until, self._answered_at[question.device] + question.pause_s)
        for owed in self._owed:
            same = question.repeatable and owed.question.data == question.data
            if owed.question.device == question.device and not same:
                until = max(until, owed.expected_until)
        return until - now if until - now > _RESOLUTION_S else 0.0

    def patience_s(self, question: Question) -> float:
        """Seconds after which waiting for quiet is given up."""
        return 2 * self._lateness_s(question)

    def ask(self, question: Question, now: float) -> None:
        """Takes note that this question is sent now."""
        self._question, self._asked_at, self._last_byte_at = question, now, now
        self._answer, self._is_ambiguous = None, False
        self._heard.clear()
        self._echo.expect(question)

    def receive(self, data: bytes, now: float) -> bytes:
        """What has come, without the echo of the question: bytes in which to look for frames."""
        if self._question is None:
            if self._strict:
                self._quiet_until = max(self._quiet_until, now + self._drain_s(0.0))
            return data
        self._last_byte_at = now
        data = self._echo.strip(data)
        if len(self._heard) < _MAX_HEARD:
            self._heard += data
        return data

    def release_held(self) -> bytes:
        """Bytes held back because they could have become an echo; to be taken for an answer after all."""
        held = self._echo.release()
        self._heard += held
        return held

    def take(self, frame: bytes, now: float) -> bool:
        """Whether this frame is an answer to the present question, or to one before; else it is unsolicited."""
        question = self._question
        if question is not None and (frame != question.data or question.echoes) and question.accepts(frame):
            if self._answer is None:
                self._answer, self._answer_at = frame, now
            elif self._strict or self._may_be_overdue(question, frame):
                self._is_ambiguous = self._is_ambiguous or frame != self._answer
                self._throw_away(frame, now)
            else:
                return False
            return True
        for owed in self._owed:
            # What devices send by themselves looks like an answer, too: it is not to be thrown away for longer.
            until = owed.asked_at + REMEMBERED_S if self._strict else owed.expected_until
            if now < until and owed.question.accepts(frame):
                self._take_late(owed, frame, now)
                return True
        return False

    def check_at(self) -> float:
        """When to call `verdict` again, if nothing comes before."""
        if self._question is None:
            return self._quiet_until
        if self._answer is not None:
            check_at = self._last_byte_at + (self._gap_s if self._strict else 0.0)
            if self._may_be_overdue(self._question, self._answer):
                check_at = max(check_at, self._asked_at + _SLOWEST_FACTOR * self._slowest_s + self._gap_s)
            return check_at
        return self._asked_at + self.timeout_s(self._question)

    def verdict(self, now: float) -> Verdict:
        """How it is with the present question; every other verdict than PENDING ends it."""
        question = self._question
        assert question is not None, "nothing has been asked"  # noqa: S101 - misuse by a programmer
        if self.check_at() - now > _RESOLUTION_S:
            return Verdict.PENDING
        if self._answer is None:
            self.give_up(now)
            return Verdict.GARBLED if self._heard and self._strict else Verdict.UNANSWERED
        if self._is_ambiguous:
            self.doubtful += 1
            self._known.throw_away(self._answer, now)
            self._end(question, now)
            return Verdict.DOUBTFUL
        if self._may_be_doubled(question, self._answer, now):
            self.doubtful += 1
            self._known.throw_away(self._answer, now)
            self._doubted, self._doubted_at = (question, self._answer), self._asked_at
            self._owe(question, now)
            self._end(question, now)
            return Verdict.DOUBTFUL
        self._accept(question, self._answer)
        return Verdict.ANSWERED

    @property
    def answer(self) -> bytes:
        """The answer, after the verdict ANSWERED."""
        assert self._answer is not None, "no answer"  # noqa: S101 - misuse by a programmer
        return self._answer

    def timeout_s(self, question: Question) -> float:
        """Seconds that are waited for an answer: more than asked for where the last one was late."""
        known = self._known.get(question)
        return max(question.timeout_s, 1.5 * known.late_s if known else 0.0)

    def give_up(self, now: float) -> None:
        """Ends the present question without an answer; harmless when there is none."""
        question = self._question
        if question is None:
            return
        if not question.is_damaged(bytes(self._heard)):
            self._owe(question, now)
        self._end(question, now)

    def _accept(self, question: Question, answer: bytes) -> None:
        latency = self._answer_at - self._asked_at
        self._slowest_s = max(latency, self._slowest_s * _SLOWEST_DECAY)
        known = self._known.remember(question)
        is_confirmed = self._doubted == (question, answer)
        if is_confirmed:  # asked twice, answered twice; what was asked before them may still be answered
            self._owed = [owed for owed in self._owed if owed.asked_at != self._doubted_at]
        if is_confirmed or (question.repeatable and answer == known.last):
            # It may have been doubled, and the true one still come.
            self._quiet_until = max(self._quiet_until, self._asked_at + self._slowest_s)
        for owed in self._owed:
            is_expected = self._asked_at < owed.expected_until or self._asked_at - self._late_at < REMEMBERED_S
            if owed.question.data == question.data and is_expected:
                # Asked more than once while an answer was expected: this may be the answer to any of them.
                owed.asked_at = self._asked_at
                owed.expected_until = self._asked_at + self._lateness_s(question)
        self._echo.answered(question)
        known.add(answer, self._answer_at)
        known.late_s = latency if latency > question.timeout_s else 0.0
        self._answered_at[question.device] = self._last_byte_at
        self._doubted = self._question = None
        self._quiet_until = max(self._quiet_until, self._last_byte_at + self._gap_s + self._pause_s)

    def _end(self, question: Question, now: float) -> None:
        self._question = None
        if self._doubted != (question, self._answer):
            self._doubted = None
        if self._answer is not None:
            self._answered_at[question.device] = self._last_byte_at
        self._quiet_until = max(self._quiet_until, now + self._drain_s(question.timeout_s) + self._pause_s)

    def _owe(self, question: Question, now: float) -> None:
        self._owed = [owed for owed in self._owed if now - owed.asked_at < REMEMBERED_S][-MAX_REMEMBERED:]
        self._owed.append(_Owed(question, self._asked_at, self._asked_at + self._lateness_s(question)))

    def _take_late(self, owed: _Owed, frame: bytes, now: float) -> None:
        if not self._known.is_of_another(
            owed.question, frame, now
        ):  # else it is doubled, and the owed one still to come
            self._owed.remove(owed)
        if self._doubted is not None and frame != self._doubted[1]:
            self._doubted = None  # this may have been the true answer, after the doubtful one
        self._throw_away(frame, now)
        self._answered_at[owed.question.device] = now
        late_s = now - owed.asked_at
        if late_s < _MAX_LATENESS_S and late_s < 2 * (owed.expected_until - owed.asked_at):
            self._slowest_s = max(self._slowest_s, late_s)
            self._known.remember(owed.question).late_s = late_s
        if self._question is None:
            self._quiet_until = max(self._quiet_until, now + self._drain_s(0.0))

    def _throw_away(self, frame: bytes, now: float) -> None:
        self.late, self._late_at = self.late + 1, now
        self._known.throw_away(frame, now)

    def _may_be_overdue(self, question: Question, answer: bytes) -> bool:
        """Whether an answer could be one that counts as lost: that to another question of the same device."""
        return any(
            owed.question.device == question.device
            and owed.question.data != question.data
            and self._asked_at - owed.asked_at < REMEMBERED_S
            and owed.question.accepts(answer)
            for owed in self._owed
        )

    def _may_be_doubled(self, question: Question, answer: bytes, now: float) -> bool:
        is_confirmed = self._doubted == (question, answer)
        return question.repeatable and not is_confirmed and self._known.is_of_another(question, answer, now)

    def _drain_s(self, unseen_s: float) -> float:
        return max(self._gap_s, self._slowest_s or unseen_s)

    def _lateness_s(self, question: Question) -> float:
        usual = max(_MIN_LATENESS_S, _LATENESS_FACTOR * question.timeout_s)
        return min(max(usual, 2 * self._slowest_s), max(_MAX_LATENESS_S, question.timeout_s))
