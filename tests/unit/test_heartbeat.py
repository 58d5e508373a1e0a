"""The heartbeat, and the health check of images that reads it."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from device_bridge.runtime.loop_watchdog import beat

CHECK = Path(__file__).parents[2] / "deploy/images/healthy"


def is_healthy(file: Path) -> bool:
    return subprocess.run(["/bin/sh", CHECK], env={"HEARTBEAT_FILE": str(file)}, check=False).returncode == 0


async def beaten(file: Path, until: Callable[[], bool]) -> None:
    task = asyncio.create_task(beat(file, 0.005))
    async with asyncio.timeout(60):
        while not until():
            await asyncio.sleep(0.005)
    task.cancel()


async def test_a_service_whose_loop_turns_is_healthy(tmp_path: Path) -> None:
    file = tmp_path / "beat"
    await beaten(file, file.exists)
    assert is_healthy(file)


async def test_it_beats_on(tmp_path: Path) -> None:
    file = tmp_path / "beat"
    file.write_text("0\n")
    await beaten(file, lambda: file.read_text() not in ("", "0\n"))
    file.unlink()
    await beaten(file, file.exists)


@pytest.mark.parametrize(("age_s", "healthy"), [(0, True), (55, True), (65, False), (10_000, False)])
def test_an_old_beat_is_not_healthy(tmp_path: Path, age_s: int, healthy: bool) -> None:
    file = tmp_path / "beat"
    file.write_text(f"{int(time.clock_gettime(time.CLOCK_BOOTTIME)) - age_s}\n")
    assert is_healthy(file) is healthy


@pytest.mark.parametrize("content", [None, "", "never\n"])
def test_no_beat_is_not_healthy(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "beat"
    if content is not None:
        file.write_text(content)
    assert not is_healthy(file)


async def test_a_file_that_cannot_be_written_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        await beat(tmp_path / "none" / "beat", 0.001)
    assert "HEARTBEAT_FILE" in caplog.text
    assert "No such file" in caplog.text
