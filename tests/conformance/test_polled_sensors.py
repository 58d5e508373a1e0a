"""What every polled sensor on an I2C bus has to do, whatever its chip."""

import asyncio
import contextlib
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device_bridge import Quality
from device_bridge.buses.i2c import owner as i2c_owner
from device_bridge.buses.i2c.locks import FileLock
from simulated_devices import SimulatedI2cBus

from ..campaign import SEED, budget
from ..movable_clock import is_movable, run
from ..services.serving import bridging, reachable, settings_of
from .subjects import SUBJECTS

pytestmark = pytest.mark.clock("movable", "real")


def those(fit=lambda subject: True):
    """Has a test run for every subject that fits."""
    return pytest.mark.parametrize("subject", list(filter(fit, SUBJECTS)), ids=lambda subject: subject.name)


class Bed:
    """A bus with chips of a subject, each with its own service."""

    def __init__(self, subject, bus, running):
        self.subject, self.bus, self.running = subject, bus, running

    def chip(self, n=0):
        return self.bus.places[f"chip{n}"].chip

    def set(self, quantity, value, n=0):
        self.chip(n).set(quantity, value)

    async def good(self, n=0, wanted=lambda found: True):
        return await self.running[n].sample(lambda found: all_good(found) and wanted(found))

    def set_all(self, share, n=0):
        for name, measured in self.subject.measured.items():
            self.set(name, inside(measured, share), n)

    async def matching(self, share, n=0):
        """The first readings that are what was set; readings from before may come until then."""
        return await self.good(n, lambda found: matches(self.subject, found, share))

    async def reaching(self, name, value):
        return await self.running[0].sample(lambda found: (found[name].value or 0) >= value)

    async def bad(self, n=0):
        return await self.running[n].sample(lambda found: not all_good(found))


def all_good(found):
    return all(reading.quality is Quality.GOOD for reading in found.values())


@contextlib.asynccontextmanager
async def bed_of(subject, folder, count=1, at_first=None, **bus_settings):
    bus = SimulatedI2cBus(folder / "bus")
    path = {"path": f"sim:{bus.path}", "timeout": 0.2, **bus_settings}
    async with reachable(bus), contextlib.AsyncExitStack() as stack:
        running = []
        for n in range(count):
            bus.add(f"chip{n}", subject.address + n, subject.chip(subject.address + n))
            if at_first:
                assert bus.execute(at_first) == "ok"
            members = subject.settings(subject.address + n) | {"bus": path, "interval": 0.05}
            running.append(
                await stack.enter_async_context(
                    bridging(subject.service_type, settings_of(subject.service_type, **members))
                )
            )
        yield Bed(subject, bus, running)


def inside(measured, share):
    """A value so far into the range, a step away from its ends, for a chip rounds."""
    low, high = measured.low + measured.step, measured.high - measured.step
    return low + (high - low) * share


@those()
async def test_units_and_values_are_right_at_the_ends_and_between(subject, tmp_path):
    async with bed_of(subject, tmp_path) as bed:
        for share in (0.0, 0.4, 1.0):
            bed.set_all(share)
            found = await bed.matching(share)
            assert {name: found[name].unit for name in subject.measured} == {
                name: measured.unit for name, measured in subject.measured.items()
            }


def matches(subject, found, share):
    return all(
        abs(found[name].value - inside(measured, share)) <= measured.step * 0.75
        for name, measured in subject.measured.items()
    )


@those()
async def test_beyond_its_range_a_value_is_marked_or_taken_for_the_end(subject, tmp_path):
    async with bed_of(subject, tmp_path) as bed:
        tried = 0
        for name, measured in subject.measured.items():
            try:
                bed.set(name, measured.high + 3 * measured.step)
            except ValueError:
                continue  # its raw values end there
            tried += 1
            found = await bed.reaching(name, measured.high)
            if name in subject.crops:
                assert (found[name].value, found[name].quality) == (measured.high, Quality.GOOD)
            else:
                assert found[name].quality is Quality.UNCERTAIN
                assert "outside" in found[name].reason
        assert tried or all(measured.unit in ("%RH", "lx", "V", "deg", "") for measured in subject.measured.values())


@those(lambda subject: subject.sentinel)
async def test_a_sentinel_is_no_value(subject, tmp_path):
    quantity, say_none = subject.sentinel
    async with bed_of(subject, tmp_path) as bed:
        await bed.good()
        say_none(bed.chip())
        found = await bed.bad()
        assert (found[quantity].value, found[quantity].quality) == (None, Quality.BAD)
        assert found[quantity].reason


@pytest.mark.parametrize("fault", ["absent chip0 {}", "stuck {}"])
@those()
async def test_a_fault_is_reported_and_then_it_goes_on_without_restart(subject, tmp_path, fault):
    async with bed_of(subject, tmp_path) as bed:
        await bed.good()
        assert bed.bus.execute(fault.format("on")) == "ok"
        found = await bed.bad()
        assert {reading.value for reading in found.values()} == {None}
        assert all(reading.reason for reading in found.values())
        assert bed.bus.execute(fault.format("off")) == "ok"
        await bed.good()


@those(lambda subject: subject.identified)
async def test_another_chip_at_its_address_is_reported(subject, tmp_path):
    async with bed_of(subject, tmp_path, at_first="swap chip0 on") as bed:
        found = await bed.running[0].sample()
        assert {reading.value for reading in found.values()} == {None}
        assert all(reading.reason for reading in found.values())
        bed.bus.execute("swap chip0 off")
        await bed.good()


@those()
async def test_a_chip_that_stretches_too_long_is_reported_and_then_it_goes_on(subject, tmp_path):
    async with bed_of(subject, tmp_path, timeout=0.02) as bed:
        await bed.good()
        bed.bus.execute("stretch chip0 0.1")
        await bed.bad()
        bed.bus.execute("stretch chip0 0")
        await bed.good()


@those()
async def test_after_an_interrupted_supply_it_is_set_up_again_and_nothing_wrong_is_reported(subject, tmp_path):
    async with bed_of(subject, tmp_path) as bed:
        bed.set_all(0.4)
        await bed.matching(0.4)
        for _ in range(3):
            bed.bus.execute("reset chip0")
            for _ in range(3):
                found = await bed.good()
                assert matches(subject, found, 0.4)


@those(lambda subject: subject.checked)
async def test_damage_costs_readings_not_the_truth(subject, tmp_path):
    async with bed_of(subject, tmp_path) as bed:
        bed.set_all(0.4)
        await bed.matching(0.4)
        bed.bus.execute("corrupt chip0 0.3")
        for _ in range(8):
            assert matches(subject, await bed.good(), 0.4)
        assert bed.bus.corrupted


FAULTS = ("absent chip0 {}", "stuck {}", "stretch chip0 {}", "reset chip0", "disconnect", "corrupt chip0 {}")


@pytest.mark.campaign
@pytest.mark.parametrize("seed", [SEED + n for n in range(budget(1, 3))])
@those()
async def test_whatever_goes_wrong_a_wrong_value_is_never_sent_as_good(subject, tmp_path, seed):
    chance, pace = random.Random(seed), 1 if is_movable() else 0.1
    faults = FAULTS if subject.checked else FAULTS[:-1]
    async with bed_of(subject, tmp_path, timeout=0.02) as bed:
        bed.set_all(0.4)
        await bed.matching(0.4)
        for _ in range(budget(8, 15)):
            fault = chance.choice(faults)
            on, off = ("0.3", "0") if fault.startswith(("stretch", "corrupt")) else ("on", "off")
            assert bed.bus.execute(fault.format(on)) == "ok"
            await asyncio.sleep(chance.uniform(0, 2) * pace)
            if "{}" in fault:
                assert bed.bus.execute(fault.format(off)) == "ok"
            await asyncio.sleep(chance.uniform(0, 1) * pace)
        sent = []
        while not bed.running[0].samples.empty():
            sent += bed.running[0].samples.get_nowait()
        sent += (await bed.good()).values()
        for reading in sent:
            measured = subject.measured.get(reading.name)
            if measured and reading.quality is Quality.GOOD:
                assert abs(reading.value - inside(measured, 0.4)) <= measured.step * 0.75


@those()
async def test_two_on_one_bus_do_not_disturb_each_other(subject, tmp_path):
    async with bed_of(subject, tmp_path, count=2) as bed:
        for n, share in enumerate((0.3, 0.6)):
            bed.set_all(share, n)
        for _ in range(3):
            await bed.matching(0.3, 0)
            await bed.matching(0.6, 1)
        bed.bus.execute("absent chip0 on")
        await bed.bad(0)
        for _ in range(3):
            assert matches(subject, await bed.running[1].sample(), 0.6)


@those()
async def test_stopping_in_the_middle_of_a_read_is_clean(subject, tmp_path):
    async with bed_of(subject, tmp_path) as bed:
        await bed.good()
        bed.bus.execute("stretch chip0 0.1")
        async with asyncio.timeout(60):
            while not bed.bus._busy.locked():
                await asyncio.sleep(0.001)
    assert not i2c_owner._owners, "the bus was left"
    lock = FileLock(f"{tmp_path}/bus.lock", make=False)
    async with asyncio.timeout(60):
        while not lock.acquire(i2c_owner.WHOLE_BUS):
            await asyncio.sleep(0.01)
    lock.close()


@those()
@settings(max_examples=budget(5, 100), suppress_health_check=list(HealthCheck))
@given(shares=st.lists(st.floats(0, 1), min_size=2, max_size=2))
def test_each_value_reads_back_within_the_resolution(subject, shares, tmp_path_factory):
    async def check():
        async with bed_of(subject, tmp_path_factory.mktemp("bus")) as bed:
            for share in shares:
                bed.set_all(share)
                await bed.matching(share)

    run(check())
