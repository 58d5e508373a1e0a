"""GPIO lines: requests, values, edges, what is lost, what is in use; against emulated chips."""

import asyncio
import contextlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_bridge import DeviceError, DeviceErrorKind
from device_bridge.buses import GpioBus, GpioLine, GpioSettings, HeldLine, LineConfig
from device_bridge.buses.gpio import uapi
from device_bridge.control.debounce import Debounce
from simulated_devices import SimulatedGpio, SimulatedGpioChip

BOTH = LineConfig(rising=True, falling=True)


@contextlib.asynccontextmanager
async def lines_of(folder, *names, config=BOTH, events=1024, **line):
    world = SimulatedGpio(folder / "gpio")
    world.add("pinctrl-bcm2711", ["", "", *(f"GPIO{n}" for n in range(2, 28))])
    async with world.serving():
        bus = GpioBus(GpioSettings(path=f"sim:{world.path}"))
        await bus.open()
        lines = await bus.request([GpioLine(line=name, **line) for name in names], config, events)
        try:
            yield world, bus, lines
        finally:
            await lines.close()


async def test_levels_and_edges(tmp_path):
    async with lines_of(tmp_path, "GPIO17", "GPIO4") as (world, _, lines):
        assert await lines.get() == 0
        world.drive("GPIO4", 1)
        world.drive("GPIO17", 1)
        world.drive("GPIO4", 0)
        assert await lines.get() == 0b01
        seen = []
        while len(seen) < 3:
            seen += [(kind, offset, number, own) for _, kind, offset, number, own in await lines.read()]
        assert seen == [(uapi.RISING, 4, 1, 1), (uapi.RISING, 17, 2, 1), (uapi.FALLING, 4, 3, 2)]


async def test_bias_and_active_low(tmp_path):
    config = BOTH._replace(bias="pull_up")
    async with lines_of(tmp_path, "GPIO17", config=config, active_low=True) as (world, _, lines):
        assert await lines.get() == 0
        world.drive("GPIO17", 0)
        assert await lines.get() == 1
        (edge,) = list(await lines.read())
        assert edge[1] == uapi.RISING, "edges are those of on and off"


async def test_outputs_and_drive(tmp_path):
    config = LineConfig(output=True, values=0b10)
    async with lines_of(tmp_path, "GPIO17", "GPIO4", config=config) as (world, _, lines):
        assert (world.level("GPIO17"), world.level("GPIO4")) == (0, 1)
        await lines.set(0b01)
        assert (world.level("GPIO17"), world.level("GPIO4"), await lines.get()) == (1, 0, 0b01)
        await lines.set(0b10, mask=0b10)
        assert await lines.get() == 0b11
        world.drive("GPIO4", 0)
        assert await lines.get() == 0b01, "something stronger holds it low"
    open_drain = LineConfig(output=True, drive="open_drain", values=1, bias="pull_up")
    async with lines_of(tmp_path, "GPIO17", config=open_drain) as (world, _, lines):
        world.drive("GPIO17", 0)
        assert await lines.get() == 0
        world.drive("GPIO17", None)
        assert await lines.get() == 1


async def test_after_a_cancellation_an_answer_is_not_taken_for_another_ones(tmp_path):
    async with lines_of(tmp_path, "GPIO17", config=LineConfig(output=True)) as (world, _, lines):
        for steps in range(6):
            cancelled = asyncio.ensure_future(lines.get())
            for _ in range(steps):
                await asyncio.sleep(0)
            cancelled.cancel()
            await asyncio.wait((cancelled,))
            level = steps % 2
            await lines.set(level)
            assert world.level("GPIO17") == level, "it is set when `set` returns"
            assert await lines.get() == level


async def test_edges_that_nobody_read_are_counted(tmp_path):
    async with lines_of(tmp_path, "GPIO17", events=16) as (world, _, lines):
        for n in range(1000):
            world.drive("GPIO17", 1 - n % 2)
        found = await lines.read()
        assert (len(found), found.lost) == (16, 984)
        world.drive("GPIO17", 1)
        after = await lines.read()
        assert (len(after), after.lost) == (1, 0)
        assert (lines.edges, lines.lost) == (17, 984)


async def test_a_line_has_one_user_who_is_named(tmp_path):
    async with lines_of(tmp_path, "GPIO17") as (_, bus, lines):
        with pytest.raises(DeviceError, match="in use by iofog-") as caught:
            await bus.request([GpioLine(line="GPIO17")], BOTH)
        assert caught.value.kind is DeviceErrorKind.BUSY
        await lines.close()
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(DeviceError):
                    await (await bus.request([GpioLine(line="GPIO17")], BOTH)).close()
                    break


async def test_what_the_chip_cannot_do_is_reported(tmp_path):
    async with lines_of(tmp_path, "GPIO17") as (world, bus, lines):
        with pytest.raises(DeviceError, match="an input cannot be set") as caught:
            await lines.set(1)
        assert caught.value.kind is DeviceErrorKind.BUS_FAULT
        world.chips["gpiochip0"].biases = False
        with pytest.raises(DeviceError, match="bias = pull_up: this chip cannot"):
            await bus.request([GpioLine(line="GPIO4")], BOTH._replace(bias="pull_up"))


@pytest.mark.parametrize(
    ("config", "refused", "words"),
    [
        (BOTH._replace(bias="pull_down"), {"bias"}, "bias = pull_down: this chip cannot"),
        (BOTH._replace(debounce_us=20_000), {"debounce_us"}, "debounce = 0.02 s: this chip cannot"),
        (BOTH._replace(bias="pull_up"), {"rising"}, "edges: this chip cannot"),
        (BOTH._replace(bias="pull_up", debounce_us=5000), {"debounce_us"}, "debounce = 0.005 s: this chip cannot"),
        (
            BOTH._replace(bias="pull_up", debounce_us=5000),
            {"bias", "debounce_us"},
            "bias = pull_up, debounce = 0.005",
        ),
        (LineConfig(output=True, drive="open_drain"), {"drive"}, "drive = open_drain: this chip cannot"),
    ],
)
async def test_an_error_names_the_request_that_the_chip_refused(tmp_path, config, refused, words):
    async with lines_of(tmp_path, "GPIO17") as (world, bus, _):
        chip = world.chips["gpiochip0"]
        request, asked = chip.request, []

        def refuse(offsets, wanted, events, consumer):
            asked.append(wanted["output"])
            if any(wanted[name] not in (False, 0, "as_is", "push_pull") for name in refused):
                raise OSError(22, "no")
            return request(offsets, wanted, events, consumer)

        chip.request = refuse
        with pytest.raises(DeviceError, match=words) as caught:
            await bus.request([GpioLine(line="GPIO4")], config)
        assert caught.value.kind is DeviceErrorKind.BUS_FAULT
        assert sum(asked) <= 1, "an output is not tried out: it would drive the line"


async def test_a_chip_that_was_not_there_is_found_later(tmp_path):
    async with lines_of(tmp_path, "GPIO17") as (world, bus, _):
        with pytest.raises(DeviceError, match="no line is called 'LAMP'"):
            await bus.request([GpioLine(line="LAMP")], BOTH)
        world.add("pca9539", ["LAMP"])
        found = await bus.request([GpioLine(line="LAMP")], BOTH)
        assert await found.get() == 0
        await found.close()


async def test_losing_the_chip_is_noticed(tmp_path):
    async with lines_of(tmp_path, "GPIO17") as (world, _, lines):
        waiting = asyncio.ensure_future(lines.read())
        await asyncio.sleep(0)
        assert world.execute("disconnect") == "ok"
        with pytest.raises(DeviceError) as caught:
            await waiting
        assert caught.value.kind is DeviceErrorKind.GONE
        with pytest.raises(DeviceError):
            await lines.get()


async def test_no_chips_says_what_to_do(tmp_path):
    for path, words in ((str(tmp_path), "give the container /dev/gpiochipN"), ("sim:/nowhere", "no GPIO chip")):
        with pytest.raises(DeviceError, match=words) as caught:
            await GpioBus(GpioSettings(path=path)).open()
        assert caught.value.kind is DeviceErrorKind.NOT_FOUND


async def test_a_file_that_is_no_chip_is_reported(tmp_path):
    (tmp_path / "gpiochip0").touch()
    with pytest.raises(DeviceError, match=r"Linux 5\.10 is needed"):
        await GpioBus(GpioSettings(path=str(tmp_path))).open()


def test_structures_have_the_kernels_sizes():
    assert (uapi._CHIPINFO.size, uapi._LINEINFO.size, uapi._REQUEST.size) == (68, 256, 592)
    assert (uapi._CONFIG.size, uapi._VALUES.size, uapi.EVENT.size) == (272, 16, 48)
    for request, size in ((uapi.GET_CHIPINFO, 68), (uapi.GET_LINEINFO, 256), (uapi.GET_LINE, 592)):
        assert request >> 16 & 0x3FFF == size
    for request, size in ((uapi.SET_CONFIG, 272), (uapi.GET_VALUES, 16), (uapi.SET_VALUES, 16)):
        assert request >> 16 & 0x3FFF == size


waveforms = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 1)), max_size=40)


def stable_states(steps, settle):
    """The reference: levels that lasted for the whole time, one after another."""
    now, level, states, since = 0, 0, [0], -settle
    for pause, following in steps:
        now += pause
        if following != level:
            if now - since >= settle and states[-1] != level:
                states.append(level)
            level, since = following, now
    if states[-1] != level:
        states.append(level)
    return states


@given(waveforms, st.integers(1, 40))
def test_the_emulated_chip_debounces_as_the_reference(steps, settle):
    now = 0
    chip = SimulatedGpioChip("gpiochip0", "x", ["a"], lambda: now)
    request = chip.request([0], BOTH._replace(debounce_us=settle)._asdict(), 1024, "test")
    due = []
    chip.on_due = due.append
    for pause, level in [*steps, (1000, None)]:
        end = now + pause * 1000
        for at in sorted(at for at in due if at <= end):
            now = at
            chip.advance()
        due = [at for at in due if at > end]
        chip.on_due = due.append
        now = end
        if level is not None and level != chip.level(0):
            chip.drive("a", level)
    states = [0] + [int(uapi.EVENT.unpack(event)[1] == uapi.RISING) for event in request.events]
    assert states == stable_states(steps, settle)


@given(waveforms, st.integers(1, 40))
def test_debouncing_in_software_finds_the_same(steps, settle):
    debounce, states, now, level = Debounce(0, float(settle)), [0], 0, 0

    def look(at):
        debounce.update(level, float(at))
        if debounce.levels != states[-1]:
            states.append(debounce.levels)

    for pause, following in steps:
        look(now + pause)
        now += pause
        level = following
        look(now)
    look(now + 1000)
    assert states == stable_states(steps, settle)


@contextlib.asynccontextmanager
async def held_line(folder, config, **line):
    world = SimulatedGpio(folder / "gpio")
    world.add("emulated", ["GPIO17"])
    held = HeldLine(GpioSettings(path=f"sim:{world.path}"), GpioLine(line="GPIO17", **line), config)
    async with world.serving():
        await held.open()
        try:
            yield world, held
        finally:
            await held.close()


@pytest.mark.parametrize("safe", [0, 1])
async def test_a_held_output_is_safe_at_first_and_at_the_end_and_another_process_can_make_it_so(tmp_path, safe):
    async with held_line(tmp_path, LineConfig(output=True, values=safe), active_low=True) as (world, line):
        assert await line.get() is bool(safe)
        await line.set(not safe)
        assert (await line.get(), world.level("GPIO17")) == (not safe, safe)
        act = line.safe_act
        os.write(act.fd, act.on if act.safe else act.off)  # as its guard does when this process has died
        while world.level("GPIO17") != 1 - safe:
            await asyncio.sleep(0)
        await line.set(not safe)
    assert world.level("GPIO17") == 1 - safe
    with pytest.raises(DeviceError, match="it is not open"):
        await line.get()


async def test_a_held_input_waits_for_an_edge_or_its_time(tmp_path):
    async with held_line(tmp_path, BOTH) as (world, line):
        await line.changed(0.01)
        assert line.counters() == {"edges": 0, "edges_lost": 0}
        waiting = asyncio.ensure_future(line.changed(600))
        world.drive("GPIO17", 1)
        await waiting
        assert line.counters() == {"edges": 1, "edges_lost": 0}
        assert await line.get() is True
