"""The movable clock of the pytest plugin."""

from pytest_simulated_devices import MovableClockLoop, is_movable, now, now_ns, run

__all__ = ["MovableClockLoop", "is_movable", "now", "now_ns", "run"]
