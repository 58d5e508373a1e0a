"""A loop that stands still is noticed, with the place where it stands."""

import asyncio
import logging
import threading

import pytest

from device_bridge.control import Heartbeat
from device_bridge.runtime import loop_watchdog as module
from device_bridge.runtime.loop_watchdog import LoopWatchdog


def test_a_loop_that_stands_still_is_reported_with_its_place_and_counted(monkeypatch, caplog):
    monkeypatch.setattr(module, "STALL_S", 0.05)
    reported = threading.Event()

    class Notice(logging.Handler):
        def emit(self, record):
            if "stands still" in record.getMessage():
                reported.set()

    async def stand_still():
        watchdog.start()
        assert reported.wait(60), "this blocks the loop until it is reported"

    notice = Notice()
    logging.getLogger("device_bridge").addHandler(notice)
    watchdog = LoopWatchdog(look_s=0.01)
    try:
        with asyncio.Runner(loop_factory=watchdog.new_loop) as runner:
            runner.run(stand_still())
    finally:
        watchdog.stop()
        logging.getLogger("device_bridge").removeHandler(notice)
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert "test_loop_watchdog.py" in errors[0]
    assert "the event loop stood still for" in caplog.text
    metrics = {metric.name: metric.value for metric in watchdog.metrics()}
    assert metrics["bridge_loop_stalls_total"] >= 1
    assert metrics["bridge_loop_stalled_seconds_total"] >= 0.05


@pytest.mark.parametrize(("worked_s", "stalls"), [(0.9, 0), (1.5, 1)])
def test_a_loop_stands_still_while_it_works_and_not_while_it_waits(worked_s, stalls, caplog):
    now = 1000.0

    async def turn():
        nonlocal now
        await asyncio.sleep(0)  # the first turn has begun before the clock was looked at
        for _ in range(3):
            now += 100  # as by a wait for events
            watchdog._works()
            await asyncio.sleep(0)
        now += worked_s
        await asyncio.sleep(0)

    watchdog = LoopWatchdog(lambda: now)
    with asyncio.Runner(loop_factory=watchdog.new_loop) as runner:
        runner.run(turn())
    assert watchdog.stalls == stalls
    assert watchdog.stalled_s == (pytest.approx(worked_s) if stalls else 0)
    assert ("stood still for 1.5 s" in caplog.text) == bool(stalls)


@pytest.mark.clock("movable")
async def test_a_heartbeat_is_steady_until_it_is_stopped():
    loop = asyncio.get_running_loop()
    began, beats = loop.time(), []
    heartbeat = Heartbeat(lambda: beats.append(loop.time() - began), 0.5)
    heartbeat.start()
    await asyncio.sleep(1.75)
    heartbeat.stop()
    await asyncio.sleep(10)
    assert beats == [0, 0.5, 1.0, 1.5]
