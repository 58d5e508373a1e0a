"""Filters: each on its own, in a chain, on a clock of the test."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_bridge import Quality, Quantity, Reading
from device_bridge.filters import AnyFilter, FilterChain, Scope

HEADING, LONGITUDE = Quantity("heading", "deg", (0, 360), period=360), Quantity("lon", "lon", (-180, 180), period=360)


def chain(*filters):
    return FilterChain(msgspec.convert(list(filters), list[AnyFilter]), (HEADING, LONGITUDE))


def run(filters, *values, step_s=1.0, name="t"):
    """What comes out for each value, one a second; None for what is held back."""
    out = []
    for number, value in enumerate(values):
        passed = filters.apply(Reading(name, value), number * step_s)
        out.append(None if passed is None else passed.value)
    return out


def test_no_filter_changes_nothing():
    assert run(chain(), 1, "x", None, True) == [1, "x", None, True]


def test_scale_and_clamp_in_their_order():
    scale, clamp = {"type": "scale", "factor": 2, "offset": 1}, {"type": "clamp", "low": 0, "high": 10}
    assert run(chain(scale, clamp), -5, 1, 50) == [0, 3, 10]
    assert run(chain(clamp, scale), -5, 1, 50) == [1, 3, 21]


def test_what_is_scaled_has_the_digits_that_it_resolves():
    assert run(chain({"type": "scale", "factor": 0.1}), 1, 3, 6, 7, 12) == [0.1, 0.3, 0.6, 0.7, 1.2]
    assert run(chain({"type": "scale", "offset": -273.15}), 310.12) == [36.97]


def test_an_absolute_deadband_compares_with_the_last_that_passed():
    assert run(chain({"type": "deadband", "absolute": 1}), 10, 10.9, 11.1, 11.9, 12.2) == [10, None, 11.1, None, 12.2]


def test_a_difference_as_large_as_the_least_one_passes():
    assert run(chain({"type": "deadband", "absolute": 0.5}), 10, 10.5, 10.75, 11) == [10, 10.5, None, 11]
    assert run(chain({"type": "deadband"}), 10, 10, 10.001) == [10, None, 10.001]
    tenths = [round(20 + 0.1 * step, 1) for step in range(100)]
    assert run(chain({"type": "deadband", "absolute": 0.1}), *tenths) == tenths
    assert run(chain({"type": "deadband", "absolute": 0.1}), 21.6, 21.69, 21.7) == [21.6, None, 21.7]


def test_a_value_as_far_away_as_allowed_is_no_outlier():
    gate = chain({"type": "outlier_gate", "distance": 0.1, "size": 2})
    tenths = [round(20 + 0.1 * (step % 2), 1) for step in range(50)]
    assert {gate.apply(Reading("t", value), 0.0).quality for value in tenths} == {Quality.GOOD}


def test_what_comes_after_an_outlier_is_not_held_back():
    filters = chain({"type": "outlier_gate", "distance": 5}, {"type": "deadband", "absolute": 1})
    assert run(filters, 20, 20.1, 85, 20.1, 20.2) == [20, None, 85, 20.1, None]


def test_what_is_no_number_spoils_no_average():
    passed = run(chain({"type": "moving_average", "size": 3}), 10, 20, float("nan"), 30, 50)
    assert passed[:2] + passed[3:] == [10, 15, 30, 40]


@pytest.mark.parametrize("kind", [{"type": "deadband", "heartbeat": 60}, {"type": "rate_limit", "interval": 60}])
def test_a_wall_clock_that_is_set_changes_no_interval(kind):
    filters = chain(kind)
    walls = [1000.0, 1001.0, -2000.0, 9e9, 5.0, 5.0]
    passed = [filters.apply(Reading("t", 1.0, time=wall), 20.0 * n) for n, wall in enumerate(walls)]
    assert [reading is not None for reading in passed] == [True, False, False, True, False, False]


def test_names_without_bound_are_not_remembered():
    filters = chain({"type": "deadband"})
    for number in range(5000):
        filters.apply(Reading(f"q{number}", 1.0), 0.0)
    assert len(filters._filters) == 1000


def test_a_relative_deadband():
    assert run(chain({"type": "deadband", "relative": 0.1}), 100, 109, 111, 90) == [100, None, 111, 90]


def test_an_unchanged_value_passes_with_the_heartbeat():
    out = run(chain({"type": "deadband", "heartbeat": 3}), *[5] * 8)
    assert out == [5, None, None, 5, None, None, 5, None]


def test_a_rate_limit_lets_one_pass_in_an_interval():
    out = run(chain({"type": "rate_limit", "interval": 1}), 1, 2, 3, 4, 5, step_s=0.4)
    assert out == [1, None, None, 4, None]


def test_median_takes_out_a_spike_and_average_spreads_it():
    assert run(chain({"type": "median", "size": 3}), 1, 1, 99, 1, 1) == [1, 1, 1, 1, 1]
    assert run(chain({"type": "moving_average", "size": 2}), 0, 10, 20) == [0, 5, 15]


def test_an_outlier_is_marked_and_kept():
    gate = chain({"type": "outlier_gate", "distance": 5, "size": 3})
    passed = [gate.apply(Reading("t", value), 0.0) for value in (20, 21, 85, 20)]
    assert [r.quality for r in passed] == [Quality.GOOD, Quality.GOOD, Quality.UNCERTAIN, Quality.GOOD]
    assert passed[2].value == 85


def test_quantities_have_their_own_state_and_filters():
    filters = chain({"type": "deadband", "absolute": 1, "quantity": "t"})
    assert run(filters, 5, 5, name="t") == [5, None]
    assert run(filters, 5, 5, name="h") == [5, 5]


@pytest.mark.parametrize("quality", [Quality.BAD, Quality.STALE, Quality.UNCERTAIN])
def test_a_change_of_quality_always_passes(quality):
    filters = chain({"type": "deadband", "absolute": 100, "heartbeat": 1000})
    assert filters.apply(Reading("t", 1.0), 0.0) is not None
    assert filters.apply(Reading("t", 1.0), 0.0) is None
    assert filters.apply(Reading("t", None, quality=quality, reason="x"), 0.0) is not None
    assert filters.apply(Reading("t", 1.0), 0.0) is not None


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.floats(0, 100))
def test_what_a_deadband_holds_back_is_near_what_passed(values, band):
    last = None
    for value, passed in zip(
        values, run(chain({"type": "deadband", "absolute": band, "heartbeat": 1e6}), *values), strict=True
    ):
        if passed is None:
            assert abs(value - last) < band or value == last
        else:
            last = value


@pytest.mark.parametrize("kind", ["moving_average", "median"])
@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("heading", (350, 10), 0),
        ("heading", (358, 2, 6), 2),
        ("heading", (10, 350, 340), 353.3333333333333),
        ("heading", (90, 270), 180),
        ("lon", (179.8, -179.8), -180),
        ("lon", (179.5, -179.9), 179.8),
        ("lon", (-1, 1), 0),
        ("t", (350, 10), 180),
    ],
)
def test_what_lies_on_a_circle_is_averaged_there(kind, name, values, expected):
    if kind == "median" and len(values) == 3:
        expected = {358: 2, 10: 350}[values[0]]
    found = run(chain({"type": kind, "size": 3}), *values, name=name)[-1]
    assert Scope(360.0 if name != "t" else 0.0).difference(found, expected) == pytest.approx(0, abs=1e-9)


def test_a_deadband_at_north_is_as_wide_as_elsewhere():
    deadband = {"type": "deadband", "absolute": 5}
    assert run(chain(deadband), 359, 2, 1, 5, 358, name="heading") == [359, None, None, 5, 358]
    assert run(chain(deadband), 179.9, -179.9, -174, name="lon") == [179.9, None, -174]


def test_north_is_no_outlier():
    gate = chain({"type": "outlier_gate", "distance": 10, "size": 5})
    qualities = [
        gate.apply(Reading("heading", value), float(number)).quality.value
        for number, value in enumerate((358, 359, 1, 3, 180, 2, 357))
    ]
    assert qualities == ["good"] * 4 + ["uncertain"] + ["good"] * 2


def test_the_mounting_of_a_compass_is_taken_off_on_the_circle():
    assert run(chain({"type": "scale", "offset": 20}), 350, 10, name="heading") == [10, 30]
    scaled = chain({"type": "scale", "factor": 0.1}, {"type": "moving_average", "size": 2})
    assert run(scaled, 350, 10, name="heading") == [35, 0]


@given(
    st.lists(st.integers(-20, 20), min_size=1, max_size=9),
    st.integers(-360, 720),
    st.sampled_from(["moving_average", "median"]),
)
def test_a_turned_compass_reads_the_same_but_turned(spread, turned, kind):
    straight = run(chain({"type": kind, "size": 9}), *spread)[-1]
    found = run(chain({"type": kind, "size": 9}), *((each + turned) % 360 for each in spread), name="heading")[-1]
    assert 0 <= found < 360
    assert Scope(360.0).difference(found, straight + turned) == pytest.approx(0, abs=1e-9)
