"""What all tests have in common: clocks, examples, how many run at once, what a run says about skipped tests."""

import logging
import os
from collections import Counter

import pytest
from hypothesis import HealthCheck, settings

# A reading that was not declared is an error in tests, and in the processes that they start.
os.environ["DEVICE_BRIDGE_STRICT"] = "1"

# The machine may be busy: how long an example takes says nothing.
settings.register_profile("steady", max_examples=25, derandomize=True, database=None, deadline=None, print_blob=True)
settings.register_profile(
    "fuzz",
    max_examples=1000,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("steady")


@pytest.fixture(autouse=True)
def logging_as_before():
    """A service's own set-up of logging, for one that a test runs in this process, ends with the test."""
    root = logging.getLogger()
    level, handlers = root.level, set(root.handlers)
    yield
    root.setLevel(level)
    for handler in set(root.handlers) - handlers:
        if type(handler).__module__ == "device_bridge.telemetry.logs":
            root.removeHandler(handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """More than there are processors, for most of a test's time is waiting."""
    return 2 * len(os.sched_getaffinity(0))


def pytest_terminal_summary(terminalreporter):
    """Says once what would run the tests that were skipped; a test's reason says what it needs."""
    reasons = Counter(report.longrepr[2] for report in terminalreporter.getreports("skipped"))
    if reasons:
        terminalreporter.section("tests that did not run, and what would run them")
    for reason, count in sorted(reasons.items()):
        terminalreporter.line(f"{count:4}  {reason.removeprefix('Skipped: ')}")
