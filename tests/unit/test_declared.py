"""Readings against what a service declares."""

import math

import pytest

from device_bridge import ContractError, Quality, Quantity, Reading
from device_bridge.declared import STRICT, DeclaredQuantities

TEMPERATURE = Quantity("t", "Cel", (-40, 85))


def declared():
    return DeclaredQuantities((TEMPERATURE, Quantity("label")))


@pytest.mark.parametrize(
    ("value", "quality", "reason"),
    [
        (-40, Quality.GOOD, ""),
        (85.0, Quality.GOOD, ""),
        (85.1, Quality.UNCERTAIN, "outside -40 to 85"),
        (-300, Quality.UNCERTAIN, "outside -40 to 85"),
        (math.nan, Quality.UNCERTAIN, "outside -40 to 85"),
        ("text", Quality.GOOD, ""),
    ],
)
def test_a_value_outside_its_range_is_marked_and_kept(value, quality, reason):
    (reading,) = declared().check([TEMPERATURE.good(value)])
    assert (reading.quality, reading.reason) == (quality, reason)
    assert reading.value is value


def test_a_mark_of_the_service_stays():
    stale = Reading("t", 500.0, "Cel", quality=Quality.STALE, reason="silent")
    assert declared().check([stale, TEMPERATURE.bad("no answer")]) == [stale, TEMPERATURE.bad("no answer")]


@pytest.mark.parametrize(
    ("reading", "problem"),
    [
        (Reading("temp", 1.0, "Cel"), "temp is not among the declared quantities"),
        (Reading("t", 290.0, "K"), "t is not in its declared unit: K instead of Cel"),
        (Reading("label", 1, "m"), "label is not in its declared unit: m instead of no unit"),
    ],
)
def test_what_was_not_declared_is_an_error_in_tests_and_marked_in_production(monkeypatch, caplog, reading, problem):
    with pytest.raises(ContractError, match=problem):
        declared().check([reading])
    monkeypatch.delenv(STRICT)
    quantities = declared()
    for count in (1, 2):
        (marked,) = quantities.check([reading])
        assert (marked.value, marked.quality) == (reading.value, Quality.UNCERTAIN)
        assert problem in marked.reason
        assert quantities.violations == count
    assert caplog.text.count(problem) == 1, "logged once"


def test_names_without_bound_are_not_remembered(monkeypatch, caplog):
    monkeypatch.delenv(STRICT)
    quantities = declared()
    quantities.check([Reading(f"q{number}", 1) for number in range(1000)])
    assert quantities.violations == 1000
    assert len(caplog.records) == 100


def test_the_loss_of_a_device_is_not_reported_for_what_it_has_never_measured():
    declared = DeclaredQuantities(
        (Quantity("lat"), Quantity("depth", optional=True), Quantity("wind", optional=True))
    )
    assert [r.name for r in declared.all_bad("unplugged")] == ["lat"]
    declared.check([Reading("depth", 5.4)])
    assert [(r.name, r.value, r.quality, r.reason) for r in declared.all_bad("unplugged")] == [
        ("lat", None, Quality.BAD, "unplugged"),
        ("depth", None, Quality.BAD, "unplugged"),
    ]
