"""What all tests have in common: clocks and examples."""

import asyncio
import os

from hypothesis import settings

from .movable_clock import MovableClockLoop

# A reading that was not declared is an error in tests.
os.environ["DEVICE_BRIDGE_STRICT"] = "1"

LOOPS = {"real": asyncio.new_event_loop, "movable": MovableClockLoop}

settings.register_profile("steady", max_examples=25, derandomize=True, database=None, deadline=None, print_blob=True)
settings.load_profile("steady")


def pytest_asyncio_loop_factories(item):
    """`@pytest.mark.clock("movable")`, or several clocks to run a test on each; by default the real one."""
    marker = item.get_closest_marker("clock")
    return {name: LOOPS[name] for name in (marker.args if marker else ("real",))}
