"""Processes that share an I2C bus, whose chip is emulated by one more process."""

import asyncio
import contextlib
import json
import sys
from pathlib import Path

WORKER = Path(__file__).with_name("i2c_worker.py")
EXCHANGES = 150


@contextlib.asynccontextmanager
async def emulated_bus():
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "climate_sensor.emulator"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        told = json.loads(await asyncio.wait_for(process.stdout.readline(), 60))
        yield told["settings"]["bus"]["path"]
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 60) == 0


async def work_together(path, *lock_directories):
    """Each worker's counts of torn exchanges and of waits."""
    processes = []
    for n, folder in enumerate(lock_directories):
        folder.mkdir(exist_ok=True)
        processes.append(
            await asyncio.create_subprocess_exec(
                *(sys.executable, str(WORKER), path, str(folder), str(0x20 + 0x20 * n), str(EXCHANGES)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
        )
    for process in processes:
        assert await asyncio.wait_for(process.stdout.readline(), 60) == b"ready\n"
    told = await asyncio.gather(*(asyncio.wait_for(process.communicate(b"go\n"), 60) for process in processes))
    assert [process.returncode for process in processes] == [0] * len(processes)
    return [[int(word) for word in out.split()] for out, _ in told]


async def test_no_exchange_is_torn(tmp_path):
    async with emulated_bus() as path:
        counts = await work_together(path, tmp_path / "locks", tmp_path / "locks")
    assert [torn for torn, _ in counts] == [0, 0]
    assert sum(waits for _, waits in counts) > 0, "they did meet"


async def test_without_a_lock_in_common_exchanges_are_torn(tmp_path):
    async with emulated_bus() as path:
        counts = await work_together(path, tmp_path / "one", tmp_path / "two")
    assert sum(torn for torn, _ in counts) > 0, "else the test above could not fail"
