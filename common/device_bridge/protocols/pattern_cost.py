"""Judges what a regular expression can cost in an engine that tries every way, before it is matched with anything.

A repetition is decided when the next character tells whether it goes on, branches when it tells which one it is.
Choices that are not decided cost a factor each: within a repetition that is exponential and refused, beside each
other a polynomial, of which a few are let through. After Rathnayake and Thielecke, "Static Analysis for Regular
Expression Exponential Runtime via Substructural Logics" (2014), with one character of look-ahead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, NamedTuple

from ..settings.limits import limit

_REPEATS = (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT)
_UNKNOWN_COST = (op.GROUPREF, op.GROUPREF_EXISTS, getattr(op, "GROUPREF_IGNORE", None))
_SAMPLES = "\u0100\u0131\u017f\u0660\u2003\u212a\u4e2d\ufb00\U0001d400"
"""Letters, digits and blanks beyond Latin-1, for classes as \\w."""
_CATEGORIES = {
    op.CATEGORY_DIGIT: r"\d",
    op.CATEGORY_NOT_DIGIT: r"\D",
    op.CATEGORY_SPACE: r"\s",
    op.CATEGORY_NOT_SPACE: r"\S",
    op.CATEGORY_WORD: r"\w",
    op.CATEGORY_NOT_WORD: r"\W",
}

Node = tuple[Any, Any]
Chars = int
"""A set of characters, a bit for each of the alphabet."""


class TooCostly(ValueError):  # noqa: N818
    """A pattern can take too long, or is too large."""

    def __init__(self, rule: str, remedy: str) -> None:
        self.remedy = remedy
        super().__init__(rule)


class _Start(NamedTuple):
    """What a part of a pattern can begin with, and whether it can be empty."""

    first: Chars
    is_empty: bool


def check_cost(pattern: str | bytes) -> None:
    """Raises TooCostly for a pattern that may take exponential time, and re.error for what is none."""
    _Judge(parser.parse(pattern)).check()


class _Judge:
    def __init__(self, tree: Any) -> None:
        self._tree = tree
        self._ignores_case = bool(tree.state.flags & re.IGNORECASE) or _has_case_flag(tree)
        points = {*range(256), *map(ord, _SAMPLES), *(c + d for c in _points(tree) for d in (-1, 0, 1))}
        if self._ignores_case:
            points |= {ord(each) for c in points for each in _cases(c)}
        self._bits = {c: 1 << at for at, c in enumerate(sorted(c for c in points if 0 <= c < 0x110000))}
        self._all = (1 << len(self._bits)) - 1
        self._choices = 0

    def check(self) -> None:
        if self._size(self._tree) > limit("pattern_steps"):
            raise TooCostly(f"has more than {limit('pattern_steps')} steps", "Repeat less, or use * or +.")
        self._sequence(list(self._tree), 0, in_loop=False)

    def _sequence(self, nodes: Sequence[Node], follow: Chars, *, in_loop: bool) -> None:
        """Judges parts that come one after another; `follow` is what may come behind them."""
        for node in reversed(nodes):
            self._node(node, follow, in_loop=in_loop)
            start = self._start([node])
            follow = start.first | (follow if start.is_empty else 0)

    def _node(self, node: Node, follow: Chars, *, in_loop: bool) -> None:
        kind, arguments = node
        if kind in _UNKNOWN_COST:
            raise TooCostly("refers to a group", "Write what the group matches once more.")
        if kind is op.SUBPATTERN:
            self._sequence(list(arguments[-1]), follow, in_loop=in_loop)
        elif kind is op.ATOMIC_GROUP:
            self._sequence(list(arguments), 0, in_loop=False)
        elif kind in (op.ASSERT, op.ASSERT_NOT):
            self._sequence(list(arguments[1]), 0, in_loop=False)
        elif kind is op.BRANCH:
            self._branch([list(each) for each in arguments[1]], follow, in_loop=in_loop)
        elif kind in _REPEATS:
            self._repeat(arguments, follow, is_final=kind is op.POSSESSIVE_REPEAT, in_loop=in_loop)

    def _repeat(self, arguments: Any, follow: Chars, *, is_final: bool, in_loop: bool) -> None:
        least, most, body = arguments
        first = self._start(list(body)).first
        if least != most and first & follow and not is_final:
            self._undecided("a repetition whose end cannot be told from its going on", in_loop=in_loop)
        is_loop = most > 1
        inside = (first if is_loop else 0) | (0 if is_final else follow)
        self._sequence(list(body), inside, in_loop=is_loop or (in_loop and not is_final))

    def _branch(self, branches: list[list[Node]], follow: Chars, *, in_loop: bool) -> None:
        if any(self._alike(one, other, follow) for at, one in enumerate(branches) for other in branches[:at]):
            self._undecided("branches that can begin alike", in_loop=in_loop)
        for branch in branches:
            self._sequence(branch, follow, in_loop=in_loop)

    def _alike(self, one: list[Node], other: list[Node], follow: Chars) -> bool:
        """Whether some text can belong to either branch, as far as single characters tell."""
        for at in range(max(len(one), len(other)) + 1):
            starts = [self._start(nodes[at:]) for nodes in (one, other)]
            if not _either(starts[0], follow) & _either(starts[1], follow):
                return not any(_either(start, follow) for start in starts)  # both at an end with nothing behind
            if not all(at < len(nodes) and nodes[at][0] in (op.LITERAL, op.IN, op.ANY) for nodes in (one, other)):
                return True
        return True

    def _undecided(self, what: str, *, in_loop: bool) -> None:
        if in_loop:
            raise TooCostly(
                f"can take exponential time: {what}, within a repetition",
                "Put between repetitions what ends each of them, as in (?:[0-9]+,)*, or leave one of them out.",
            )
        self._choices += 1
        if self._choices > limit("pattern_choices"):
            raise TooCostly(
                f"can take too long: more than {limit('pattern_choices')} repetitions whose end is not told by the "
                "next character",
                "Write [^,]* or the like instead of .*, as far as the next mark.",
            )

    def _start(self, nodes: Sequence[Node]) -> _Start:
        first = 0
        for kind, arguments in nodes:
            if kind is op.BRANCH:
                starts = [self._start(list(each)) for each in arguments[1]]
                start = _Start(_union(each.first for each in starts), any(each.is_empty for each in starts))
            elif kind in _REPEATS:
                start = self._start(list(arguments[2]))
                start = _Start(start.first, start.is_empty or arguments[0] == 0)
            elif kind in (op.SUBPATTERN, op.ATOMIC_GROUP):
                start = self._start(list(arguments[-1] if kind is op.SUBPATTERN else arguments))
            else:
                chars = self._chars(kind, arguments)
                start = _Start(chars, not chars)
            first |= start.first
            if not start.is_empty:
                return _Start(first, is_empty=False)
        return _Start(first, is_empty=True)

    def _chars(self, kind: Any, arguments: Any) -> Chars:
        """What one node can match; nothing for positions and assertions."""
        if kind is op.ANY:
            return self._all
        if kind is op.LITERAL:
            return self._set(c for c in self._folded(arguments))
        if kind is op.NOT_LITERAL:
            return self._all & ~self._bits[arguments]
        if kind is not op.IN:
            return 0
        chars = _union(self._member(*each) for each in arguments if each[0] is not op.NEGATE)
        is_negated = any(each[0] is op.NEGATE for each in arguments)
        return self._all & ~chars if is_negated else chars

    def _member(self, kind: Any, argument: Any) -> Chars:
        if kind is op.CATEGORY:
            matches = re.compile(_CATEGORIES[argument]).match
            return self._set(c for c in self._bits if matches(chr(c)))
        low, high = argument if kind is op.RANGE else (argument, argument)
        return self._set(each for c in self._bits if low <= c <= high for each in self._folded(c))

    def _folded(self, point: int) -> Iterable[int]:
        return map(ord, _cases(point)) if self._ignores_case else (point,)

    def _set(self, points: Iterable[int]) -> Chars:
        return _union(self._bits.get(point, 0) for point in points)

    def _size(self, nodes: Iterable[Node]) -> int:
        """Steps of a pattern when its counted repetitions are written out."""
        total = 0
        for kind, arguments in nodes:
            inner = sum(self._size(each) for each in _inner(kind, arguments))
            if kind in _REPEATS:
                least, most, _ = arguments
                count = max(least, 1) if most is op.MAXREPEAT else most
                if count > limit("repetitions"):
                    raise TooCostly(f"repeats more than {limit('repetitions')} times", "Write * or + instead.")
                inner *= max(count, 1)
            total += max(inner, 1)
        return total


def _inner(kind: Any, arguments: Any) -> list[Any]:
    """The parts that a node is made of."""
    if kind is op.BRANCH:
        return list(arguments[1])
    if kind in _REPEATS:
        return [arguments[2]]
    if kind is op.SUBPATTERN:
        return [arguments[-1]]
    if kind in (op.ASSERT, op.ASSERT_NOT):
        return [arguments[1]]
    return [arguments] if kind is op.ATOMIC_GROUP else []


def _points(nodes: Iterable[Node]) -> Iterable[int]:
    """Every character that a pattern names, ends of ranges included."""
    for kind, arguments in nodes:
        if kind in (op.LITERAL, op.NOT_LITERAL):
            yield arguments
        elif kind is op.RANGE:
            yield from arguments
        elif kind is op.IN:
            yield from _points(arguments)
        for each in _inner(kind, arguments):
            yield from _points(each)


def _has_case_flag(nodes: Iterable[Node]) -> bool:
    return any(
        (kind is op.SUBPATTERN and arguments[1] & re.IGNORECASE)
        or any(_has_case_flag(each) for each in _inner(kind, arguments))
        for kind, arguments in nodes
    )


def _cases(point: int) -> list[str]:
    text = chr(point)
    return [each for each in {text, text.lower(), text.upper(), text.casefold()} if len(each) == 1]


def _either(start: _Start, follow: Chars) -> Chars:
    return start.first | (follow if start.is_empty else 0)


def _union(sets: Iterable[Chars]) -> Chars:
    found = 0
    for each in sets:
        found |= each
    return found
