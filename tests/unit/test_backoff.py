"""Waiting times: growing, bounded, never zero, spread."""

import random

from iofog_sdk import Backoff


def test_steps_double_up_to_the_limit_and_start_again():
    backoff = Backoff(1.0, 8.0, random.Random(1))
    waits = [backoff.next_s() for _ in range(6)]
    for wait, step in zip(waits, [1, 2, 4, 8, 8, 8], strict=True):
        assert step / 2 <= wait <= step
    backoff.reset()
    assert 0.5 <= backoff.next_s() <= 1.0


def test_two_clients_do_not_wait_alike():
    assert Backoff(rng=random.Random(1)).next_s() != Backoff(rng=random.Random(2)).next_s()


def test_a_zero_step_is_not_a_busy_loop():
    backoff = Backoff(0.0, 0.0)
    assert min(backoff.next_s() for _ in range(100)) > 0.01
