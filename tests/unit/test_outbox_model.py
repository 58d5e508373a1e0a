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

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from device_bridge import OutboxSettings
from device_bridge.clocks import Clocks
from device_bridge.outbox.delivery import NOT_SENDABLE, REFUSED, Delivery
from device_bridge.outbox.durable import Outbox
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
        self.box = None
        self.begin()

    def begin(self):
        clocks = Clocks(
            wall=lambda: 1_795_000_000 + self.loop.time() + self.wall_s, since_boot=self.loop.time, boot="boot"
        )
        options = OutboxSettings(
            durability=self.durability,
            memory_bytes=MEMORY,
            max_bytes=MOST_BYTES,
            max_messages=MOST_MESSAGES,
            spill_after=2,
        )
        self.box = Outbox(options, FOLDER, disk=self.disk, clocks=clocks)
        self.lives.append(self.put + 1)

        async def open_box():
            await self.box.open()
            delivery = Delivery(self.box, self.node, lambda entry: entry.body, WINDOW)
            self.sending = asyncio.ensure_future(delivery.run())

        with contextlib.suppress(Killed):
            self.loop.run_until_complete(open_box())
        self.opened_late |= bool(self.box.problem)

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
                if not self.box._has_room.is_set():
                    break  # a service reads no more either
                self.put += 1
                self.readings[self.put] = self.put % 3 + 1
                self.box.put(b"%d " % self.put + bytes(size), self.readings[self.put])

        self.passes(0, put)

    @rule(seconds=st.sampled_from((0.001, 0.1, 1, 5, 15)))
    def time_passes(self, seconds):
        self.passes(seconds)

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

    @rule(after=st.integers(0, 6), times=st.integers(1, 4), kind=st.sampled_from((errno.ENOSPC, errno.EIO)))
    def disk_fails(self, after, times, kind):
        self.disk.faults = [None] * after + [OSError(kind, "fault") for _ in range(times)]

    @rule(after=st.integers(0, 4))
    def something_unexpected(self, after):
        self.disk.faults = [None] * after + [KeyError("nobody thought of it")]

    @rule(seconds=st.sampled_from((-86_400.0, -1.0, 3600.0, 365 * 86_400.0)))
    def wall_clock_steps(self, seconds):
        self.wall_s += seconds

    @rule()
    def files_are_removed(self):
        for path in [path for path in self.disk.files if path.suffix == ".segment"]:
            del self.disk.files[path]
        self.disk.faults.clear()
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
            self.disk.faults = [OSError(errno.EROFS, "Read-only file system")]
        self.begin()

    @rule(after=st.integers(0, 5), seconds=st.sampled_from((0.0, 0.001, 2.5)))
    def kill(self, after, seconds):
        self.disk.faults = [None] * after + [Killed()]
        with contextlib.suppress(Killed):
            self.passes(seconds, self.box.spill)
        self.may_be_lost |= {int(entry.body.split()[0]) for entry in self.box._unwritten()}
        self.end()
        if self.box._disk._task is not None:
            self.box._disk._task.cancel()
        self.disk.kill()
        with contextlib.suppress(Killed):
            self.passes(0)
        self.begin()

    @invariant()
    def check_accounts(self):
        box = self.box
        assert box.read == box.delivered + box.buffered + box.dropped.total()
        assert box.buffered >= 0

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
            for _ in range(400):
                self.passes(1)
                self.node.up.set()
                self.passes(0.001)
                self.passes(0, lambda: self.node.answer(WINDOW))
                self.check_accounts()
                if self.box.is_empty:
                    break
            assert self.box.is_empty, "everything is delivered in the end"
            self.dropped += self.box.dropped.total()
            self.check_end()
        finally:
            self.sending.cancel()
            with contextlib.suppress(BaseException):
                self.loop.run_until_complete(self.box.close())
            self.loop.close()

    def check_end(self):
        first_time = list(dict.fromkeys(self.node.received))
        for begin, end in itertools.pairwise([*self.lives, self.put + 1]):
            life = [number for number in first_time if begin <= number < end]
            assert life == sorted(life), "in order within one life"
        if not self.opened_late:
            assert first_time == sorted(first_time), "in order"
        missing = set(range(1, self.put + 1)) - set(first_time)
        uncounted = sum(self.readings[number] for number in missing - self.may_be_lost)
        assert uncounted <= self.dropped, "lost and not counted"


class AlwaysMachine(Machine):
    durability = "always"


@pytest.mark.campaign
@pytest.mark.parametrize("machine", [Machine, AlwaysMachine])
def test_outbox_delivery_and_link_keep_their_promise_through_everything(machine):
    most = settings().max_examples
    run_state_machine_as_test(machine, settings=settings(max_examples=most // 5, stateful_step_count=30))


@pytest.mark.clock("movable")
async def test_a_message_over_which_the_node_ends_every_connection_is_given_up_at_last():
    box, node = Outbox(OutboxSettings(durability="memory")), Node()
    await box.open()
    node.poison = {3}
    for number in range(1, 7):
        box.put(b"%d " % number, 1)
    sending = asyncio.ensure_future(Delivery(box, node, lambda entry: entry.body).run())
    for second in range(200):
        await asyncio.sleep(1)
        if not node.connected and second % 5 == 0:
            node.up.set()
            await asyncio.sleep(0)
        node.answer(10)
    assert node.received == [1, 2, 4, 5, 6]
    assert box.dropped == {REFUSED: 1}
    assert box.is_empty
    sending.cancel()


@pytest.mark.clock("movable")
async def test_a_node_that_ends_every_connection_costs_no_message():
    box, node = Outbox(OutboxSettings(durability="memory")), Node()
    await box.open()
    for number in range(1, 7):
        box.put(b"%d " % number, 1)
    node.poison = set(range(1, 7))
    sending = asyncio.ensure_future(Delivery(box, node, lambda entry: entry.body).run())
    for second in range(600):
        await asyncio.sleep(1)
        node.up.set()
        await asyncio.sleep(0)
        if second == 500:
            node.poison = set()
        node.answer(10)
    assert node.received == [1, 2, 3, 4, 5, 6]
    assert not box.dropped
    sending.cancel()


@pytest.mark.clock("movable")
async def test_what_a_link_refuses_or_cannot_read_is_counted_and_holds_nothing_up():
    box, node = Outbox(OutboxSettings(durability="memory")), Node()
    await box.open()
    node.refuses = {2}

    def body(entry):
        if entry.number == 4:
            raise ValueError("not a message")
        return entry.body

    for number in range(1, 7):
        box.put(b"%d " % number, 1)
    sending = asyncio.ensure_future(Delivery(box, node, body).run())
    await asyncio.sleep(0.1)
    node.answer(10)
    await asyncio.sleep(0.1)
    assert node.received == [1, 3, 5, 6]
    assert box.dropped == {NOT_SENDABLE: 2}
    sending.cancel()
