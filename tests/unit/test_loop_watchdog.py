"""A loop that stands still is noticed, with the place where it stands."""

import asyncio
import logging
import threading

import pytest

from device_bridge.control import Heartbeat
from device_bridge.runtime import loop_watchdog as module
from device_bridge.runtime.loop_watchdog import LoopWatchdog


async def test_a_loop_that_stands_still_is_reported_with_its_place_and_counted(monkeypatch, caplog):
    monkeypatch.setattr(module, "_BEAT_S", 0.01)
    monkeypatch.setattr(module, "STALL_S", 0.05)
    reported = threading.Event()

    class Notice(logging.Handler):
        def emit(self, record):
            if "stands still" in record.getMessage():
                reported.set()

    notice = Notice()
    logging.getLogger("device_bridge").addHandler(notice)
    watchdog = LoopWatchdog()
    watchdog._heartbeat = Heartbeat(watchdog._beat, 0.01)
    watchdog.start()
    try:
        assert reported.wait(60), "this blocks the loop until it is reported"
        async with asyncio.timeout(60):
            while not watchdog.stalls:
                await asyncio.sleep(0.001)
    finally:
        watchdog.stop()
        logging.getLogger("device_bridge").removeHandler(notice)
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert "test_loop_watchdog.py" in errors[0]
    assert "the event loop stood still for" in caplog.text
    metrics = {metric.name: metric.value for metric in watchdog.metrics()}
    assert metrics["bridge_loop_stalls_total"] >= 1
    assert metrics["bridge_loop_stalled_seconds_total"] >= 0.05


@pytest.mark.clock("movable")
async def test_a_loop_that_turns_is_not_reported(caplog):
    watchdog = LoopWatchdog(asyncio.get_running_loop().time)
    watchdog._heartbeat.start()
    await asyncio.sleep(100)
    watchdog.stop()
    assert (watchdog.stalls, caplog.text) == (0, "")


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
