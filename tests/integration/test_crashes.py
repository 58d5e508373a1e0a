"""SIGKILL at random points, hundreds of times: what was committed is delivered, in order, and little of it twice."""

import multiprocessing
import os
import random
import time

import pytest

from device_bridge.outbox.spilling import FLUSH_AFTER

from ..campaign import SEED, budget
from . import crash_worker

KILLS = int(os.environ.get("KILLS", budget(40, 400)))
WINDOW = 16


def lines(descriptor: int, buffer: bytearray, *, wait_for: bytes | None = None) -> list[bytes]:
    """What the worker has said; all of it to its end, or until it says what is waited for."""
    found = []
    while not wait_for or wait_for not in found:
        data = os.read(descriptor, 65536)
        if not data:
            break
        buffer += data
        *whole, rest = bytes(buffer).split(b"\n")
        found += whole
        buffer[:] = rest
    return found


@pytest.mark.campaign
@pytest.mark.timeout(600)
def test_killed_at_random_points(tmp_path):
    print(f"SEED={SEED} KILLS={KILLS}")
    rng = random.Random(SEED)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([crash_worker.__name__])
    put, committed, lives, firsts = 0, set(), [], set()
    for life in range(KILLS + 1):
        last = life == KILLS
        reader, writer = context.Pipe(duplex=False)
        worker = context.Process(
            target=crash_worker.run,
            args=(str(tmp_path), rng.randrange(2**31), put + 1, 0 if last else 10_000, writer),
        )
        worker.start()
        writer.close()
        firsts.add(put + 1)
        buffer = bytearray()
        said = lines(reader.fileno(), buffer, wait_for=b"R")
        if not last:
            time.sleep(rng.random() * 0.03)  # the moment of the kill is what is random here
            worker.kill()
        said += lines(reader.fileno(), buffer)
        worker.join()
        reader.close()
        assert worker.exitcode == (0 if last else -9)
        put_before = put
        put = max([put, *(int(line[1:]) for line in said if line.startswith(b"P"))])
        delivered = [int(line[1:]) for line in said if line.startswith(b"D")]
        on_disk = max([put_before, *(int(line[1:]) for line in said if line.startswith(b"C"))])
        committed |= set(range(put_before + 1, on_disk + 1))
        lives.append(delivered)
    assert said[-1] == b"E"

    seen, highest = set(), 0
    for delivered in lives:
        assert delivered == sorted(set(delivered)), f"order within one life, SEED={SEED}"
        again = [number for number in delivered if number in seen]
        assert len(again) <= WINDOW + FLUSH_AFTER + WINDOW, f"sent again beyond the window, SEED={SEED}"
        fresh = [number for number in delivered if number not in seen]
        if fresh:
            assert fresh[0] > highest or not seen, f"an old message comes late, SEED={SEED}"
            highest = max(highest, fresh[-1])
        seen |= set(delivered)
    missing = sorted(set(range(1, max(seen) + 1)) - seen)
    assert len(committed) > KILLS
    # Only what was put in and not yet committed when the kill came may be missing: the end of a life's numbers.
    for number in missing:
        assert number not in committed, f"{number} was on disk and is lost, SEED={SEED}"
        assert number + 1 in firsts or number + 1 in missing, f"a hole at {number}, SEED={SEED}"
