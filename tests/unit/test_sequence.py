"""The receiving helper: gaps, duplicates, order."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from iofog_sdk import IoMessage, SequenceTracker


def numbers(tracker, *sequence, group="g"):
    return [tracker.is_new(IoMessage(groupid=group, sequencenumber=n)) for n in sequence]


def test_in_order_nothing_is_missing():
    tracker = SequenceTracker(from_start=True)
    assert numbers(tracker, 1, 2, 3) == [True] * 3
    assert (tracker.received, tracker.missing, tracker.duplicates, tracker.reordered) == (3, 0, 0, 0)


def test_a_gap_counts_until_its_message_comes():
    tracker = SequenceTracker(from_start=True)
    numbers(tracker, 1, 4)
    assert tracker.missing == 2
    assert numbers(tracker, 2, 2) == [True, False]
    assert (tracker.missing, tracker.duplicates, tracker.reordered) == (1, 1, 1)


def test_a_late_listener_misses_nothing_from_before_its_time():
    tracker = SequenceTracker()
    numbers(tracker, 1000, 1001)
    assert tracker.missing == 0
    assert SequenceTracker(from_start=True).missing == 0


def test_senders_and_runs_are_distinguished():
    tracker = SequenceTracker(from_start=True)
    numbers(tracker, 1, 2, group="first run")
    assert numbers(tracker, 1, 2, group="second run") == [True, True]


def test_messages_without_a_number_are_always_new():
    tracker = SequenceTracker()
    assert all(tracker.is_new(IoMessage()) for _ in range(3))


def test_an_absurd_gap_costs_no_memory():
    tracker = SequenceTracker(window=100)
    numbers(tracker, 1, 2**31 - 1)
    assert tracker.missing == 2**31 - 3
    assert numbers(tracker, 5) == [False]


def test_large_gaps_of_many_senders_cost_little_memory():
    tracker = SequenceTracker()
    tracemalloc.start()
    try:
        for sender in range(32):
            numbers(tracker, 1, 100_000, group=f"g{sender}")
        assert tracemalloc.get_traced_memory()[0] < 500_000
    finally:
        tracemalloc.stop()
    assert tracker.missing == 32 * 99_998


def test_forgotten_groups_are_bounded():
    tracker = SequenceTracker(max_groups=2)
    for group in "abc":
        numbers(tracker, 1, group=group)
    assert numbers(tracker, 1, group="c") == [False]
    assert numbers(tracker, 1, group="a") == [True]


@given(st.lists(st.integers(1, 60), max_size=120))
def test_counts_agree_with_a_plain_set(sequence):
    tracker, seen = SequenceTracker(from_start=True), set()
    for number in sequence:
        assert numbers(tracker, number) == [number not in seen]
        seen.add(number)
    assert tracker.received == len(seen)
    assert tracker.duplicates == len(sequence) - len(seen)
    assert tracker.missing == max(seen, default=0) - len(seen)


@given(st.lists(st.integers(1, 60), max_size=120), st.integers(1, 12))
def test_what_is_late_by_the_window_or_more_counts_as_a_duplicate(sequence, window):
    tracker, seen, highest = SequenceTracker(from_start=True, window=window), set(), 0
    for number in sequence:
        is_new = number not in seen and number > highest - window
        assert numbers(tracker, number) == [is_new]
        seen |= {number} if is_new else set()
        highest = max(highest, number)
    assert tracker.missing == highest - len(seen)
