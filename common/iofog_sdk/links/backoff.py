"""Waiting times between attempts: exponential, capped, jittered."""

from __future__ import annotations

import random

_MIN_S = 0.05


class Backoff:
    """Doubles from `initial_s` to `max_s`; each wait is a random time from the upper half of its step.

    Jitter keeps a thousand nodes from reconnecting at the same moment after an outage; the lower bound of half a step
    keeps the attempts from becoming a busy loop.

    Parameters:
        initial_s: first step, seconds.
        max_s: longest step, seconds.
        rng: source of jitter; give a seeded one to repeat a run.
    """

    def __init__(self, initial_s: float = 0.5, max_s: float = 30.0, rng: random.Random | None = None) -> None:
        self._initial_s = max(initial_s, _MIN_S)
        self._max_s = max(max_s, self._initial_s)
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._step_s = self._initial_s

    def next_s(self) -> float:
        """Seconds to wait before the next attempt."""
        step_s = self._step_s
        self._step_s = min(step_s * 2, self._max_s)
        return self._rng.uniform(step_s / 2, step_s)

    def reset(self) -> None:
        """Returns to the first step, after a successful attempt."""
        self._step_s = self._initial_s
