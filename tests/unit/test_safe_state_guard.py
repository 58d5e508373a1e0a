"""The order in which outputs go to their safe state, and the process that brings them there."""

import asyncio
import contextlib
import os
import signal

from device_bridge.control.safe_state_guard import SafeAct, SafeStateGuard, execute, offs_first


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


def test_the_guard_writes_offs_first_and_no_on_beside_a_failed_off(tmp_path, capfd):
    path = tmp_path / "line"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    readonly = os.open(path, os.O_RDONLY)
    safe_on = SafeAct(fd, 0, b"a off\n", b"a on\n", True, "g")
    alone = SafeAct(fd, 0, b"c off\n", b"c on\n", True)
    try:
        assert execute([alone, safe_on, SafeAct(fd, 0, b"b off\n", b"b on\n", False, "g")])
        assert path.read_text() == "b off\nc on\na on\n"
        os.truncate(path, 0)
        assert not execute([alone, safe_on, SafeAct(readonly, 0, b"b off\n", b"b on\n", False, "g")])
        assert path.read_text() == "c on\na off\n"
        assert "cannot be switched off" in capfd.readouterr().err
    finally:
        os.close(fd)
        os.close(readonly)


async def test_a_guard_that_dies_at_once_is_a_problem():
    read_fd, write_fd = os.pipe()
    guard = SafeStateGuard()
    await guard.protect([SafeAct(write_fd, 0, b"off", b"on")])
    running = asyncio.ensure_future(guard.keep_running())
    try:
        for _ in range(2):
            pid = guard.pid
            os.kill(pid, signal.SIGKILL)
            await until(lambda pid=pid: guard.problem or guard.pid not in (pid, None))
        assert "dies as soon as it is started" in guard.problem
        await until(lambda: not guard.problem)
    finally:
        running.cancel()
        await guard.stop(act=True)
        os.close(write_fd)
    assert os.read(read_fd, 100) == b"off"
    os.close(read_fd)
