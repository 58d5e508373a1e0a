"""Rules on the node."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_bridge import Quality, Reading, SettingsError
from device_bridge.control.rules import Rules, RuleSettings


def rules_of(**members):
    return Rules([RuleSettings(reading="t", output="fan", **members)])


def decisions(rules, *values):
    return [wanted for value in values for _, wanted in rules.feed([Reading("t", value)])]


def test_a_threshold_has_hysteresis_and_is_reported_once():
    rules = rules_of(on_above=25, off_below=23)
    assert decisions(rules, 22, 24, 25, 24, 26, 23.5, 23, 24, 25) == [False, True, False, True]


def test_a_threshold_from_above():
    rules = rules_of(on_below=5, off_above=7)
    assert decisions(rules, 10, 6, 5, 6, 7, 6) == [False, True, False]


@pytest.mark.parametrize(("wanted", "values"), [(True, [True, True, False]), ("open", ["open", "open", "shut"])])
def test_a_state(wanted, values):
    assert decisions(rules_of(on_when=wanted), *values) == [True, False]


def test_a_bad_reading_asks_for_the_safe_state():
    rules = rules_of(on_above=25, off_below=23)
    bad = Reading("t", None, quality=Quality.BAD, reason="gone")
    assert [wanted for _, wanted in rules.feed([Reading("t", 30.0), bad, Reading("t", 24.0)])] == [True, None, False]
    assert decisions(rules_of(on_above=1, off_below=0), "text") == [None]


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan"), 10**400])
def test_a_number_that_is_not_finite_is_as_a_bad_reading(value):
    assert decisions(rules_of(on_above=25, off_below=23), 30, value) == [True, None]


def test_other_readings_are_nothing_to_it():
    assert list(rules_of(on_when=True).feed([Reading("x", True)])) == []


@given(st.lists(st.floats(-50, 50)), st.floats(-20, 20), st.floats(0, 10))
def test_between_the_thresholds_nothing_changes(values, low, width):
    rules, on = rules_of(on_above=low + width, off_below=low), None
    for value in values:
        for _, wanted in rules.feed([Reading("t", value)]):
            assert wanted is not on
            on = wanted
        if value >= low + width:
            assert on is True
        elif value <= low:
            assert on is False


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({}, "no condition, or several"),
        ({"on_above": 1}, "only one of its two"),
        ({"off_above": 1}, "only one of its two"),
        ({"on_above": 1, "off_below": 2}, "crossed"),
        ({"on_below": 2, "off_above": 1}, "crossed"),
        ({"on_above": 1, "off_below": 0, "on_when": True}, "several"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(members, words):
    with pytest.raises(SettingsError, match=words):
        rules_of(**members)


def test_two_rules_for_one_output_are_refused():
    rule = RuleSettings(reading="t", output="fan", on_when=True)
    with pytest.raises(SettingsError, match="two rules"):
        Rules([rule, rule])
