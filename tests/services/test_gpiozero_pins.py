"""gpiozero's own devices on emulated chips, through our pin factory."""

import asyncio
import contextlib
import threading
import time

import gpiozero
import pytest

from device_bridge import DeviceError
from gpiozero_device.lines.pins import GpioChipFactory
from simulated_devices import SimulatedGpio


@pytest.fixture
def world(tmp_path):
    """Chips served by another thread, and a factory over them."""
    loop = asyncio.new_event_loop()
    gpio = SimulatedGpio(tmp_path / "gpio")
    gpio.add("gpio-0-31", [f"P8_{n:02}" for n in range(32)])
    ready, stop = threading.Event(), asyncio.Event()

    async def serve():
        async with gpio.serving():
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(60)
    factory = GpioChipFactory(f"sim:{gpio.path}")

    async def driven(line, levels):  # at once, for the chip's clock is the real one
        for level in levels:
            gpio.drive(line, level)

    def drive(line, *levels):
        asyncio.run_coroutine_threadsafe(driven(line, levels), loop).result(60)

    try:
        yield gpio, factory, drive
    finally:
        factory.close()
        loop.call_soon_threadsafe(stop.set)
        thread.join(60)
        loop.close()


def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_a_led_and_a_button_on_a_board_that_is_no_pi(world):
    gpio, factory, drive = world
    with gpiozero.LED("P8_10", pin_factory=factory) as led:
        led.on()
        assert gpio.level("P8_10") == 1
        led.off()
        assert gpio.level("P8_10") == 0
    pressed = threading.Event()
    with gpiozero.Button("gpio-0-31:11", pin_factory=factory) as button:
        assert not button.is_pressed
        button.when_pressed = pressed.set
        drive("P8_11", 0)
        assert pressed.wait(60)
        assert button.is_pressed


def test_bouncing_is_left_to_the_chip(world):
    _, factory, drive = world
    changes = []
    with gpiozero.Button("P8_11", pull_up=None, active_state=True, bounce_time=0.05, pin_factory=factory) as button:
        button.when_pressed = lambda: changes.append("pressed")
        button.when_released = lambda: changes.append("released")
        drive("P8_11", 1, 0, 1, 0, 1)
        until(lambda: changes)
        drive("P8_11", 0, 1, 0)
        until(lambda: len(changes) > 1)
        assert changes == ["pressed", "released"]


def test_a_rotary_encoder(world):
    _, factory, drive = world
    seen = []

    def noting(pin):
        act = pin.when_changed

        def note(ticks, state):
            act(ticks, state)
            seen.append(state)

        pin.when_changed = note
        return note

    with gpiozero.RotaryEncoder("P8_12", "P8_13", pin_factory=factory) as encoder:
        kept = [noting(contact.pin) for contact in (encoder.a, encoder.b)]  # gpiozero holds them weakly
        for n, (line, level) in enumerate([("P8_13", 0), ("P8_12", 0), ("P8_13", 1), ("P8_12", 1)] * 3):
            drive(line, level)
            until(lambda edges=n + 1: len(seen) == edges)  # each line tells its own edges; their order is the turn's
        assert abs(encoder.steps) == 3
        assert len(kept) == 2


def test_what_a_callback_does_may_be_a_pin_again(world):
    gpio, factory, drive = world
    with gpiozero.Button("P8_11", pin_factory=factory) as button, gpiozero.LED("P8_10", pin_factory=factory) as led:
        button.when_pressed, button.when_released = led.on, led.off
        for level in (0, 1, 0):
            drive("P8_11", level)
            until(lambda lit=1 - level: gpio.level("P8_10") == lit)


def test_pulses_are_made_and_end_at_the_level_of_the_safe_state(world):
    gpio, factory, _ = world
    factory.safe_levels["P8_10"] = 1
    levels = []
    gpio.chips["gpiochip0"].on_level = lambda line, level: levels.append(level)
    with gpiozero.PWMLED("P8_10", active_high=False, frequency=200, pin_factory=factory) as lamp:
        assert gpio.level("P8_10") == 1, "from its first instant"
        lamp.value = 0.25
        until(lambda: len(levels) > 20)
        assert lamp.value == 0.25
        lamp.on()
        until(lambda: levels[-1] == 0 and lamp.value == 1)
    assert gpio.level("P8_10") == 1
    assert sorted(levels[:20]) == [0] * 10 + [1] * 10, "they alternate"


def test_a_line_that_was_given_up_is_not_taken_again_by_what_is_left_of_its_device(world):
    gpio, factory, _ = world
    led = gpiozero.LED("P8_10", pin_factory=factory)
    factory.detach("P8_10")
    with pytest.raises(DeviceError, match="its device is closed"):
        led.on()
    with gpiozero.LED("P8_10", pin_factory=factory) as another:
        another.on()
        led.close()
        assert gpio.level("P8_10") == 1


def test_errors_are_gpiozeros_own(world):
    _, factory, _ = world
    with pytest.raises(gpiozero.PinInvalidPin, match="no line is called 'GPIO17'"):
        gpiozero.LED("GPIO17", pin_factory=factory)
    with contextlib.ExitStack() as stack:
        button = stack.enter_context(gpiozero.Button("P8_11", pin_factory=factory))
        with pytest.raises(gpiozero.PinSetInput):
            button.pin.state = 1
        with pytest.raises(gpiozero.PinInvalidPull):
            button.pin.pull = "sideways"
        with pytest.raises(gpiozero.PinInvalidFunction):
            button.pin.function = "dance"


def test_without_chips_it_says_what_to_do(tmp_path):
    with pytest.raises(DeviceError, match="give the container /dev/gpiochipN"):
        GpioChipFactory(str(tmp_path))
