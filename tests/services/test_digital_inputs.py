"""GPIO inputs: contacts, counters, frequency, encoders; missed edges, restarts, lost chips."""

import asyncio
import contextlib
import json
import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_bridge import Command, Quality, SettingsError
from device_bridge.buses import LineConfig
from device_bridge.control import Totals
from digital_inputs.edges import DutyMeter, Quadrature, RateMeter
from digital_inputs.emulator import PI_LINES, World, settings_for
from digital_inputs.service import DigitalInputs
from digital_inputs.views import Start
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
        for m in bridged.metrics()
        if (m.name, m.labels) == (f"bridge_member_{name}_total", {"member": member})
    )


async def tell(bridged, name, **parameters):
    return await bridged.bridge.execute(Command(name=name, parameters=parameters))


def without_debounce(chip):
    """Has a chip refuse to debounce."""
    request = chip.request

    def refuse(offsets, config, events, consumer):
        if config["debounce_us"]:
            raise OSError(22, "no debounce here")
        return request(offsets, config, events, consumer)

    chip.request = refuse


CONTACT = {"kind": "contact", "name": "door", "line": "GPIO17"}


async def test_the_state_is_reported_at_first_and_at_each_change(tmp_path):
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
        gpio.chips["gpiochip0"].drive("GPIO17", 1, now_ns() - 2 * S)  # reported two seconds late
        found = (await bridged.sample())["door"]
        assert found.value is True
        assert -3 < found.time <= -2


async def test_the_state_is_reported_again_by_its_heartbeat(tmp_path):
    async with world_of(tmp_path) as gpio, watching(gpio, CONTACT | {"heartbeat": 0.05}) as bridged:
        assert [(await bridged.sample())["door"].value for _ in range(4)] == [False] * 4


@pytest.mark.parametrize("by", ["kernel", "software"])
async def test_a_bouncing_contact_changes_once(tmp_path, by):
    async with world_of(tmp_path) as gpio:
        chip = gpio.chips["gpiochip0"]
        if by == "software":
            without_debounce(chip)
        world = World(gpio)
        async with watching(gpio, CONTACT | {"debounce": 0.03}) as bridged:
            assert (await bridged.sample())["door"].value is False
            for level in (1, 0, 1):
                await world.press("GPIO17", level)
                assert (await bridged.sample())["door"].value is bool(level)
            assert bridged.samples.empty()


async def test_an_edge_that_was_never_reported_is_made_good(tmp_path):
    async with world_of(tmp_path) as gpio, watching(gpio, CONTACT) as bridged:
        await bridged.sample()
        chip = gpio.chips["gpiochip0"]
        chip.lines[17].outside = 1  # and no edge
        assert (await bridged.sample())["door"].value is True
        assert metric(bridged, "resyncs", "door") == 1


async def test_5000_pulses_a_second_are_counted_exactly(tmp_path):
    counter = {"kind": "counter", "name": "flow", "line": "GPIO22", "interval": 0.5}
    async with world_of(tmp_path) as gpio, watching(gpio, counter) as bridged:
        await bridged.sample()
        train = gpio.pulses("GPIO22", 5000, 10_000)
        rates = []
        while not train.done():
            found = await bridged.sample()
            rates += [found["flow/rate"].value] if "flow/rate" in found else []
        found = await bridged.sample(lambda found: found["flow"].value >= 10_000)
        assert found["flow"].value == 10_000
        assert sorted(rates)[len(rates) // 2] == pytest.approx(5000, rel=0.1)


async def test_pulses_that_overflow_the_buffer_are_counted_and_reported(tmp_path):
    counter = {"kind": "counter", "name": "flow", "line": "GPIO22", "interval": 0.05}
    async with world_of(tmp_path) as gpio, watching(gpio, counter) as bridged:
        await bridged.sample()
        for _ in range(5000):  # before any can be read
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
                found = await bridged.sample(lambda found, total=total: found["water"].value == pytest.approx(total))
                assert found["water/rate"].value == pytest.approx(0.2 * 1000)
                assert (found["water"].unit, found["water/rate"].unit) == ("m3", "l/s")
            totals.save()


async def test_a_total_is_uncertain_while_what_was_counted_before_cannot_be_read(tmp_path):
    counter = {"kind": "counter", "name": "water", "line": "GPIO22", "interval": 0.05}
    file = tmp_path / "totals.json"
    file.mkdir()  # as good as EIO: it is there, and cannot be read
    totals = Totals(file)
    async with world_of(tmp_path) as gpio, watching(gpio, counter, totals=totals) as bridged:
        found = await bridged.sample()
        assert (found["water"].value, found["water"].quality) == (0, Quality.UNCERTAIN)
        gpio.pulses("GPIO22", 200, 10)
        await bridged.sample(lambda found: found["water"].value == 10)
        file.rmdir()
        file.write_text('{"water": 90}')
        totals.save()
        found = await bridged.sample(lambda found: found["water"].quality is Quality.GOOD)
        assert found["water"].value == 100


@pytest.mark.parametrize("disk", ["none", "good", "full"])
async def test_a_total_outlives_its_chip_and_changed_settings(tmp_path, disk):
    counter = {"kind": "counter", "name": "water", "line": "GPIO22", "interval": 0.05}
    totals = Totals(None if disk == "none" else tmp_path / "totals.json")
    async with world_of(tmp_path) as gpio, watching(gpio, counter, totals=totals) as bridged:
        await bridged.sample()
        gpio.pulses("GPIO22", 2000, 100)
        await bridged.sample(lambda found: found["water"].value == 100)
        totals.save()
        if disk == "full":
            (tmp_path / "totals.new").mkdir()  # as good as ENOSPC: it cannot be written
        expected = 100
        for change in ({"log_level": "debug"}, {"inputs": [counter | {"interval": 0.1}]}, None):
            gpio.pulses("GPIO22", 2000, 100)
            await bridged.sample(lambda found, total=expected + 100: found["water"].value == total)
            expected += 100
            totals.save()
            if change is None:
                gpio.disconnect()
                await bridged.sample(lambda found: found["water"].value is None)
            else:
                settings = {"gpio": {"path": f"sim:{gpio.path}"}, "inputs": [counter]} | change
                bridged.bridge.apply(settings_of(DigitalInputs, **settings))
            assert (await bridged.sample())["water"].value == expected, change


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


@pytest.mark.clock("real")
async def test_totals_are_kept_in_the_folder_of_the_settings(tmp_path):
    counter = {"kind": "counter", "name": "water", "line": "GPIO22", "interval": 0.05}
    async with world_of(tmp_path) as gpio:
        told = {"gpio": {"path": f"sim:{gpio.path}"}, "inputs": [counter], "state_directory": str(tmp_path / "kept")}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "digital_inputs"),
            env=os.environ
            | {"IOFOG_LINK": "console:"}
            | {f"SETTING_{k.upper()}": v if isinstance(v, str) else json.dumps(v) for k, v in told.items()},
            stdout=asyncio.subprocess.PIPE,
        )
        await process.stdout.readline()
        for _ in range(10):
            gpio.drive("GPIO22", 1)
            gpio.drive("GPIO22", 0)
        while b'"v":10' not in await process.stdout.readline():
            pass
        process.terminate()
        await process.communicate()
        assert process.returncode == 0
    assert json.loads((tmp_path / "kept" / "digital_inputs.totals.json").read_text()) == {"water": 10}


def held(gpio, line, consumer):
    """Somebody else uses a line; returns the request, to be released."""
    chip = gpio.chips["gpiochip0"]
    return chip.request([chip.offset(line)], LineConfig()._asdict(), 16, consumer)


async def test_a_misspelt_line_beside_a_counter_costs_no_pulse(tmp_path, caplog):
    counter = {"kind": "counter", "name": "flow", "line": "GPIO22", "interval": 0.5}
    async with world_of(tmp_path) as gpio, watching(gpio, CONTACT | {"line": "GPI017"}, counter) as bridged:
        bad = await bridged.sample(lambda found: "door" in found)
        assert bad["door"].quality is Quality.BAD
        assert "did you mean GPIO17" in bad["door"].reason
        await gpio.pulses("GPIO22", 10, 100)
        found = await bridged.sample(lambda found: "flow" in found and found["flow"].value >= 100)
        assert found["flow"].value == 100
        assert caplog.text.count("GPI017") == 1
        assert bridged.bridge.failures == 0


async def test_a_busy_line_is_reported_once_tried_less_and_less_often_and_comes_back(tmp_path):
    async with world_of(tmp_path) as gpio:
        w1 = held(gpio, "GPIO4", "w1-gpio")
        busy = {"kind": "contact", "name": "busy", "line": "GPIO4"}
        async with watching(gpio, CONTACT | {"heartbeat": 60}, busy) as bridged:
            reported = 0
            for _ in range(6):  # five minutes of the other's heartbeat
                found = await bridged.sample()
                reported += "busy" in found
                assert "busy" not in found or "in use by w1-gpio" in found["busy"].reason
            assert reported == 1
            assert metric(bridged, "failures", "busy") < 20
            w1.release()
            found = await bridged.sample(lambda found: "busy" in found)
            assert (found["busy"].value, found["busy"].quality) == (False, Quality.GOOD)


async def test_a_line_that_is_lost_and_comes_again_fails_alone(tmp_path):
    signal = {"kind": "frequency", "name": "fan", "line": "OTHER"}
    async with world_of(tmp_path) as gpio:
        gpio.add("pca9539", ["OTHER"])
        async with watching(gpio, CONTACT | {"heartbeat": 0.5}, signal) as bridged:
            await bridged.sample(lambda found: "fan/duty" in found)
            request = gpio.chips["gpiochip1"].lines[0].request
            request.release()  # its events end, as when this chip alone is unplugged
            lost = await bridged.sample(lambda found: "fan" in found)
            assert lost["fan"].quality is Quality.BAD
            assert (await bridged.sample(lambda found: "door" in found))["door"].quality is Quality.GOOD
            await bridged.sample(lambda found: "fan/duty" in found)


@pytest.mark.parametrize(("edges", "total"), [("rising", 10), ("falling", 10), ("both", 20)])
async def test_a_counter_counts_the_edges_of_its_setting(tmp_path, edges, total):
    counter = {"kind": "counter", "name": "flow", "line": "GPIO22", "interval": 0.5, "edges": edges}
    async with world_of(tmp_path) as gpio, watching(gpio, counter) as bridged:
        await bridged.sample()
        await gpio.pulses("GPIO22", 10, 10)
        found = await bridged.sample(lambda found: found["flow"].value >= total)
        assert found["flow"].value == total
        await bridged.sample()
        found = await bridged.sample()
        assert found["flow"].value == total


def test_a_total_has_the_digits_of_what_a_pulse_stands_for():
    counter = {"kind": "counter", "name": "water", "line": "GPIO22", "per_pulse": 0.1}
    settings, totals = settings_of(DigitalInputs, inputs=[counter]).inputs[0], Totals(None)
    found = []
    for _ in range(1000):
        totals.add("water", 1)
        found.append(settings.total(totals).value)
    assert found == [round(0.1 * count, 1) for count in range(1, 1001)]


async def test_a_total_is_set_to_what_the_meter_shows_and_kept(tmp_path):
    counter = {"kind": "counter", "name": "water", "line": "GPIO22", "interval": 0.5}
    counter |= {"per_pulse": 0.001, "unit": "m3"}
    totals = Totals(tmp_path / "totals.json")
    async with world_of(tmp_path) as gpio, watching(gpio, counter, CONTACT, totals=totals) as bridged:
        await bridged.sample()
        result = await tell(bridged, "water", value=1234.567)
        assert (result.ok, [(r.name, r.value, r.unit) for r in result.readings]) == (
            True,
            [("water", 1234.567, "m3")],
        )
        await gpio.pulses("GPIO22", 10, 3)
        found = await bridged.sample(lambda found: "water" in found and found["water"].value > 1234.5695)
        assert found["water"].value == pytest.approx(1234.57)
        for name, value, words in (
            ("water", -1, "is not a number from 0"),
            ("water", float("inf"), "is not a number"),
            ("water", "x", "is not a number"),
            ("door", 1, "Known are water"),
        ):
            refused = await tell(bridged, name, value=value)
            assert (refused.ok, words in refused.detail) == (False, True), refused.detail
    totals.save()
    assert Totals(tmp_path / "totals.json").get("water") == 1_234_570


async def test_a_command_where_nothing_can_be_set_is_answered(tmp_path):
    async with world_of(tmp_path) as gpio, watching(gpio, CONTACT) as bridged:
        await bridged.sample()
        result = await tell(bridged, "door", value=1)
        assert (result.ok, "this device takes no commands" in result.detail) == (False, True)


@pytest.mark.parametrize("lines", [("GPIO22", "gpio22"), ("GPIO22", "22"), ("BOARD15", 22)])
async def test_two_views_of_one_line(tmp_path, lines):
    chip = {"chip": "pinctrl-bcm2711"}
    inputs = [
        {"kind": "counter", "name": "turns", "line": lines[0], "interval": 0.5} | chip,
        {"kind": "frequency", "name": "speed", "line": lines[1], "interval": 0.5} | chip,
        {"kind": "contact", "name": "blade", "line": lines[0]} | chip,
    ]
    async with world_of(tmp_path) as gpio, watching(gpio, *inputs) as bridged:
        await bridged.sample()
        await gpio.pulses("GPIO22", 50, 100)
        speed = await bridged.sample(lambda found: "speed" in found)
        assert speed["speed"].value == pytest.approx(50, rel=0.01)
        turns = await bridged.sample(lambda found: "turns" in found and found["turns"].value >= 100)
        assert turns["turns"].value == 100
        assert metric(bridged, "edges", "turns+speed+blade") == 200


async def test_two_views_of_one_line_lose_no_pulse_in_an_overflow(tmp_path):
    inputs = [
        {"kind": "counter", "name": "turns", "line": "GPIO22", "interval": 0.5},
        {"kind": "frequency", "name": "speed", "line": "GPIO22", "interval": 0.5},
    ]
    async with world_of(tmp_path) as gpio, watching(gpio, *inputs) as bridged:
        await bridged.sample()
        for n in range(5000):  # before any can be read, 1000 a second
            gpio.drive("GPIO22", 1, now_ns() + n * S // 1000)
            gpio.drive("GPIO22", 0, now_ns() + n * S // 1000 + S // 2000)
        await asyncio.sleep(5)
        speed = await bridged.sample(lambda found: "speed" in found)
        assert speed["speed"].value == pytest.approx(1000, rel=0.01)
        turns = await bridged.sample(lambda found: "turns" in found and found["turns"].value >= 4999)
        gpio.drive("GPIO22", 1)
        turns = await bridged.sample(lambda found: "turns" in found and found["turns"].value > turns["turns"].value)
        assert turns["turns"].value == 5001


@pytest.mark.parametrize("by", ["kernel", "software"])
async def test_debouncing_for_minutes(tmp_path, by):
    async with world_of(tmp_path) as gpio:
        if by == "software":
            without_debounce(gpio.chips["gpiochip0"])
        async with watching(gpio, CONTACT | {"debounce": 120, "heartbeat": 50_000}) as bridged:
            await bridged.sample()
            gpio.drive("GPIO17", 1)
            await asyncio.sleep(100)
            gpio.drive("GPIO17", 0)  # a float switch in waves
            await asyncio.sleep(200)
            assert bridged.samples.empty()
            began = now_ns()
            gpio.drive("GPIO17", 1)
            assert (await bridged.sample())["door"].value is True
            assert 120 <= (now_ns() - began) / S < 121.5


async def test_what_is_not_known_yet_is_not_sent(tmp_path):
    inputs = [
        {"kind": "counter", "name": "flow", "line": "GPIO22", "interval": 1},
        {"kind": "frequency", "name": "fan", "line": "GPIO5", "interval": 1},
        {"kind": "encoder", "name": "axis", "line": "GPIO23", "line_b": "GPIO24", "interval": 1},
    ]
    async with world_of(tmp_path) as gpio, watching(gpio, *inputs) as bridged:
        for line in ("GPIO22", "GPIO5"):
            gpio.pulses(line, 200, 2000)
        rates = {"flow/rate": [], "fan": []}
        for _ in range(20):
            for name, reading in (await bridged.sample()).items():
                if name in rates:
                    rates[name].append(reading.value)
                assert name != "axis/speed" or reading.value == 0.0
        for values in rates.values():
            assert values, "known after a second"
            assert all(value == pytest.approx(200, rel=0.02) for value in values)


def test_totals_that_cannot_be_read_are_kept_aside(tmp_path, caplog):
    file = tmp_path / "totals.json"
    file.write_text("{")
    totals = Totals(file)
    totals.add("a", 3)
    totals.save()
    assert json.loads(file.read_text()) == {"a": 3}
    assert (tmp_path / "totals.damaged0").read_text() == "{"
    assert "begin at 0" in caplog.text


def test_totals_that_cannot_be_saved_are_reported_and_go_on(tmp_path, caplog):
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


def turn(gpio, times, steps=((0, 1), (1, 1), (1, 0), (0, 0))):
    for a, b in steps * times:
        gpio.drive("GPIO23", a)
        gpio.drive("GPIO24", b)


AXIS = {"kind": "encoder", "name": "axis", "line": "GPIO23", "line_b": "GPIO24", "interval": 0.05}


async def test_the_position_of_an_encoder_belongs_to_the_process_and_can_be_set(tmp_path):
    totals = Totals(None)
    async with world_of(tmp_path) as gpio:
        async with watching(gpio, AXIS, totals=totals) as bridged:
            await bridged.sample()
            turn(gpio, 5)
            await bridged.sample(lambda found: found["axis"].value == 20)
        async with watching(gpio, AXIS, totals=totals) as bridged:
            assert (await bridged.sample())["axis"].value == 20, "its lines were opened again"
            turn(gpio, 1)
            await bridged.sample(lambda found: found["axis"].value == 24)
            result = await tell(bridged, "axis", value=-7)
            assert (result.ok, result.readings[0].value) == (True, -7)
            found = await bridged.sample(lambda found: found["axis"].value == -7)
            assert found["axis/speed"].value == 0, "set, not turned"
            turn(gpio, 1)
            await bridged.sample(lambda found: found["axis"].value == -3)


class Edges(list):
    """Edges that came together, of which some were dropped before."""

    def __init__(self, edges, lost=0):
        super().__init__(edges)
        self.lost = lost


def test_a_position_is_uncertain_from_missed_edges_on_until_it_is_set():
    settings = settings_of(DigitalInputs, inputs=[AXIS]).inputs[0]
    totals = Totals(None)
    view = settings.view(Start(0, 0, totals, 7))
    view.feed(Edges([(0, 1, 8, 1, 1)]), 0)
    assert settings.total(totals).quality is Quality.GOOD
    view.feed(Edges([(1, 1, 7, 5, 5)], lost=3), 0)
    uncertain = settings.total(totals)
    assert (uncertain.quality, uncertain.reason) == (Quality.UNCERTAIN, "3 edges were missed since it was set")
    assert settings.set_total(5, totals) == settings.total(totals)
    assert (settings.total(totals).value, settings.total(totals).quality) == (5, Quality.GOOD)


async def test_a_speed_is_uncertain_while_steps_were_missed(tmp_path):
    async with world_of(tmp_path) as gpio, watching(gpio, AXIS | {"interval": 0.5}) as bridged:
        await bridged.sample()
        turn(gpio, 1000)  # 4000 steps before any of them can be read
        fast = await bridged.sample(lambda found: found["axis"].value)
        assert fast["axis/speed"].quality is Quality.UNCERTAIN
        assert "unknown direction were missed" in fast["axis/speed"].reason
        turn(gpio, 1)
        found = await bridged.sample(lambda found: found["axis/speed"].quality is Quality.GOOD)
        assert found["axis/speed"].value in (0, 8)
        assert found["axis"].quality is Quality.UNCERTAIN, "until it is set"


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
async def test_a_line_that_does_not_exist_is_reported(tmp_path, members, words):
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
