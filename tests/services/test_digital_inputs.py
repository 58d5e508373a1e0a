"""GPIO inputs: contacts, counters, frequency, encoders; missed edges, restarts, lost chips."""

import asyncio
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_bridge import Command, Quality, SettingsError
from device_bridge.control import Totals
from digital_inputs.edges import DutyMeter, Quadrature, RateMeter
from digital_inputs.emulator import PI_LINES, World, settings_for
from digital_inputs.service import DigitalInputs
from simulated_devices import SimulatedGpio

from ..movable_clock import now_ns
from .serving import bridging, emulated, settings_of

pytestmark = pytest.mark.clock("movable")

S = 1_000_000_000


@contextlib.asynccontextmanager
async def world_of(folder):
    gpio = SimulatedGpio(folder / "gpio", now_ns)
    gpio.add("pinctrl-bcm2711", PI_LINES)
    async with gpio.serving():
        yield gpio


@contextlib.asynccontextmanager
async def watching(gpio, *inputs, totals=None, **members):
    members = {"gpio": {"path": f"sim:{gpio.path}"}, "inputs": list(inputs)} | members
    async with bridging(DigitalInputs, settings_of(DigitalInputs, **members), totals) as bridged:
        yield bridged


def metric(bridged, name, member):
    """A count of a line, as it is exported."""
    return next(
        m.value
        for m in bridged.bridge.metrics()
        if (m.name, m.labels) == (f"bridge_member_{name}_total", {"member": member})
    )


async def tell(bridged, name, **parameters):
    return await bridged.bridge.execute(Command(name=name, parameters=parameters))


CONTACT = {"kind": "contact", "name": "door", "line": "GPIO17"}


async def test_the_state_is_told_at_first_and_at_each_change(tmp_path):
    async with world_of(tmp_path) as gpio:
        gpio.drive("GPIO17", 1)
        async with watching(gpio, CONTACT) as bridged:
            assert (await bridged.sample())["door"].value is True
            for level in (0, 1, 0, 1):
                gpio.drive("GPIO17", level)
                assert (await bridged.sample())["door"].value is bool(level)


async def test_a_short_pulse_is_not_missed(tmp_path):
    async with world_of(tmp_path) as gpio, watching(gpio, CONTACT) as bridged:
        await bridged.sample()
        gpio.drive("GPIO17", 1)
        gpio.drive("GPIO17", 0)
        assert [(await bridged.sample())["door"].value for _ in range(2)] == [True, False]


async def test_a_change_has_the_kernels_time_of_its_edge(tmp_path):
    async with world_of(tmp_path) as gpio, watching(gpio, CONTACT) as bridged:
        await bridged.sample()
        gpio.chips["gpiochip0"].drive("GPIO17", 1, now_ns() - 2 * S)  # told two seconds late
        found = (await bridged.sample())["door"]
        assert found.value is True
        assert -3 < found.time <= -2


async def test_the_state_is_told_again_by_its_heartbeat(tmp_path):
    async with world_of(tmp_path) as gpio, watching(gpio, CONTACT | {"heartbeat": 0.05}) as bridged:
        assert [(await bridged.sample())["door"].value for _ in range(4)] == [False] * 4


@pytest.mark.parametrize("by", ["kernel", "software"])
async def test_a_bouncing_contact_changes_once(tmp_path, by):
    async with world_of(tmp_path) as gpio:
        chip = gpio.chips["gpiochip0"]
        if by == "software":
            request = chip.request

            def without_debounce(offsets, config, events, consumer):
                if config["debounce_us"]:
                    raise OSError(22, "no debounce here")
                return request(offsets, config, events, consumer)

            chip.request = without_debounce
        world = World(gpio)
        async with watching(gpio, CONTACT | {"debounce": 0.03}) as bridged:
            assert (await bridged.sample())["door"].value is False
            for level in (1, 0, 1):
                await world.press("GPIO17", level)
                assert (await bridged.sample())["door"].value is bool(level)
            assert bridged.samples.empty()


async def test_an_edge_that_was_never_told_is_healed(tmp_path):
    async with world_of(tmp_path) as gpio, watching(gpio, CONTACT) as bridged:
        await bridged.sample()
        chip = gpio.chips["gpiochip0"]
        chip.lines[17].outside = 1  # and no edge
        assert (await bridged.sample())["door"].value is True
        assert metric(bridged, "resyncs", "door") == 1


async def test_5000_pulses_a_second_for_ten_seconds_are_counted_exactly(tmp_path):
    counter = {"kind": "counter", "name": "flow", "line": "GPIO22", "interval": 0.5}
    async with world_of(tmp_path) as gpio, watching(gpio, counter) as bridged:
        await bridged.sample()
        train = gpio.pulses("GPIO22", 5000, 50_000)
        rates = []
        while not train.done():
            found = await bridged.sample()
            rates += [found["flow/rate"].value] if "flow/rate" in found else []
        found = await bridged.sample(lambda found: found["flow"].value >= 50_000)
        assert found["flow"].value == 50_000
        assert sorted(rates)[len(rates) // 2] == pytest.approx(5000, rel=0.1)


async def test_pulses_that_overflow_the_buffer_are_counted_and_told(tmp_path):
    counter = {"kind": "counter", "name": "flow", "line": "GPIO22", "interval": 0.05}
    async with world_of(tmp_path) as gpio, watching(gpio, counter) as bridged:
        await bridged.sample()
        for _ in range(5000):  # while nobody can read
            gpio.drive("GPIO22", 1)
            gpio.drive("GPIO22", 0)
        found = await bridged.sample(lambda found: found["flow"].value > 0)
        gpio.drive("GPIO22", 1)
        found = await bridged.sample(lambda found: found["flow"].value > 5000)
        assert found["flow"].value == 5001
        assert metric(bridged, "lost_edges", "flow") >= 5000 - 1024 - 100


async def test_units_of_a_counter_and_its_total_after_a_restart(tmp_path):
    counter = {"kind": "counter", "name": "water", "line": "GPIO22", "interval": 0.05}
    counter |= {"per_pulse": 0.001, "unit": "m3", "rate_unit": "l/s", "rate_scale": 1000}
    async with world_of(tmp_path) as gpio:
        for total in (0.01, 0.02):
            totals = Totals(tmp_path / "totals.json")
            async with watching(gpio, counter, totals=totals) as bridged:
                await bridged.sample()
                gpio.pulses("GPIO22", 200, 10)
                found = await bridged.sample(lambda found: found["water"].value == pytest.approx(total))
                assert found["water/rate"].value == pytest.approx(0.2 * 1000)
                assert (found["water"].unit, found["water/rate"].unit) == ("m3", "l/s")
            totals.save()


async def test_pulses_that_came_before_the_end_are_counted(tmp_path):
    counter = {"kind": "counter", "name": "water", "line": "GPIO22", "interval": 60}
    async with world_of(tmp_path) as gpio:
        totals = Totals(None)
        async with watching(gpio, counter, totals=totals) as bridged:
            await bridged.sample()
            for _ in range(10):
                gpio.drive("GPIO22", 1)
                gpio.drive("GPIO22", 0)
            await asyncio.sleep(0)  # they are sent, and not read yet
    assert totals.get("water") == 10


def test_totals_that_cannot_be_read_are_kept_aside(tmp_path, caplog):
    file = tmp_path / "totals.json"
    file.write_text("{")
    totals = Totals(file)
    totals.add("a", 3)
    totals.save()
    assert json.loads(file.read_text()) == {"a": 3}
    assert (tmp_path / "totals.damaged0").read_text() == "{"
    assert "begin at 0" in caplog.text


def test_totals_that_cannot_be_saved_are_told_and_go_on(tmp_path, caplog):
    (tmp_path / "totals.new").mkdir()
    totals = Totals(tmp_path / "totals.json")
    assert totals.add("a", 3) == 3
    totals.save()
    totals.save()
    assert caplog.text.count("cannot be saved") == 1
    (tmp_path / "totals.new").rmdir()
    totals.save()
    assert json.loads((tmp_path / "totals.json").read_text()) == {"a": 3}


async def test_frequency_and_duty(tmp_path):
    signal = {"kind": "frequency", "name": "fan", "line": "GPIO5", "interval": 0.4}
    async with world_of(tmp_path) as gpio, watching(gpio, signal) as bridged:
        await bridged.sample()
        gpio.pulses("GPIO5", 100, 200)
        await bridged.sample(lambda found: found.get("fan") and found["fan"].value == pytest.approx(100, rel=0.02))
        found = await bridged.sample()
        assert found["fan/duty"].value == pytest.approx(0.5, abs=0.05)
        assert found["fan"].unit == "Hz"


def rates(pulses, interval, until, standstill=10.0):
    """What a meter reports of pulses at these times, in seconds."""
    meter, found = RateMeter(standstill, 0), []
    for step in range(1, round(until / interval) + 1):
        before, now = (step - 1) * interval, step * interval
        seen = [round(time * S) for time in pulses if before <= time < now]
        if seen:
            meter.feed(seen[0], seen[-1], len(seen))
        rate = meter.report(round(now * S))
        found.append(rate if rate is None else round(rate, 6))
    return found


def test_a_period_longer_than_the_interval_is_measured():
    found = rates([0.5 + 2.5 * n for n in range(5)], 1, 25)
    assert found[:3] == [None] * 3, "one pulse says nothing of a rate"
    assert found[3:11] == [0.4] * 8
    assert found[13:15] == [round(1 / 3.5, 6), round(1 / 4.5, 6)], "slower and slower while pulses stay away"
    assert found[-1] == 0.0


def test_300_watts_at_1000_pulses_a_kwh():
    # one pulse each 12 s, reports each 3 s: 3600 s of 1 kW are 1000 pulses
    found = rates([12 * n + 1 for n in range(6)], 3, 90, standstill=300)
    watts = [rate if rate is None else round(rate * 3_600) for rate in found]
    assert watts[:4] == [None] * 4
    assert set(watts[4:24]) == {300}
    assert watts[24:] == sorted(watts[24:], reverse=True)
    assert 0 < watts[-1] < 150


@pytest.mark.parametrize("pause", [12, 30, 7, 1.5])
def test_after_a_pause_the_rate_is_that_of_the_new_pulses(pause):
    train = [n / 50 for n in range(50)]
    found = rates([*train, *(1 + pause + time for time in train)], 1, 2 + pause // 1 + 2)
    new = found[int(1 + pause) :]
    assert 50.0 in new
    assert all(rate is None or rate == 50.0 or rate <= 1 / min(pause, 1) for rate in new), new


def test_dropped_pulses_count_in_the_rate():
    meter = RateMeter(10, 0)
    meter.feed(1, S, 1000)
    meter.report(S)
    meter.feed(S + 552 * S // 1000, 2 * S, 449, dropped=551)
    assert meter.report(2 * S) == pytest.approx(1000, rel=0.001)


def test_a_signal_that_stands_still_from_the_start_is_none_after_its_time():
    assert rates([], 5, 25, standstill=10) == [None, 0, 0, 0, 0]


@given(st.floats(0.02, 40), st.floats(0.05, 20), st.floats(0, 1))
def test_a_steady_signal_has_its_rate_whatever_the_interval(period, interval, phase):
    start = phase * period
    pulses = [start + n * period for n in range(int(20 * interval / period) + 3)]
    known = [rate for rate in rates(pulses, interval, 10 * interval, standstill=300) if rate is not None]
    assert all(rate == pytest.approx(1 / period, rel=0.01, abs=0.001) for rate in known)
    assert rates(pulses, interval, 10 * interval, standstill=300)[0] is None or period < interval


def test_duty_without_edges_is_the_level():
    for on in (True, False):
        meter = DutyMeter(on, 0)
        assert meter.report(S) == float(on)
        assert meter.report(2 * S) == float(on)


def test_duty_leaves_out_the_time_of_dropped_edges():
    meter = DutyMeter(False, 0)
    meter.feed(1 * S, True)
    meter.feed(5 * S, False, dropped=True)  # on and off for many times in these 4 s
    assert meter.report(6 * S) == 0.0
    meter.feed(7 * S, True)
    meter.feed(15 * S // 2, False)
    meter.report(8 * S)
    meter.feed(15 * S // 2, True)  # an edge that is read late
    assert meter.report(9 * S) == 1.0


def turned(state, steps):
    """Edges of an encoder turned by steps, A at offset 7 and B at 8, from a position."""
    position, edges = 0, []
    order = ((0, 0), (0, 1), (1, 1), (1, 0))
    for step in steps:
        before = order[position % 4]
        position += step
        for offset, old, new in zip((7, 8), before, order[position % 4], strict=True):
            if old != new:
                edges.append((0, 1 if new else 2, offset, 0, 0))
    return position, edges


@given(st.lists(st.sampled_from([1, -1]), max_size=200))
def test_an_encoder_follows_every_step(steps):
    position, edges = turned(0, steps)
    encoder = Quadrature(7, 0)
    for _, kind, offset, *_ in edges:
        encoder.feed(kind, offset)
    assert (encoder.position, encoder.errors) == (position, 0)


def test_an_encoder_counts_what_it_could_not_follow():
    encoder = Quadrature(7, 0b00)
    encoder.look(0b11)
    assert (encoder.position, encoder.errors) == (0, 1)


async def test_a_motor_forwards_and_back(tmp_path):
    encoder = {"kind": "encoder", "name": "axis", "line": "GPIO23", "line_b": "GPIO24", "interval": 0.05}
    encoder |= {"per_step": 0.5, "unit": "deg"}
    async with world_of(tmp_path) as gpio, watching(gpio, encoder) as bridged:
        await bridged.sample()
        for a, b in ((0, 1), (1, 1), (1, 0), (0, 0)) * 5:
            gpio.drive("GPIO23", a)
            gpio.drive("GPIO24", b)
        found = await bridged.sample(lambda found: found["axis"].value == 10)
        assert (found["axis"].unit, found["axis/speed"].unit) == ("deg", "deg/s")
        for a, b in ((1, 0), (1, 1), (0, 1), (0, 0)) * 5:
            gpio.drive("GPIO23", a)
            gpio.drive("GPIO24", b)
        await bridged.sample(lambda found: found["axis"].value == 0)


async def test_losing_the_chip_is_noticed_and_it_is_read_again(tmp_path):
    async with world_of(tmp_path) as gpio, watching(gpio, CONTACT) as bridged:
        await bridged.sample()
        gpio.disconnect()
        lost = await bridged.sample(lambda found: found["door"].value is None)
        assert lost["door"].quality is Quality.BAD
        assert (await bridged.sample())["door"].value is False


@pytest.mark.parametrize(
    ("members", "words"),
    [({"line": "GPIO99"}, "no line is called 'GPIO99'"), ({"line": "3", "chip": "nope"}, "no GPIO chip is called")],
)
async def test_a_line_that_is_not_there_is_told(tmp_path, members, words):
    async with world_of(tmp_path) as gpio, watching(gpio, CONTACT | members) as bridged:
        assert words in (await bridged.sample())["door"].reason


@pytest.mark.parametrize(
    ("inputs", "field"),
    [
        ([], "inputs"),
        ([{"name": "a", "line": "1"}], "inputs"),
        ([{"kind": "switch", "name": "a", "line": "1"}], "inputs"),
        ([CONTACT, CONTACT | {"line": "GPIO4"}], "inputs.name"),
        ([CONTACT | {"debounce": 4000}], "inputs"),
        ([CONTACT, CONTACT | {"name": "b", "bias": "pull_up"}], "inputs.line"),
        ([CONTACT, {"kind": "encoder", "name": "a", "line": "1", "line_b": "gpio17"}], "inputs.line_b"),
        ([{"kind": "encoder", "name": "a", "line": "1"}], "inputs"),
    ],
)
def test_wrong_settings_name_the_field(inputs, field):
    with pytest.raises(SettingsError) as caught:
        DigitalInputs.check_settings(settings_of(DigitalInputs, inputs=inputs))
    assert field in caught.value.field


@pytest.mark.clock("real")
async def test_the_emulated_world_is_seen():
    async with emulated("digital_inputs") as emulator:
        assert emulator.settings["inputs"] == settings_for(SimulatedGpio(None))["inputs"]
        async with bridging(DigitalInputs, settings_of(DigitalInputs, **emulator.settings)) as bridged:
            await bridged.sample(lambda found: found.get("button") and found["button"].value is True)
            await bridged.sample(lambda found: "water/rate" in found and 4 < found["water/rate"].value < 6)
            await bridged.sample(lambda found: "motor/speed" in found and 6 < found["motor/speed"].value < 10)
            for line in ("drive GPIO27 -", "set flow 200", "set turns -5"):
                assert await emulator.tell(line) == "ok"
            await bridged.sample(lambda found: "water/rate" in found and 180 < found["water/rate"].value < 220)
            await bridged.sample(lambda found: "motor/speed" in found and -22 < found["motor/speed"].value < -15)
            assert "more than 0" in await emulator.tell("set flow 0")
