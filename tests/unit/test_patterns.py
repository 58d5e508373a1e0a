"""Regular expressions of users: what can stop the loop is refused, the rest is bounded."""

import re
import threading
from re import _constants as op
from re import _parser as parser

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from device_bridge import SettingsError
from device_bridge.protocols import Pattern
from device_bridge.protocols.pattern_cost import TooCostly, check_cost
from device_bridge.settings import limit

EXPONENTIAL = [
    r"(a+)+$",
    r"(a|aa)+$",
    r"(.*a){20}",
    r"(a*)*b",
    r"(a?){30}a{30}",
    r"(?:a|)*b",
    r"([a-zA-Z]+)*$",
    r"(a|a?)+$",
    r"(.*)*x",
    r"(\w+\s?)*$",
    r"^(([a-z])+.)+[A-Z]([a-z])+$",
    r"(x+x+)+y",
    r"(\s*\s*)*x",
    r"(?:(?:a{1,5}){1,5}){1,5}",
    r"(?:a?b?)*c",
    r"(?:a+b*)*c",
    r"(?=(a+)+$)x",
    r"((a+)|b)+$",
    r"(a{2,3})+$",
    r"(?i:(k+\u212a*)+$)",
    r"(?:ab|a.)*$",
    r"a?a?a?a?a?a?a?a?a?a?a?a?a?a?aaaaaaaaaaaaaa",
]
TOO_LARGE = [
    "a{99999999999999999999}",
    "a{900000000}",
    "(){900000000}",
    "(?:a{1000}){1000}",
    "(?:(?:(?:a{99}){99}){99}){99}",
    "a" * 2001,
    "(" * 900 + ")" * 900,
]
NOT_JUDGED = [r"(a)\1", r"(?P<x>a)(?P=x)", r"(a)?(?(1)b|c)"]
INVALID = ["(", "[", "*", "(?P<1>a)", "a**", r"\8", "(?<=a*)b", "[b-a]", "\\"]
HARMLESS = [
    r"\s*(?P<value>[-+]? *(?:\d+\.?\d*|\.\d+)(?:[eE][-+]\d+)?)(?: *[^\W\d_]\D*| *[%°]\D*)?\s*",
    r"(?:[0-9]+,)*",
    r".*T=(\d+).*H=(\d+).*",
    r".*A=(\d+).*B=(\d+).*C=(\d+).*",
    r"(\d+\.){3}\d+",
    r"(?:foo|fob|bar)*",
    r"(?:ab|ac|a)x",
    r'"((?:[^"\\]|\\.)*)"',
    r"(?>a+)+$",
    r"(?:a++b?)*",
    r"(a|A)+b",
    r"\w+(?:\s\w+)*",
    r"(?<=x)é+ü*",
    "",
]


@pytest.mark.parametrize("pattern", [*EXPONENTIAL, *TOO_LARGE, *NOT_JUDGED, *INVALID])
def test_a_pattern_that_could_stop_the_service_is_refused_at_the_start(pattern):
    with pytest.raises(SettingsError, match=r"setting record\.pattern") as refused:
        Pattern(pattern, "record.pattern")
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("pattern", HARMLESS)
def test_a_harmless_pattern_is_taken(pattern):
    assert Pattern(pattern, "x").search("") == re.compile(pattern).search("") or Pattern(pattern, "x").search("")


def test_a_pattern_finds_what_re_finds():
    pattern = Pattern(r"(?P<name>[a-z]+)=(\d+)", "x")
    assert (pattern.groups, pattern.names) == (2, ("name",))
    assert pattern.search("; abc=12;").groups() == ("abc", "12")
    assert pattern.fullmatch("abc=12;") is None
    assert Pattern(rb":[0-9A-F]*\n", "x").without(b"a:1F\nb:\nc:") == b"abc:"


@pytest.mark.parametrize("text", ["T=1H=1" * 650, "T=" + "1" * 4000, "TH=" * 1300])
def test_a_match_that_takes_too_long_is_given_up_and_its_pattern_rests(text):
    pattern = Pattern(r".*T=(\d+).*H=(\d+).*T=(\d+).*H=(\d+)\n", "x")
    assert pattern.fullmatch(text) is None
    given_up = pattern.given_up
    assert given_up <= 1
    assert pattern.fullmatch("T=1H=1T=1H=1\n") is None or not given_up


def test_the_longest_text_for_a_pattern_has_a_limit():
    pattern = Pattern("x+", "x")
    assert pattern.search("x" * limit("matched"))
    assert pattern.search("x" * (limit("matched") + 1)) is None
    assert pattern.given_up == 1
    assert Pattern(b"x", "x").without(b"x" * (limit("matched") + 1)) == b"x" * (limit("matched") + 1)


def test_a_pattern_is_matched_in_other_threads_too():
    found = []
    thread = threading.Thread(target=lambda: found.append(Pattern("b", "x").search("abc")))
    thread.start()
    thread.join()
    assert found[0].span() == (1, 2)


parts = st.recursive(
    st.sampled_from(["a", "b", "[ab]", ".", "[^a]", "x"]),
    lambda inner: st.one_of(
        st.builds("(?:{}){}".format, inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{0,9}"])),
        st.builds("(?:{}|{})".format, inner, inner),
        st.builds("{}{}".format, inner, inner),
        st.builds("(?:{}|)".format, inner),
    ),
    max_leaves=8,
)
LONGEST = 26


class TooManyStepsError(Exception):
    pass


class Backtracking:
    """Matches as an engine that tries every way, and counts the ways."""

    def __init__(self, text, most):
        self.text, self.left = text, most

    def ways(self, nodes, at):
        if not nodes:
            yield at
            return
        for end in self.node(*nodes[0], at):
            yield from self.ways(nodes[1:], end)

    def node(self, kind, arguments, at):
        self.left -= 1
        if self.left < 0:
            raise TooManyStepsError
        if kind is op.SUBPATTERN:
            yield from self.ways(list(arguments[-1]), at)
        elif kind is op.BRANCH:
            for branch in arguments[1]:
                yield from self.ways(list(branch), at)
        elif kind is op.MAX_REPEAT:
            yield from self.repeats(*arguments, at, 0)
        elif at < len(self.text) and self.fits(kind, arguments, ord(self.text[at])):
            yield at + 1

    def repeats(self, least, most, body, at, count):
        if count < most:
            for end in self.ways(list(body), at):
                if end > at or count < least:
                    yield from self.repeats(least, most, body, end, count + 1)
        if count >= least:
            yield at

    @staticmethod
    def fits(kind, arguments, point):
        if kind is op.IN:
            members = [member for member in arguments if member[0] is not op.NEGATE]
            inside = any(point == value for _, value in members)
            return inside != any(member[0] is op.NEGATE for member in arguments)
        return (
            kind is op.ANY
            or (kind is op.LITERAL and arguments == point)
            or (kind is op.NOT_LITERAL and arguments != point)
        )


def choices_of(pattern):
    """How many branches and repetitions there are at all: each can cost a factor."""
    return sum(pattern.count(mark) for mark in "|*+?") - pattern.count("?:") + pattern.count(",")


@given(parts, st.text("ab", min_size=LONGEST, max_size=LONGEST))
def test_what_is_taken_takes_no_exponential_time(pattern, text):
    try:
        check_cost(pattern)
    except TooCostly:
        assume(False)
    nodes = list(parser.parse(pattern))
    size = len(pattern) + 1
    most = min(200_000, size * size * (LONGEST + 1) ** (choices_of(pattern) + 1))
    for tried in (text, "a" * LONGEST, "b" * LONGEST, "ab" * (LONGEST // 2)):
        for _ in Backtracking(tried, most).ways(nodes, 0):
            pass


def test_the_count_of_steps_finds_an_exponential_pattern():
    for pattern in (r"(?:(?:a)+)+", r"(?:a|(?:a)(?:a))+", r"(?:(?:a)*(?:b)*)*"):
        with pytest.raises(TooManyStepsError):
            list(Backtracking("a" * LONGEST, 50_000).ways(list(parser.parse(pattern)), 0))
