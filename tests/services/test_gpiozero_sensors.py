"""gpiozero_device: what its sensors tell, and when they say that they have no value."""

import asyncio
import ctypes
import itertools
import socket
import struct
import threading

import pytest

from device_bridge import DeviceError, Quality, SettingsError
from gpiozero_device.classes import makers
from gpiozero_device.emulator import Converter
from gpiozero_device.lines import spi
from gpiozero_device.lines.pins import PinlessFactory
from gpiozero_device.service import GpiozeroDevice
from gpiozero_device.threads import EventQueue

from .gpiozero_world import bridged_to, tell, value_of, world_of
from .serving import settings_of
from .test_gpiozero_classes import CONVERTERS

LEVEL = {"device": "DistanceSensor", "echo": "GPIO24", "trigger": "GPIO23", "queue_len": 3, "interval": 0.05}


async def test_distances_are_within_a_centimetre_over_the_whole_range(tmp_path):
    async with world_of(tmp_path) as world, bridged_to(world, LEVEL) as bridged:
        for distance_m in (0.02, 0.05, 0.28, 0.32, 1.0, 2.5, 3.99):
            world.distance_m = distance_m
            found = await bridged.sample(lambda sample, m=distance_m: abs((sample["it"].value or 9) - m) < 0.01)
            assert found["it"].quality is Quality.GOOD
            assert found["it/in_range"].value is (distance_m < 0.3)


async def test_no_echo_is_no_value_and_no_far_wall(tmp_path):
    async with world_of(tmp_path) as world, bridged_to(world, LEVEL | {"max_distance": 2.0}) as bridged:
        world.distance_m = None
        first = await bridged.sample()
        assert (first["it"].value, first["it"].quality, first["it"].reason) == (None, Quality.BAD, "no echo")
        for distance_m, is_heard in ((1.5, True), (3.0, False), (1.9, True), (None, False), (0.5, True)):
            world.distance_m = distance_m
            found = await bridged.sample(lambda sample, heard=is_heard: (sample["it"].value is not None) is heard)
            if is_heard:
                found = await bridged.sample(
                    lambda sample, m=distance_m: sample["it"].value == pytest.approx(m, abs=0.01)
                )
            else:
                assert found["it"].quality is found["it/in_range"].quality is Quality.BAD


async def test_a_short_press_is_reported_as_well_and_all_in_their_order(tmp_path):
    async with world_of(tmp_path) as world, bridged_to(world, {"device": "Button", "pin": "GPIO17"}) as bridged:
        assert await value_of(bridged) is False
        for level in (0, 1) * 10:
            world.gpio.drive("GPIO17", level)
        found = [await value_of(bridged)]
        while len(found) < 20:
            value = await value_of(bridged)
            if value is not found[-1]:  # what is there is reported from time to time as well
                found.append(value)
        assert found == [True, False] * 10


async def test_a_button_that_is_held_says_so(tmp_path):
    button = {"device": "Button", "pin": "GPIO17", "hold_time": 0.05}
    async with world_of(tmp_path) as world, bridged_to(world, button) as bridged:
        await bridged.sample()
        world.gpio.drive("GPIO17", 0)
        assert await value_of(bridged, "it/held", bool)
        world.gpio.drive("GPIO17", 1)
        assert not await value_of(bridged, "it/held", lambda value: not value)


async def test_an_encoder_counts_every_step_both_ways_and_is_set(tmp_path):
    encoder = {"device": "RotaryEncoder", "a": "GPIO5", "b": "GPIO6", "max_steps": 0}
    async with world_of(tmp_path) as world, bridged_to(world, encoder) as bridged:
        assert await value_of(bridged) == 0
        await world.turn(32)
        assert await value_of(bridged, wanted=lambda value: value == 32) == 32
        assert (await tell(bridged, "it", value=-5)).ok
        await world.turn(-4)
        assert await value_of(bridged, wanted=lambda value: value == -9) == -9


@pytest.mark.parametrize("chip", CONVERTERS)
async def test_a_converter_reads_what_is_at_its_input(chip, tmp_path):
    bits = 10 if chip.startswith("MCP30") else 12
    chosen = 0 if chip.endswith("1") else 3 if chip.endswith("02") and chip != "MCP3302" else 4
    async with world_of(tmp_path) as world:
        world.converter = Converter(bits, chosen, signed=chip.startswith("MCP33"))
        channel = 1 if chosen else 0
        settings = {"device": chip, "max_voltage": 5.0, "interval": 0.01} | CONVERTERS[chip]
        async with bridged_to(world, settings) as bridged:
            for ratio in (0.123, 1.0):
                world.converter.ratios[channel] = ratio
                wanted = 5.0 * ratio
                near = 5.0 / 2**bits * 1.01
                await value_of(bridged, wanted=lambda value, w=wanted, n=near: value == pytest.approx(w, abs=n))


async def test_a_converter_that_is_not_there_has_no_value(tmp_path):
    settings = {"device": "MCP3008", "interval": 0.05} | CONVERTERS["MCP3008"]
    async with world_of(tmp_path) as world:
        world.gpio.chips["gpiochip0"].on_level = None
        async with bridged_to(world, settings) as bridged:
            found = await bridged.sample()
            assert (found["it"].quality, "no converter answers" in found["it"].reason) == (Quality.BAD, True)


async def test_a_chip_without_resistors_will_do_for_what_is_driven(tmp_path):
    converter = {"name": "poti", "device": "MCP3008"} | CONVERTERS["MCP3008"]
    button = {"name": "button", "device": "Button", "pin": "GPIO17"}
    async with world_of(tmp_path) as world:
        world.gpio.chips["gpiochip0"].biases = False
        async with bridged_to(world, LEVEL | {"name": "level"}, converter, button) as bridged:
            found = {}
            while not {"level", "poti", "button"} <= found.keys():
                found |= await bridged.sample()
            assert found["level"].quality is found["poti"].quality is Quality.GOOD
            assert "bias = pull_up: this chip cannot" in found["button"].reason


async def test_steps_are_kept_and_uncertain_when_an_encoder_was_away_until_they_are_set(tmp_path):
    encoder = {"device": "RotaryEncoder", "a": "GPIO5", "b": "GPIO6"}
    async with world_of(tmp_path) as world, bridged_to(world, encoder) as bridged:
        await bridged.sample()
        await world.turn(3)
        assert await value_of(bridged, wanted=lambda value: value == 3) == 3
        world.gpio.disconnect()
        found = await bridged.sample(lambda sample: sample["it"].quality is Quality.UNCERTAIN)
        assert (found["it"].value, "missed" in found["it"].reason) == (3, True)
        assert (await tell(bridged, "it", value=5)).ok
        found = await bridged.sample(lambda sample: sample["it"].quality is Quality.GOOD)
        assert found["it"].value == 5


async def test_channels_of_one_converter_share_its_lines(tmp_path):
    names = ("a", "b")
    one = {"device": "MCP3008", "interval": 0.02} | CONVERTERS["MCP3008"]
    devices = [one | {"name": name, "channel": channel} for channel, name in enumerate(names)]
    async with world_of(tmp_path) as world, bridged_to(world, *devices) as bridged:
        world.converter.ratios[:2] = 0.25, 0.75
        for name, volts in zip(names, (0.825, 2.475), strict=True):
            await value_of(bridged, name, lambda value, v=volts: value == pytest.approx(v, abs=0.005))


def test_the_kernels_spi_is_asked_as_spidev_wants_it(tmp_path, monkeypatch):
    node = tmp_path / "spidev0.0"
    node.touch()
    asked = []

    def answer(fd, request, message):
        sent, got, length, speed_hz, *_ = struct.unpack("=QQIIHBBBBBB", message)
        asked.append((request, length, speed_hz))
        memory = {address: (ctypes.c_uint8 * length).from_address(address) for address in (sent, got)}
        memory[got][:] = [byte ^ 0xFF for byte in memory[sent]]

    monkeypatch.setattr(spi.fcntl, "ioctl", answer)
    with spi.spi_of(PinlessFactory(), {"path": str(node), "shared": True}) as bus:
        assert bus.transfer([1, 2, 3]) == [0xFE, 0xFD, 0xFC]
        assert bus.read(2) == [0xFF, 0xFF]
    assert asked == [(0x4020_6B00, 3, 500_000), (0x4020_6B00, 2, 500_000)]
    with pytest.raises(DeviceError, match="enable SPI, and give it to the container"):
        spi.spi_of(PinlessFactory(), {"path": str(node) + "9"})


@pytest.mark.parametrize(("answers", "is_there"), [(True, True), (False, False)])
def test_an_echo_request_is_answered_or_not(answers, is_there, monkeypatch):
    monkeypatch.setattr(makers, "_PING_S", 10.0 if answers else 0.01)
    asking, host = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    with asking, host:
        for one in (asking, host):
            one.bind(("127.0.0.1", 0))
        asking.setblocking(False)

        def reply():
            request, address = host.recvfrom(100)
            assert request[0] == 8
            for number in (b"\xff\xff", request[6:8]) if answers else ():
                host.sendto(b"\x00" + request[1:6] + number, address)

        thread = threading.Thread(target=reply)
        thread.start()
        assert makers.request_echo(asking, 8, host.getsockname()) is is_there
        thread.join(60)


async def test_what_gpiozeros_threads_hand_over_is_bounded_and_in_order():
    events = EventQueue(asyncio.get_running_loop(), max_size=10)
    thread = threading.Thread(target=lambda: [events.put(n) for n in range(25)])
    thread.start()
    await asyncio.to_thread(thread.join)
    assert await events.get_all(60) == (list(range(15, 25)), 15)
    assert await events.get_all(0) == ([], 0)


async def test_a_busy_line_costs_its_own_device_alone_and_comes_back(tmp_path):
    devices = [{"name": f"b{n}", "device": "Button", "pin": line} for n, line in enumerate(("GPIO17", "GPIO27"))]
    async with world_of(tmp_path) as world:
        chip = world.gpio.chips["gpiochip0"]
        config = {"output": False, "active_low": False, "bias": "as_is", "drive": "push_pull", "rising": False}
        config |= {"falling": False, "debounce_us": 0, "values": 0}
        held = chip.request([chip.offset("GPIO17")], config, 1, "w1-gpio")
        async with bridged_to(world, *devices) as bridged:
            found = {}
            while found.keys() != {"b0", "b0/held", "b1", "b1/held"}:
                found |= await bridged.sample()
            assert "in use by w1-gpio" in found["b0"].reason
            assert found["b1"].quality is Quality.GOOD
            held.release()
            assert await value_of(bridged, "b0", lambda value: value is not None) is False


async def test_a_chip_that_was_away_is_found_again(tmp_path):
    devices = [
        {"name": "button", "device": "Button", "pin": "GPIO17"},
        {"name": "hall", "device": "MotionSensor", "pin": "GPIO4", "sample_rate": 50},
        {"name": "lamp", "device": "LED", "pin": "GPIO22", "initial_value": True},
        LEVEL | {"name": "level"},
    ]
    async with world_of(tmp_path) as world, bridged_to(world, *devices) as bridged:
        told = {name: [] for name in ("button", "hall", "lamp", "level")}

        async def until_told(*qualities):
            while any(tuple(seen) != qualities for seen in told.values()):
                for name, reading in (await bridged.sample()).items():
                    seen = told.get(name, [reading.quality])
                    if seen[-1:] != [reading.quality]:
                        seen.append(reading.quality)

        await until_told(Quality.GOOD)
        world.gpio.disconnect()
        await until_told(Quality.GOOD, Quality.BAD, Quality.GOOD)


async def test_a_time_of_day_is_no_value_while_the_clock_is_not_set(tmp_path):
    day = {"device": "TimeOfDay", "start_time": "00:00", "end_time": "23:59:59", "interval": 0.05}
    async with world_of(tmp_path) as world, bridged_to(world, day, {"device": "LED", "pin": 22, **LAMP}) as bridged:
        assert await value_of(bridged, "lamp", bool) is True
        bridged.node.has_time = lambda: False
        found = (await bridged.sample(lambda found: getattr(found.get("it"), "value", 0) is None))["it"]
        assert (found.quality, found.reason) == (Quality.BAD, "the node's clock is not set")
        assert await value_of(bridged, "lamp", lambda value: not value) is False, "a rule has no time to go by"


LAMP = {"name": "lamp", "source": "it", "interval": 0.05}


async def test_values_are_not_those_from_before_gpiozeros_thread_has_ended(tmp_path, monkeypatch):
    def end(_):
        raise ReferenceError("gpiozero's thread ends by it, and says nothing")

    async with world_of(tmp_path) as world, bridged_to(world, LEVEL | {"interval": 0.05}) as bridged:
        assert await value_of(bridged, wanted=lambda value: value is not None) == pytest.approx(1.0, abs=0.01)
        monkeypatch.setattr(makers.EchoDistanceSensor, "_read", end)
        found = (await bridged.sample(lambda found: found["it"].quality is not Quality.GOOD))["it"]
        assert (found.value, "thread has ended" in found.reason) == (None, True)
        monkeypatch.undo()
        assert await value_of(bridged, wanted=lambda value: value is not None) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("text", ["-274000", "nan", "inf"])
async def test_what_a_thermal_zone_says_without_a_temperature_is_none(tmp_path, text):
    (tmp_path / "temp").write_text(f"{text}\n")
    zone = {"device": "CPUTemperature", "sensor_file": str(tmp_path / "temp"), "interval": 0.05}
    async with world_of(tmp_path) as world, bridged_to(world, zone) as bridged:
        found = await bridged.sample()
        assert {name: (one.value, one.quality) for name, one in found.items()} == {
            "it": (None, Quality.BAD),
            "it/hot": (None, Quality.BAD),
        }


SETTINGS_ERRORS = [
    ([{"device": "Lamp", "pin": 1}], "devices", "is none of the values"),
    ([{"device": "LED"}], "devices", "pin"),
    ([{"device": "LED", "pin": 1, "colour": "red"}], "devices", "colour"),
    ([LEVEL | {"max_distance": 40}], "devices", "<= 10"),
    ([LEVEL | {"threshold_distance": 5}], "devices.threshold_distance", "is not below max_distance = 4"),
    ([LEVEL | {"trigger": "GPIO24"}], "devices.trigger", "is used by it already"),
    ([{"device": "Button", "pin": 1, "pull_up": None}], "devices.active_state", "is required where pull_up is null"),
    ([{"device": "Button", "pin": 1, "active_state": True}], "devices.active_state", "pull_up = null"),
    ([{"device": "TimeOfDay", "start_time": "25:00", "end_time": "08:00"}], "devices.start_time", "no time of day"),
    ([{"device": "TimeOfDay", "start_time": "08:00", "end_time": "08:00"}], "devices.end_time", "the same"),
    ([{"device": "RotaryEncoder", "a": 1, "b": 2, "max_steps": 0, "wrap": True}], "devices.wrap", "needs max_steps"),
    ([{"device": "MCP3008", "clock_pin": 1}], "devices.clock_pin", "is required with miso_pin and select_pin"),
    ([{"device": "MCP3008", "channel": 8}], "devices", "<= 7"),
    (
        [{"device": "MCP3008", "clock_pin": 1, "spi_device": "/dev/spidev0.0"}],
        "devices.spi_device",
        "is given beside lines",
    ),
    ([{"device": "Servo", "pin": 1, "min_pulse_width": 0.003}], "devices.min_pulse_width", "is not below"),
    (
        [{"device": "AngularServo", "pin": 1, "initial_angle": 91}],
        "devices.initial_angle",
        "is not between -90 and 90",
    ),
    ([{"device": "TonalBuzzer", "pin": 1, "mid_tone": "H4"}], "devices.mid_tone", "is no note"),
    ([{"device": "TonalBuzzer", "pin": 1, "octaves": 3}], "devices.octaves", "reaches 3520 Hz"),
    ([{"device": "LEDBoard", "pins": []}], "devices", "length"),
    ([{"device": "LED", "pin": 1, "source": "knob"}], "devices.source", "is no other device"),
    ([{"device": "LED", "pin": 1, "source": "it"}], "devices.source", "is no other device"),
    ([{"device": "LED", "pin": 1}, {"device": "LED", "pin": 2}], "devices.name", "is used twice"),
    ([{"device": "LED", "pin": 1}, {"device": "LED", "pin": 2, "name": "it/on"}], "devices.name", "is used twice"),
    ([{"device": "LED", "pin": 1}, {"device": "LED", "pin": "gpio1", "name": "b"}], "devices.pin", "is used by it"),
]


@pytest.mark.parametrize(("devices", "field", "words"), SETTINGS_ERRORS, ids=itertools.count())
def test_wrong_settings_are_refused_before_anything_is_opened(devices, field, words):
    with pytest.raises(SettingsError) as caught:
        GpiozeroDevice.check_settings(settings_of(GpiozeroDevice, devices=[{"name": "it"} | one for one in devices]))
    assert field in caught.value.field
    assert words in str(caught.value)
