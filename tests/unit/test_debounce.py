"""Debouncing of lines."""

from hypothesis import given
from hypothesis import strategies as st

from device_bridge.control.debounce import Debounce


def test_without_a_time_every_change_counts():
    debounce = Debounce(0b00, 0.0)
    assert [debounce.update(levels, now) for now, levels in enumerate((0b01, 0b11, 0b10))] == [0b01, 0b11, 0b10]


def test_a_bounce_is_not_seen_and_lines_do_not_wait_for_each_other():
    debounce = Debounce(0b00, 0.03)
    looks = [(0.00, 0b01), (0.01, 0b00), (0.02, 0b11), (0.04, 0b10), (0.05, 0b10), (0.07, 0b10), (0.08, 0b10)]
    assert [debounce.update(levels, now) for now, levels in looks] == [0, 0, 0, 0, 0b10, 0b10, 0b10]


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 255)), min_size=1), st.integers(0, 100))
def test_what_has_settled_was_so_for_the_whole_time(steps, settle):
    debounce, now = Debounce(0, float(settle)), 0
    seen = [(0, 0)]
    for pause, levels in steps:
        now += pause
        seen.append((now, levels))
        settled = debounce.update(levels, float(now))
        for bit in range(8):
            recent = [old >> bit & 1 for at, old in seen if at > now - settle]
            if len(set(recent)) == 1 and now - seen[0][0] >= settle and recent:
                since = next((at for at, old in reversed(seen) if old >> bit & 1 != recent[0]), -settle)
                first = next(at for at, old in seen if at > since)
                if now - first >= settle:
                    assert settled >> bit & 1 == recent[0]


@given(st.lists(st.integers(0, 3), min_size=1), st.integers(0, 5))
def test_it_always_follows_in_the_end(levels, settle):
    debounce = Debounce(0, float(settle))
    for now, level in enumerate(levels):
        debounce.update(level, float(now))
    assert debounce.update(levels[-1], float(len(levels) + settle)) == levels[-1]
