"""The outbox on disk: bytes and syncs of a message, and memory with the node away."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from device_bridge import OutboxSettings
from device_bridge.outbox.durable import Outbox

from .bed import rss_mib
from .report import Row, at_most, cannot_run

_BODY = bytes(200)


def rows(quick: bool) -> list[Row]:
    """Disk and memory rows."""
    build = Path("build")
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=build) as folder:
        written, count = _child(folder, "cycle", 2_000 if quick else 10_000)
        ratio = written / (count * len(_BODY))
        table = [
            at_most("bytes to disk per byte of message, groups of 10, sync full", ratio, "x", "payload 200 B", 10)
        ]
    goal = "<= 0.12 syncs/message"
    if shutil.which("strace") is None:
        table.append(cannot_run("syncs per message", "strace is missing (apt-get install strace)", goal))
    else:
        with tempfile.TemporaryDirectory(dir=build) as folder:
            syncs = _syncs(folder, 2_000)
            table.append(
                at_most("syncs per message, groups of 10, sync full", syncs / 2_000, "", "counted by strace", 0.12)
            )
    with tempfile.TemporaryDirectory(dir=build) as folder:
        total = 100_000 if quick else 1_000_000
        grown, count = _child(folder, "away", total)
        name = f"memory growth with the node away, {count} readings"
        table.append(at_most(name, grown / 1024, "MiB", "after the first 20 000", 2))
    return table


def _command(folder: str, what: str, count: int) -> list[str]:
    return [sys.executable, "-m", "tests.benchmarks.durable", folder, what, str(count)]


def _child(folder: str, what: str, count: int) -> tuple[float, int]:
    output = subprocess.run(_command(folder, what, count), check=True, capture_output=True, text=True).stdout
    value, number = output.split()
    return float(value), int(number)


def _syncs(folder: str, count: int) -> int:
    trace = ["strace", "-f", "-c", "-e", "trace=fsync,fdatasync"]
    text = subprocess.run(
        [*trace, *_command(folder, "cycle", count)], check=True, capture_output=True, text=True
    ).stderr
    calls = [line.split() for line in text.splitlines() if line.endswith(("fsync", "fdatasync"))]
    return sum(int(fields[3]) for fields in calls)  # % time, seconds, usecs/call, calls, errors, name


async def _cycle(folder: str, count: int) -> None:
    """Puts in groups of ten, each delivered while the next is written."""
    box = Outbox(OutboxSettings(durability="always", sync="full"), Path(folder) / "box.outbox")
    await box.open()
    before = _written()
    for _ in range(count // 10):
        for _ in range(10):
            box.put(_BODY, 1)
        await box.wait_unsent()
        while box.take():
            box.acknowledge()
    await box.close()
    print(_written() - before, count)


def _written() -> int:
    text = Path("/proc/self/io").read_text()
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith("write_bytes")))


async def _away(folder: str, count: int) -> None:
    box = Outbox(OutboxSettings(max_messages=count, max_bytes=2**40, directory=folder), Path(folder) / "box.outbox")
    await box.open()
    start = 0.0
    for number in range(count):
        box.put(b"%08d" % number + _BODY, 1)
        if number % 200 == 199:
            while box.bytes_in_memory > 2 * box.settings.memory_bytes:
                await asyncio.sleep(0.001)  # a reader of a device does not wait for the disk either
            await asyncio.sleep(0)  # one turn for what waits for the disk
        if number == 20_000:
            start = rss_mib(os.getpid())
    await box.wait_written()
    print((rss_mib(os.getpid()) - start) * 1024, box.buffered)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run({"cycle": _cycle, "away": _away}[sys.argv[2]](sys.argv[1], int(sys.argv[3])))
