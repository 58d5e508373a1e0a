"""I2C buses: transfers, errors, retries, locks, multiplexers, scan; against an emulated bus."""

import asyncio
import contextlib
import errno
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_bridge import DeviceError, DeviceErrorKind
from device_bridge.buses import I2cBus, I2cSettings
from device_bridge.buses.i2c import owner as i2c_owner
from device_bridge.buses.i2c.locks import FileLock, Part, TaskLock
from simulated_devices import NoAcknowledge, RegisterChip, SimulatedI2cBus

from ..services.serving import reachable

IN_PROCESS_TOO = pytest.mark.clock("movable", "real")


class Recorder(RegisterChip):
    """Registers, and what was done to them."""

    def __init__(self):
        super().__init__({0: 0x12, 1: 0x34, 2: 0x56})
        self.seen = []

    def write(self, data):
        self.seen.append(data)
        super().write(data)

    def read(self, count):
        self.seen.append(count)
        return super().read(count)


class Fails(RegisterChip):
    """Acknowledges only after some attempts."""

    def __init__(self, times):
        super().__init__({0: 7})
        self.left = times

    def write(self, data):
        if self.left:
            self.left -= 1
            raise NoAcknowledge
        super().write(data)


@contextlib.asynccontextmanager
async def bus_with(folder, *chips, **settings):
    """A bus with chips given as address and chip, or address, chip and multiplexer's channel; and a way to it."""
    simulated = SimulatedI2cBus(folder / "bus")
    for n, (address, chip, *behind) in enumerate(chips):
        simulated.add(f"chip{n}", address, chip, *behind)
    async with reachable(simulated):
        bus = I2cBus(I2cSettings(path=f"sim:{folder / 'bus'}", **settings))
        await bus.open()
        try:
            yield simulated, bus
        finally:
            await bus.close()


@IN_PROCESS_TOO
async def test_registers_are_read_and_written(tmp_path):
    async with bus_with(tmp_path, (0x40, Recorder())) as (_simulated, bus):
        device = bus.device(0x40)
        assert await device.write_read(b"\x00", 3) == b"\x12\x34\x56"
        assert await device.read_byte(1) == 0x34
        assert await device.read_word(0) == 0x3412
        await device.write_byte(5, 0x99)
        await device.write_word(6, 0x1234)
        assert await device.write_read(b"\x05", 3) == b"\x99\x34\x12"
        await device.write_block(0x10, b"abc")
        assert await device.read_block(0x10) == b"abc"
        await device.write(b"\x01")
        assert await device.read(1) == b"\x34"


async def test_a_block_longer_than_allowed_is_garbled(tmp_path):
    async with bus_with(tmp_path, (0x40, RegisterChip({0: 33}))) as (_, bus):
        with pytest.raises(DeviceError, match="33 bytes is announced") as caught:
            await bus.device("0x40").read_block(0)
        assert caught.value.kind is DeviceErrorKind.GARBLED


@pytest.mark.parametrize("address", [0x07, 0x78, "0x78", -1])
def test_reserved_addresses_are_refused(address):
    with pytest.raises(ValueError, match="0x08 to 0x77"):
        I2cBus(I2cSettings()).device(address)


@pytest.mark.parametrize("channel", [-1, 8])
def test_a_multiplexer_has_eight_channels(channel):
    with pytest.raises(ValueError, match="0 to 7"):
        I2cBus(I2cSettings()).channel(0x70, channel)


@IN_PROCESS_TOO
async def test_no_answer_is_reported_with_what_it_means(tmp_path):
    async with bus_with(tmp_path) as (_simulated, bus):
        with pytest.raises(DeviceError, match=r"0x40: no acknowledge: nothing answers; its power") as caught:
            await bus.device(0x40).read(1)
        assert caught.value.kind is DeviceErrorKind.NO_ACKNOWLEDGE
        counts = bus.counters()
        assert (counts["i2c_no_acknowledge"], counts["i2c_retries"], counts["i2c_transfers"]) == (2, 1, 2)


@IN_PROCESS_TOO
async def test_a_chip_that_was_busy_is_asked_again(tmp_path):
    async with bus_with(tmp_path, (0x40, Fails(1))) as (_, bus):
        assert await bus.device(0x40).read_byte(0) == 7
        assert bus.counters()["i2c_retries"] == 1


@IN_PROCESS_TOO
async def test_a_stuck_bus_is_a_timeout_and_recovers(tmp_path):
    async with bus_with(tmp_path, (0x40, Recorder())) as (simulated, bus):
        simulated.execute("stuck on")
        with pytest.raises(DeviceError, match="held low") as caught:
            await bus.device(0x40).read_byte(0)
        assert caught.value.kind is DeviceErrorKind.TIMEOUT
        simulated.execute("stuck off")
        assert await bus.device(0x40).read_byte(0) == 0x12


@IN_PROCESS_TOO
async def test_a_chip_that_stretches_the_clock_costs_the_others_its_timeout_at_most(tmp_path):
    async with bus_with(tmp_path, (0x40, Recorder()), (0x41, Recorder()), timeout=0.5) as (simulated, bus):
        simulated.execute("stretch chip0 30")
        slow = asyncio.ensure_future(bus.device(0x40).read_byte(0))
        with pytest.raises(DeviceError) as caught:
            await slow
        assert caught.value.kind is DeviceErrorKind.TIMEOUT
        assert await bus.device(0x41).read_byte(0) == 0x12, "while the other still stretches"
        simulated.execute("stretch chip0 0")
        assert await bus.device(0x40).read_byte(0) == 0x12, "and not a late answer to somebody else"


@IN_PROCESS_TOO
async def test_the_emulator_going_away_is_gone_and_its_absence_not_found(tmp_path):
    async with bus_with(tmp_path, (0x40, Recorder())) as (simulated, bus):
        assert await bus.device(0x40).read_byte(0) == 0x12
        simulated.execute("disconnect")
        with pytest.raises(DeviceError) as caught:
            await bus.device(0x40).read_byte(0)
        assert caught.value.kind is DeviceErrorKind.GONE
        assert await bus.device(0x40).read_byte(0) == 0x12, "connected again"


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [
        ("/dev/i2c-99", DeviceErrorKind.NOT_FOUND, "dtparam=i2c_arm=on"),
        ("/dev/null", DeviceErrorKind.NOT_FOUND, "not an I2C bus"),
        ("sim:/nowhere/bus", DeviceErrorKind.NOT_FOUND, "there is no such bus"),
    ],
)
async def test_no_such_bus_says_what_to_do(path, kind, words):
    with pytest.raises(DeviceError, match=words) as caught:
        await I2cBus(I2cSettings(path=path)).open()
    assert caught.value.kind is kind


async def test_a_lock_folder_that_is_not_there_is_reported(tmp_path):
    async with bus_with(tmp_path) as (_, bus):
        other = I2cBus(I2cSettings(path=bus.settings.path, lock_directory=str(tmp_path / "none")))
        await bus.close()
        with pytest.raises(DeviceError, match=r"cannot be locked: No such file or directory; bus\.lock_directory"):
            await other.open()


async def test_what_the_kernel_forbids_says_what_to_do(monkeypatch):
    def forbidden(path, timeout_s):
        raise PermissionError(errno.EPERM, "Operation not permitted", path)

    monkeypatch.setattr(i2c_owner, "open_adapter", forbidden)
    with pytest.raises(DeviceError, match="the container has no rule for this device") as caught:
        await I2cBus(I2cSettings(path="/dev/i2c-1")).open()
    assert caught.value.kind is DeviceErrorKind.PERMISSION


async def test_a_bus_that_is_not_open_says_so():
    with pytest.raises(DeviceError, match="not open"):
        await I2cBus(I2cSettings()).device(0x40).read(1)


@IN_PROCESS_TOO
async def test_an_exchange_is_not_interrupted_and_others_go_on(tmp_path):
    first, second = Recorder(), Recorder()
    async with bus_with(tmp_path, (0x40, first), (0x41, second)) as (_, bus):
        intruder = None
        async with bus.device(0x40).transaction() as device:
            await device.write(b"\x01")
            intruder = asyncio.ensure_future(bus.device(0x40).write(b"\x02"))
            assert await bus.device(0x41).read_byte(0) == 0x12
            assert await device.read(1) == b"\x34"
        await intruder
        assert first.seen == [b"\x01", 1, b"\x02"]


async def test_the_whole_bus_can_be_held(tmp_path):
    first, second = Recorder(), Recorder()
    async with bus_with(tmp_path, (0x40, first), (0x41, second, (0x70, 2))) as (_simulated, bus):
        async with bus.transaction() as held:
            intruder = asyncio.ensure_future(bus.device(0x40).write(b"\x02"))
            await held.device(0x40).write(b"\x01")
            assert await held.channel(0x70, 2).device(0x41).read_byte(0) == 0x12
            assert await held.scan() == [0x40, 0x70]
            assert not intruder.done()
        await intruder
        assert first.seen[-1] == b"\x02"


async def test_two_who_open_a_path_share_one_owner(tmp_path):
    async with bus_with(tmp_path, (0x40, Recorder())) as (_, bus):
        other = I2cBus(bus.settings)
        await other.open()
        assert await other.device(0x40).read_byte(0) == 0x12
        assert bus.counters()["i2c_transfers"] == 1
        await other.close()
        assert await bus.device(0x40).read_byte(0) == 0x12, "the last one closes it"


async def test_a_wait_that_is_too_long_is_an_error_and_nothing_stays_locked(tmp_path):
    async with bus_with(tmp_path, (0x40, Recorder()), lock_timeout=0.1) as (_, bus):
        lock = FileLock(f"{tmp_path}/bus.lock", make=False)
        assert lock.acquire(Part(0x40, 0x41))
        with pytest.raises(DeviceError, match=r"another process keeps it for more than 0\.1 s") as caught:
            await bus.device(0x40).read_byte(0)
        assert caught.value.kind is DeviceErrorKind.BUSY
        lock.close()
        assert await bus.device(0x40).read_byte(0) == 0x12
        async with bus.device(0x40).transaction():
            with pytest.raises(DeviceError, match="a task of this service keeps it"):
                await bus.device(0x40).read_byte(0)
        assert await bus.device(0x40).read_byte(0) == 0x12
        assert bus.counters()["i2c_lock_waits"] == 1


@pytest.mark.clock("movable")
async def test_giving_up_in_the_middle_leaves_the_device_to_the_next_only_when_it_is_free(tmp_path):
    chip = Recorder()
    async with bus_with(tmp_path, (0x40, chip), timeout=1) as (simulated, bus):
        simulated.execute("stretch chip0 0.2")
        abandoned = asyncio.ensure_future(bus.device(0x40).write(b"\x01"))
        while not simulated._busy.locked():
            await asyncio.sleep(0.001)
        abandoned.cancel()
        await asyncio.wait((abandoned,))
        probe = FileLock(f"{tmp_path}/bus.lock", make=False)
        assert not probe.acquire(Part(0x40, 0x41)), "its transfer is still on the wires"
        probe.close()
        assert await bus.device(0x40).write_read(b"\x02", 1) == b"\x56"
        assert chip.seen == [b"\x01", b"\x02", 1]


async def test_the_least_gap_is_kept(tmp_path):
    async with bus_with(tmp_path, (0x40, Recorder()), gap=0.05) as (_, bus):
        start = time.monotonic()
        for _ in range(3):
            await bus.device(0x40).read(1)
        assert time.monotonic() - start >= 0.1
        quick = bus.device(0x40, gap_s=0)
        await quick.read(1)


@IN_PROCESS_TOO
async def test_the_same_address_behind_two_channels_and_before_them(tmp_path):
    chips = [RegisterChip({0: n}) for n in (1, 2, 3)]
    placed = ((0x40, chips[0], (0x70, 0)), (0x40, chips[1], (0x70, 5)), (0x40, chips[2], (0x71, 5)))
    async with bus_with(tmp_path, *placed) as (simulated, bus):
        behind = [bus.channel(0x70, 0), bus.channel(0x70, 5), bus.channel("0x71", 5)]
        for _ in range(5):
            found = await asyncio.gather(*(part.device(0x40).read_byte(0) for part in behind))
            assert found == [1, 2, 3]
        with pytest.raises(DeviceError, match="no acknowledge"):
            await bus.device(0x40).read_byte(0)
        with pytest.raises(DeviceError, match=r"0x70\.1 0x40"):
            await bus.channel(0x70, 1).device(0x40).read_byte(0)
        assert [mux.channels for mux in simulated._multiplexers.values()] == [0, 0]


@IN_PROCESS_TOO
async def test_a_scan_finds_every_device_and_writes_nothing(tmp_path):
    chips = [Recorder(), Recorder(), Recorder()]
    placed = ((0x18, chips[0]), (0x77, chips[1]), (0x48, chips[2], (0x70, 1)))
    async with bus_with(tmp_path, *placed) as (_, bus):
        assert await bus.scan() == [0x18, 0x70, 0x77]
        assert await bus.channel(0x70, 1).scan() == [0x18, 0x48, 0x70, 0x77]
        assert all(not [written for written in chip.seen if isinstance(written, bytes)] for chip in chips)


async def test_the_loop_goes_on_while_a_transfer_lasts(tmp_path):
    async with bus_with(tmp_path, (0x40, Recorder()), timeout=2) as (simulated, bus):
        simulated.execute("stretch chip0 0.1")
        reading = asyncio.ensure_future(bus.device(0x40).read_byte(0))
        turns = 0
        while not reading.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns > 5
        assert threading.current_thread() is threading.main_thread()


async def test_an_adapter_that_never_returns_does_not_hang_the_service(tmp_path, monkeypatch):
    release = threading.Event()

    class Hangs:
        async def transfer(self, address, messages):
            release.wait(20)
            return [b"\0"]

        def close(self):
            pass

    monkeypatch.setattr(i2c_owner, "open_adapter", lambda path, timeout_s: Hangs())
    monkeypatch.setattr(i2c_owner, "_GRACE_S", 0.6)
    bus = I2cBus(I2cSettings(path="sim:hangs", lock_directory=str(tmp_path), timeout=0.1, lock_timeout=5))
    await bus.open()
    try:
        with pytest.raises(DeviceError, match="did not end within"):
            await bus.device(0x40).read(1)
        with pytest.raises(DeviceError, match="has not ended an earlier transfer"):
            await bus.device(0x41).read(1)
        release.set()
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(DeviceError):
                    assert await bus.device(0x41).read(1) == b"\0"
                    break
    finally:
        release.set()
        await bus.close()


parts = st.tuples(st.integers(0, 20), st.integers(1, 6)).map(lambda p: Part(p[0], p[0] + p[1]))


@given(st.lists(st.tuples(parts, st.booleans()), max_size=25))
def test_parts_that_overlap_are_never_held_together_and_everybody_gets_his(wanted):
    async def check():
        lock, held, done = TaskLock(), [], []

        async def use(n, part):
            await lock.acquire(part)
            assert not any(part.overlaps(other) for other in held)
            held.append(part)
            try:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                done.append(n)
            finally:
                held.remove(part)
                lock.release(part)

        tasks = [asyncio.ensure_future(use(n, part)) for n, (part, _) in enumerate(wanted)]
        await asyncio.sleep(0)
        left = [task for task, (_, leaves) in zip(tasks, wanted, strict=True) if leaves and not task.done()]
        for task in left:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(result is None or isinstance(result, asyncio.CancelledError) for result in results)
        survivors = {n for n, (_, leaves) in enumerate(wanted) if not leaves}
        assert survivors <= set(done)

    asyncio.run(asyncio.wait_for(check(), 60))


def test_locks_of_two_files_open_exclude_each_other_part_by_part(tmp_path):
    path = str(tmp_path / "lock")
    one, two = FileLock(path, make=True), FileLock(path, make=False)
    assert one.acquire(Part(1, 2))
    assert two.acquire(Part(2, 3))
    assert not two.acquire(Part(0, 100))
    one.release(Part(1, 2))
    assert two.acquire(Part(0, 100))
    assert not one.acquire(Part(50, 51))
    two.close()
    assert one.acquire(Part(50, 51))
    one.close()
    with pytest.raises(FileNotFoundError):
        FileLock(str(tmp_path / "none"), make=False)
