"""Outbox, delivery and link as one machine, on a clock that tests move, a disk that fails at any call, a node that
loses the connection at any message.

At every moment the accounting is exact and memory bounded; in the end every reading that was put is with the node, or
was counted as dropped, or was only in the memory of a process that was killed; each has one receipt, in order.
"""

import asyncio
import contextlib
import errno
import itertools
import random
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from device_bridge import OutboxSettings
from device_bridge.clocks import Clocks
from device_bridge.outbox.delivery import Delivery
from device_bridge.outbox.durable import Outbox
from device_bridge.outbox.memory import FULL
from device_bridge.outbox.storage.records import ENTRY, scan
from iofog_sdk import ConnectionLost, MessageError, Receipt

from ..movable_clock import MovableClockLoop
from ..simulated_disk import Killed, SimulatedDisk

FOLDER = Path("/state/box.outbox")
MEMORY, MOST_BYTES, MOST_MESSAGES = 8192, 1 << 20, 120
WINDOW = 16


class Node:
    """What is posted waits for its receipt; `poison` are bodies over which it ends the connection."""

    def __init__(self):
        self.up = asyncio.Event()
        self.up.set()
        self.waiting = []
        self.received = []
        self.receipts = 0
        self.refuses = set()
        self.poison = set()

    @property
    def connected(self):
        return self.up.is_set()

    async def wait_connected(self):
        await self.up.wait()

    async def wait_for_room(self):
        pass

    def post(self, body, done):
        number = int(body.split()[0])
        if number in self.refuses:
            done(MessageError("infotype", "must be something else"))
        elif not self.connected:
            done(ConnectionLost("gone"))
        else:
            self.waiting.append((number, done))

    def answer(self, count):
        for _ in range(min(count, len(self.waiting))):
            if self.waiting[0][0] in self.poison:
                self.lose()
                return
            number, done = self.waiting.pop(0)
            self.received.append(number)
            self.receipts += 1
            done(Receipt("id", 1))

    def lose(self, *, takes=0):
        """The connection ends; the node has taken some messages whose receipts are lost."""
        self.up.clear()
        waiting, self.waiting = self.waiting, []
        self.received += [number for number, _ in waiting[:takes] if number not in self.poison]
        for _, done in waiting:
            done(ConnectionLost("gone"))


def _is_message(record):
    return record is not None and record.kind == ENTRY and record.is_whole


class Machine(RuleBasedStateMachine):
    durability = "spill"

    def __init__(self):
        super().__init__()
        self.loop = MovableClockLoop()
        self.wall_s, self.rng = 0.0, random.Random(1)
        self.disk, self.node = SimulatedDisk(1), Node()
        self.put = 0
        self.readings = {}
        self.dropped = 0
        self.may_be_lost = set()
        self.opened_late = self.had_problem = False
        self.lives = []
        self.put_at = {}
        self.began_at = self.trouble_at = self.loop.time()
        """When the disk was last told to fail."""
        self.box = None
        self.begin()

    def begin(self):
        clocks = Clocks(
            wall=lambda: 1_795_000_000 + self.loop.time() + self.wall_s, since_boot=self.loop.time, boot="boot"
        )
        self.box = Outbox(self.options(), FOLDER, disk=self.disk, clocks=clocks)
        self.lives.append(self.put + 1)

        async def open_box():
            await self.box.open()
            delivery = Delivery(self.box, self.node, lambda entry: entry.body, WINDOW)
            self.sending = asyncio.ensure_future(delivery.run())

        is_killed = False
        try:
            self.loop.run_until_complete(open_box())
        except Killed:
            is_killed = True
        self.opened_late |= bool(self.box.problem)
        assert FULL not in self.box.dropped, "what was there had room before"
        return not is_killed

    def options(self, on_full="drop_oldest"):
        return OutboxSettings(
            durability=self.durability,
            memory_bytes=MEMORY,
            max_bytes=MOST_BYTES,
            max_messages=MOST_MESSAGES,
            spill_after=2,
            on_full=on_full,
        )

    def passes(self, seconds, act=lambda: None):
        """Does something on the loop, and lets so much time pass."""

        async def wait():
            act()
            await asyncio.sleep(seconds)

        self.loop.run_until_complete(wait())

    def end(self):
        self.dropped += self.box.dropped.total()
        self.sending.cancel()
        self.node.waiting.clear()

    @rule(count=st.integers(1, 40), size=st.sampled_from((10, 200, 1500)))
    def put_some(self, count, size):
        def put():
            for _ in range(count):
                if not self.box.has_room():
                    break  # a service reads no more either
                self.put_one(size)

        self.passes(0, put)

    def put_one(self, size):
        self.put += 1
        self.readings[self.put] = self.put % 3 + 1
        self.put_at[self.put] = self.loop.time()
        self.box.put(b"%d " % self.put + bytes(size), self.readings[self.put])

    @rule(size=st.sampled_from((10, 1500)))
    def fill(self, size):
        for _ in range(MOST_MESSAGES + 10):
            self.put_some(1, size)

    @rule()
    def put_one_too_large(self):
        def put():
            before = self.box.buffered, self.box.dropped.total()
            self.put_one(MOST_BYTES)
            assert (self.box.buffered, self.box.dropped.total() - self.readings[self.put]) == before, (
                "it costs itself"
            )

        self.passes(0, put)

    @rule(policy=st.sampled_from(("drop_oldest", "drop_newest", "pause_reading")))
    def overflow_policy_is(self, policy):
        async def configure():
            self.box.configure(self.options(policy))
            if policy != "pause_reading":
                await asyncio.wait_for(self.box.wait_room(), 60)

        self.loop.run_until_complete(configure())

    @rule(seconds=st.sampled_from((0.001, 0.1, 1, 5, 15)))
    def time_passes(self, seconds):
        self.passes(seconds)
        if self.loop.time() > self.trouble_at + 30:
            waiting = [int(entry.body.split()[0]) for entry in self.box._unwritten()]
            assert all(self.loop.time() - self.put_at[number] < 4 for number in waiting), "written after spill_after"

    @rule(count=st.integers(1, 60))
    def node_answers(self, count):
        self.passes(0)
        self.passes(0, lambda: self.node.answer(count))

    @rule(takes=st.integers(0, WINDOW))
    def connection_is_lost(self, takes):
        self.passes(0.01, lambda: self.node.lose(takes=takes))

    @rule()
    def connection_is_back(self):
        self.node.up.set()
        self.passes(0.01)

    @rule(behind=st.integers(0, 30))
    def node_refuses_a_message(self, behind):
        self.node.refuses.add(self.put + behind)

    @precondition(lambda self: len(self.node.poison) < 2)
    @rule(behind=st.integers(0, 10))
    def node_ends_connections_over_a_message(self, behind):
        self.node.poison.add(self.put + behind)

    def trouble(self, faults):
        self.trouble_at = self.loop.time()
        self.disk.faults = faults

    @rule(fails=st.booleans())
    def disk_cannot_be_read(self, fails):
        self.trouble([])
        self.disk.read_error = OSError(errno.EIO, "Input/output error") if fails else None

    @rule(after=st.integers(0, 6), times=st.integers(1, 4), kind=st.sampled_from((errno.ENOSPC, errno.EIO)))
    def disk_fails(self, after, times, kind):
        self.trouble([None] * after + [OSError(kind, "fault") for _ in range(times)])

    @rule(after=st.integers(0, 4))
    def something_unexpected(self, after):
        self.trouble([None] * after + [KeyError("nobody thought of it")])

    @rule(seconds=st.sampled_from((-86_400.0, -1.0, 3600.0, 365 * 86_400.0)))
    def wall_clock_steps(self, seconds):
        self.wall_s += seconds

    @precondition(lambda self: self.disk.read_error is None and not self.box.problem)  # else it is estimated
    @rule()
    def files_are_removed(self):
        for path in [path for path in self.disk.files if path.suffix == ".segment"]:
            del self.disk.files[path]
        self.trouble([])
        self.passes(20)

    @rule(opens_late=st.booleans())
    def restart(self, opens_late):
        self.disk.faults.clear()
        self.sending.cancel()

        async def close():
            closing = asyncio.ensure_future(self.box.close())
            await asyncio.sleep(0)
            self.node.answer(3)  # receipts come while it is closed
            await closing

        self.loop.run_until_complete(close())
        self.check_accounts()
        self.dropped += self.box.dropped.total()
        self.node.waiting.clear()
        assert self.disk.handles == 0
        if opens_late:
            self.trouble([OSError(errno.EROFS, "Read-only file system")])
        self.begin()

    @rule(after=st.integers(0, 5), seconds=st.sampled_from((0.0, 0.001, 2.5)), opening=st.integers(0, 30))
    def kill(self, after, seconds, opening):
        """So many calls of the disk later; and the next process again, so many calls after its begin."""
        self.trouble([None] * after + [Killed()])
        with contextlib.suppress(Killed):
            self.passes(seconds, self.box.spill)
        self.may_be_lost |= {int(entry.body.split()[0]) for entry in self.box._unwritten()}
        self.end()
        if self.box._disk._task is not None:
            self.box._disk._task.cancel()
        self.disk.kill()
        with contextlib.suppress(Killed):
            self.passes(0)
        self.disk.faults = [None] * opening + [Killed()]
        if not self.begin():
            self.disk.kill()
            self.begin()
        self.disk.faults.clear()

    @invariant()
    def check_accounts(self):
        box = self.box
        assert box.read == box.delivered + box.buffered + box.dropped.total()
        assert box.buffered >= 0
        assert 0 <= box.oldest_age_s() <= self.loop.time() - self.began_at + 0.001

    @invariant()
    def check_bounds(self):
        used = self.box.bytes_in_memory
        self.had_problem = bool(self.box.problem) or (self.had_problem and used > 2 * MEMORY)
        assert used <= 4 * MEMORY + (8 << 20 if self.had_problem else 0), "until what came without a disk is sent"
        assert self.disk.used <= MOST_BYTES * 1.125 + 2 * 64 * 1024
        assert self.disk.handles < 40

    def teardown(self):
        try:
            self.disk.faults.clear()
            self.node.up.set()
            self.node.poison = {number for number in self.node.poison if number <= self.put}
            for second in range(400):
                if (
                    second % 20 == 0
                ):  # a device goes on: with one message alone nobody knows whether that is the cause
                    self.put_some(1, 10)
                self.passes(1)
                self.node.up.set()
                self.passes(0.001)
                self.passes(0, lambda: self.node.answer(WINDOW))
                self.check_accounts()
                if self.box.is_empty and (not self.box.problem or second > 60):
                    break  # what could not be opened has been by now, or is given up
            assert self.box.is_empty, "everything is delivered in the end"
            self.dropped += self.box.dropped.total()
            self.check_end()
        finally:
            self.sending.cancel()
            with contextlib.suppress(BaseException):
                self.loop.run_until_complete(self.box.close())
            self.loop.close()

    def kept_aside(self):
        """What is in files that could not be read and are kept under another name."""
        found = set()
        for content in [content for path, content in self.disk.files.items() if "set-aside" in path.name]:
            records = scan(lambda size, at, data=content.data: bytes(data[at : at + size]), len(content.data))
            found |= {int(record.payload.split()[0]) for _, _, record in records if _is_message(record)}
        return found

    def check_end(self):
        first_time = list(dict.fromkeys(self.node.received))
        for begin, end in itertools.pairwise([*self.lives, self.put + 1]):
            life = [number for number in first_time if begin <= number < end]
            assert life == sorted(life), "in order within one life"
        if not self.opened_late:
            assert first_time == sorted(first_time), "in order"
        missing = set(range(1, self.put + 1)) - set(first_time)
        uncounted = sum(self.readings[number] for number in missing - self.may_be_lost - self.kept_aside())
        assert uncounted <= self.dropped, "lost and not counted"


class AlwaysMachine(Machine):
    durability = "always"
