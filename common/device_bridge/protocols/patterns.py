"""Regular expressions that users give in settings: judged at the start, bounded in time when they are matched.

Python's `re` tries again in every other way when a text does not match, which can take years. A linear engine has
no wheels for 32-bit ARM, so that two bounds are set instead:

1. Patterns are judged before they are used. What takes exponential time is refused: a repetition whose end cannot be
   told by the next character, in a repetition (`(a+)+`), and branches that begin alike in a repetition (`(a|aa)+`).
   So are references back, whose cost no structure tells, and sizes beyond the table of `settings.limits`.
2. What remains is a polynomial of the text's length. A text is at most `matched` characters long, and a match may use
   `MATCH_CPU_S` of processor time: one that uses more counts as no match, and its pattern rests for a while.
"""

from __future__ import annotations

import logging
import re
import signal
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from ..clocks import monotonic
from ..errors import SettingsError
from ..settings.limits import limit
from .pattern_cost import TooCostly, check_cost

log = logging.getLogger("device_bridge")

MATCH_CPU_S = 0.05
"""Processor time that one match may use."""
REST = 20
"""How many times as long a pattern rests that was given up: it then takes 5 % of the loop at most."""

T = TypeVar("T", str, bytes)
R = TypeVar("R")


class _OutOfTime(BaseException):
    """Raised by the timer's handler into a match."""


class _Timer:
    """Interrupts a match in the main thread: `re` looks for signals while it searches.

    Elsewhere there is none, for signals do not arrive there.
    """

    def __init__(self) -> None:
        self._armed = self._installed = False

    def run(self, match: Callable[[T], R], text: T) -> R:
        """The result. Raises TimeoutError."""
        if threading.current_thread() is not threading.main_thread():
            return match(text)
        if not self._installed:
            signal.signal(signal.SIGVTALRM, self._expired)
            self._installed = True
        try:
            try:
                self._armed = True
                signal.setitimer(signal.ITIMER_VIRTUAL, MATCH_CPU_S)
                return match(text)
            finally:
                self._armed = False
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        except _OutOfTime:
            raise TimeoutError from None

    def _expired(self, *_: object) -> None:
        if self._armed:
            self._armed = False
            raise _OutOfTime


_timer = _Timer()


class Pattern(Generic[T]):
    """A user's regular expression. What cannot be matched within the limits does not match, and is counted.

    Parameters:
        text: in the syntax of Python's re.
        setting: dotted path of it, for errors.

    Raises SettingsError, which names the setting.
    """

    def __init__(self, text: T, setting: str) -> None:
        self._setting, self._rests_until = setting, 0.0
        self.given_up = 0
        """Texts that could not be matched within the limits."""
        shown = text if isinstance(text, str) else text.decode("latin-1")
        if len(text) > limit("pattern"):
            rule = f"is longer than {limit('pattern')} characters"
            raise SettingsError(setting, shown, rule, "Write a shorter pattern.")
        try:
            check_cost(text)
            self._compiled: re.Pattern[T] = re.compile(text)
        except TooCostly as error:
            raise SettingsError(setting, shown, str(error), error.remedy) from None
        except (re.error, OverflowError, RecursionError, ValueError) as error:
            remedy = "See Python's re for the syntax; in JSON every backslash is written twice."
            raise SettingsError(setting, shown, f"is no regular expression: {error}", remedy) from None

    @property
    def groups(self) -> int:
        """How many groups it has."""
        return self._compiled.groups

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its groups."""
        return tuple(self._compiled.groupindex)

    def search(self, text: T) -> re.Match[T] | None:
        """Its first match in a text."""
        return self._within_limits(self._compiled.search, text)

    def fullmatch(self, text: T) -> re.Match[T] | None:
        """Its match with all of a text."""
        return self._within_limits(self._compiled.fullmatch, text)

    def without(self, text: T) -> T:
        """A text without all that matches."""
        left = self._within_limits(lambda whole: self._compiled.sub(text[:0], whole), text)
        return text if left is None else left

    def _within_limits(self, match: Callable[[T], R], text: T) -> R | None:
        if not self._compiled.pattern:
            return match(text)
        if len(text) > limit("matched"):
            self._give_up(f"a text of {len(text)} characters; at most {limit('matched')} are matched")
            return None
        if self._rests_until and monotonic() < self._rests_until:
            self.given_up += 1
            return None
        try:
            return _timer.run(match, text)
        except TimeoutError:
            self._rests_until = monotonic() + REST * MATCH_CPU_S
            self._give_up(f"{MATCH_CPU_S:g} s were not enough for a text of {len(text)} characters")
            return None

    def _give_up(self, why: str) -> None:
        self.given_up += 1
        if self.given_up & (self.given_up - 1) == 0:  # once for each doubling
            log.warning("the pattern of %s was given up (%d times): %s", self._setting, self.given_up, why)
