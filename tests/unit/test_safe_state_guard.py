"""The order in which outputs go to their safe state, and the process that brings them there."""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import pytest

from device_bridge import DeviceError
from device_bridge.control import guard_process
from device_bridge.control.guard_process import SafeAct, execute, offs_first, pack
from device_bridge.control.safe_state_guard import SafeStateGuard


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.002)


def test_offs_come_first_and_a_doubtful_off_keeps_its_group_off():
    outputs = {"a": (True, "g"), "b": (False, "g"), "c": (True, ""), "d": (False, ""), "e": (True, "h")}

    def order(*failing):
        plan, found = offs_first(outputs, lambda name: outputs[name][0], lambda name: outputs[name][1]), []
        with contextlib.suppress(StopIteration):
            name, on = next(plan)
            while True:
                found.append((name, on))
                name, on = plan.send(name not in failing)
        return found

    assert order() == [("b", False), ("d", False), ("a", True), ("c", True), ("e", True)]
    assert order("b") == [("b", False), ("d", False), ("a", False), ("c", True), ("e", True)]
    assert order("d")[2:] == [("a", True), ("c", True), ("e", True)]


def test_of_two_that_would_go_on_in_a_group_one_does():
    plan = offs_first(["a", "b"], lambda _: True, lambda _: "g")
    assert [next(plan), plan.send(True)] == [("a", True), ("b", False)]


def test_the_guard_writes_offs_first_and_no_on_beside_a_failed_off(tmp_path):
    path = tmp_path / "line"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    readonly = os.open(path, os.O_RDONLY)
    safe_on = SafeAct(fd, 0, b"a off\n", b"a on\n", True, "g")
    alone = SafeAct(fd, 0, b"c off\n", b"c on\n", True)
    try:
        assert execute([alone, safe_on, SafeAct(fd, 0, b"b off\n", b"b on\n", False, "g")])
        assert path.read_text() == "b off\nc on\na on\n"
        os.truncate(path, 0)
        told = []
        assert not execute([alone, safe_on, SafeAct(readonly, 0, b"b off\n", b"b on\n", False, "g")], told.append)
        assert path.read_text() == "c on\na off\n"
        assert ["cannot be switched off" in text for text in told] == [True]
    finally:
        os.close(fd)
        os.close(readonly)


@contextlib.asynccontextmanager
async def guarding(timeout_s=10.0):
    """A guard of one output, and what is read where that is written."""
    read_fd, write_fd = os.pipe()
    os.set_blocking(read_fd, False)
    guard = SafeStateGuard(timeout_s)
    try:
        await guard.protect([SafeAct(write_fd, 0, b"off", b"on")])
        yield guard, read_fd, write_fd
    finally:
        await guard.stop()
        os.close(write_fd)
        os.close(read_fd)


async def test_a_guard_that_has_died_is_started_again_and_one_that_dies_at_once_is_an_error(caplog):
    async with guarding() as (guard, read_fd, write_fd):
        running = asyncio.ensure_future(guard.keep_running())
        first = guard.pid
        os.kill(first, signal.SIGKILL)
        await until(lambda: guard.pid not in (first, None))
        assert guard.restarts == 1
        assert "the watchdog process has died (status -9)" in caplog.text
        os.kill(guard.pid, signal.SIGKILL)
        with pytest.raises(DeviceError, match="dies as soon as it is started"):
            await asyncio.wait_for(running, 20)
        await guard.protect([SafeAct(write_fd, 0, b"off", b"on")])  # another life of the service
        await guard.stop(act=True)
        assert os.read(read_fd, 100) == b"off"


async def test_a_guard_that_does_not_answer_is_killed(caplog):
    async with guarding(0.2) as (guard, _, _):
        running = asyncio.ensure_future(guard.keep_running())
        first = guard.pid
        os.kill(first, signal.SIGSTOP)
        await until(lambda: guard.pid not in (first, None))
        assert "does not answer" in caplog.text
        running.cancel()


async def test_a_guard_ends_without_acting_when_it_is_asked_to():
    async with guarding() as (guard, read_fd, _):
        await guard.stop()
        with pytest.raises(BlockingIOError):
            os.read(read_fd, 100)


HANGING = """
import asyncio, os, sys, time
from device_bridge.control import SafeAct, SafeStateGuard

async def main():
    guard = SafeStateGuard(float(sys.argv[2]))
    await guard.protect([SafeAct(int(sys.argv[1]), 0, b"off", b"on")])
    print("guarded", flush=True)
    await asyncio.sleep(float(sys.argv[3]))
    print("hangs", flush=True)
    time.sleep(60)

asyncio.run(main())
"""


async def test_a_service_that_stands_still_is_killed_before_its_outputs_are_made_safe():
    read_fd, write_fd = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HANGING, str(write_fd), "0.5", "2"),
        pass_fds=[write_fd],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(write_fd)
    try:
        assert await process.stdout.readline() == b"guarded\n"
        assert await process.stdout.readline() == b"hangs\n", "not killed while its loop turns"
        assert await asyncio.to_thread(os.read, read_fd, 100) == b"off"
        assert await asyncio.wait_for(process.wait(), 20) == -signal.SIGKILL
        assert b"stood still for 0.5 s and is killed" in await process.stderr.read()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(read_fd)


async def test_a_blocked_log_does_not_delay_the_safe_state(tmp_path):
    """The reader of standard error has stopped reading: a write there would wait for ever."""
    file = os.open(tmp_path / "line", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    readonly = os.open(tmp_path / "line", os.O_RDONLY)
    log_end, log_fd = os.pipe()
    os.set_blocking(log_fd, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(log_fd, b"x" * 4096)
    os.set_blocking(log_fd, True)
    acts = pack([SafeAct(readonly, 0, b"a", b"A"), SafeAct(file, 0, b"b", b"B")])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", guard_process.__file__, acts, "0", str(os.getpid()), "0"),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=log_fd,
        pass_fds=[file, readonly],
    )
    try:
        await until(lambda: (tmp_path / "line").read_text().startswith("b"))
    finally:
        process.kill()
        await process.wait()
        for fd in (file, readonly, log_end, log_fd):
            os.close(fd)


async def test_memory_that_is_short_ends_the_service_before_the_guard():
    async with guarding() as (guard, _, _):

        def scores():
            return [int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for pid in (guard.pid, os.getpid())]

        await until(lambda: scores()[0] < scores()[1])
