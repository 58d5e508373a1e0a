"""What all tests have in common: clocks, how examples are drawn, what a run says about skipped tests."""

import asyncio

from .movable_clock import MovableClockLoop

LOOPS = {"real": asyncio.new_event_loop, "movable": MovableClockLoop}


def pytest_asyncio_loop_factories(item):
    """`@pytest.mark.clock("movable")`, or several clocks to run a test on each; by default the real one."""
    marker = item.get_closest_marker("clock")
    return {name: LOOPS[name] for name in (marker.args if marker else ("real",))}
