"""The table of classes: what is switched."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Annotated, Any

from msgspec import Meta

from device_bridge import Parameter

from .methods import PWM, plain, set_value, share
from .rows import Line, Measure, Method, Option, Row, always, flag, line, number, text

_SECONDS = (0.01, 86_400.0)
_MOST_HZ = 2000.0
_NOTE = re.compile(r"[A-G][#b♯♭]?[0-9]")
_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11, "#": 1, "♯": 1, "b": -1, "♭": -1}

_ACTIVE_HIGH = flag("active_high", True, "whether high is on")
_FREQUENCY = number("frequency", 100, 0.1, 1000, "of the pulses, in Hz; they are made in software")
_LIGHT = Parameter("value", "level", (0, 1), description="brightness")
_ON_TIME = Parameter("on_time", range=_SECONDS, required=False, unit="s", description="on; 1 without it")
_OFF_TIME = Parameter("off_time", range=_SECONDS, required=False, unit="s", description="off; 1 without it")
_COUNT = Parameter("n", "integer", (1, 1_000_000), required=False, description="times; without end without it")
_FADES = tuple(
    Parameter(name, range=(0.0, 3600.0), required=False, unit="s", description="with pwm")
    for name in ("fade_in_time", "fade_out_time")
)
_COLOUR = tuple(Parameter(name, range=(0.0, 1.0), description="share") for name in ("red", "green", "blue"))


def _is_dimmed(settings: Any) -> bool:
    return bool(getattr(settings, "pwm", True))


def _fades(settings: Any) -> tuple[Parameter, ...]:
    return _FADES if _is_dimmed(settings) else ()


def _blinking(name: str = "blink", *, fades: bool = True) -> tuple[Method, ...]:
    def blink(settings: Any) -> tuple[Parameter, ...]:
        return (_ON_TIME, _OFF_TIME, *(_fades(settings) if fades else ()), _COUNT)

    def pulses(settings: Any) -> tuple[Parameter, ...]:
        return (*_FADES, _COUNT)

    found = (Method(name, blink, "on and off, again and again", goes_on=True),)
    pulse = Method("pulse", pulses, "fades in and out; with pwm", goes_on=True, offered=_is_dimmed)
    return (*found, pulse) if fades else found


_SWITCH = (set_value(Parameter("value", "boolean", description="on or off")), *plain("on", "off", "toggle"))
_LIT = (Measure("", lambda device: bool(device.value), "", None, "on"),)


def _of_colour(index: int) -> Callable[[Any], Any]:
    return lambda device: float(device.value[index])


def _leds(settings: Any) -> tuple[Measure, ...]:
    return tuple(share(str(n), _of_colour(n), "brightness") for n in range(len(settings.pins)))


def _some_leds(name: str) -> Method:
    def parameters(settings: Any) -> tuple[Parameter, ...]:
        led = Parameter("led", "integer", (0, len(settings.pins) - 1), required=False, description="that one only")
        return (led,)

    def call(device: Any, given: Mapping[str, Any]) -> None:
        getattr(device, name)(*given.values())

    says = {"on": "all on", "off": "all off", "toggle": "all the other way"}
    return Method(name, parameters, says[name], call)


def _all_leds(device: Any, given: Mapping[str, Any]) -> None:
    device.value = (given["value"],) * len(device)


def _tone_problem(settings: Any) -> tuple[str, str] | None:
    if not _NOTE.fullmatch(settings.mid_tone):
        return "mid_tone", "is no note, as A4, C#5 or Bb3"
    note = settings.mid_tone
    midi = 12 * (int(note[-1]) + 1) + sum(_SEMITONES[part] for part in note[:-1])
    highest = 440 * 2 ** ((midi - 69) / 12 + settings.octaves)
    if highest > _MOST_HZ or midi < 12 * settings.octaves:
        return "octaves", f"reaches {highest:.0f} Hz, or below the lowest note: pulses are made up to {_MOST_HZ:g} Hz"
    return None


def _play(device: Any, given: Mapping[str, Any]) -> None:
    tone, kind = given["tone"], type(device.mid_tone)
    if isinstance(tone, str) and _NOTE.fullmatch(tone):
        device.play(kind.from_note(tone))
    elif isinstance(tone, str | bool):
        raise ValueError(f"`tone` = {tone!r} is neither a note, as A4, nor a frequency in Hz")
    else:
        device.play(kind.from_frequency(tone))


ENERGENIE_LINES = tuple(f"BOARD{number}" for number in (11, 15, 16, 13, 18, 22))
"""Where the board has them; gpiozero knows no others."""

OUTPUTS = (
    Row(
        "LED",
        "lamp, relay",
        (line("pin", "by a resistor", drives=True), _ACTIVE_HIGH, flag("initial_value", False, "on from the start")),
        _LIT,
        (),
        (*_SWITCH, *_blinking(fades=False)),
        on="on",
        safe="off",
    ),
    Row(
        "PWMLED",
        "lamp that is dimmed",
        (
            line("pin", "by a resistor", drives=True),
            _ACTIVE_HIGH,
            number("initial_value", 0, 0, 1, "brightness from the start"),
            _FREQUENCY,
        ),
        (share("", attrgetter("value"), "brightness"),),
        (),
        (set_value(_LIGHT), *plain("on", "off", "toggle"), *_blinking()),
        on="on",
        safe="off",
    ),
    Row(
        "RGBLED",
        "lamp of three colours",
        (*(line(name, name, drives=True) for name in ("red", "green", "blue")), _ACTIVE_HIGH, PWM),
        tuple(share(name, _of_colour(n), name) for n, name in enumerate(("red", "green", "blue"))),
        (),
        (
            Method(
                "color",
                always(*_COLOUR),
                "sets all three",
                lambda device, p: setattr(device, "value", (p["red"], p["green"], p["blue"])),
            ),
            *plain("on", "off", "toggle"),
            *_blinking(),
        ),
        on="on",
        safe="off",
    ),
    Row(
        "LEDBoard",
        "several lamps",
        (
            Option(
                "pins",
                Annotated[tuple[Line, ...], Meta(min_length=1, max_length=64, description="a line for each")],
                is_line=True,
                drives=True,
            ),
            _ACTIVE_HIGH,
            flag("pwm", False, "by pulses, so that they can be dimmed"),
        ),
        _leds,
        (),
        (
            Method("", always(_LIGHT), "sets all of them", _all_leds),
            *(_some_leds(name) for name in ("on", "off", "toggle")),
            *_blinking(),
        ),
        on="on",
        safe="off",
        make="led_board",
    ),
    Row(
        "Buzzer",
        "buzzer with a tone of its own",
        (line("pin", "plus", drives=True), _ACTIVE_HIGH, flag("initial_value", False, "on from the start")),
        _LIT,
        (),
        (*_SWITCH, *_blinking("beep", fades=False)),
        on="on",
        safe="off",
    ),
    Row(
        "TonalBuzzer",
        "buzzer without a tone of its own",
        (
            line("pin", "plus", drives=True),
            text("mid_tone", "note in the middle of its range", "A4", most=3),
            number("octaves", 1, 1, 9, "above and below it", whole=True),
        ),
        (
            Measure(
                "",
                lambda device: float(device.tone or 0),
                "Hz",
                lambda _: (0.0, _MOST_HZ),
                "frequency, 0 for silence",
            ),
        ),
        (),
        (
            Method(
                "play",
                always(Parameter("tone", "any", description="note as A4, or frequency in Hz")),
                "a tone",
                _play,
            ),
            *plain("stop"),
        ),
        on="play_mid",
        safe="stop",
        check=_tone_problem,
        make="tonal_buzzer",
    ),
    Row(
        "Energenie",
        "mains socket by radio: Energenie ENER002-2PI",
        (
            Option("socket", Annotated[int, Meta(ge=1, le=4, description="its number")]),
            Option(
                "lines",
                Annotated[tuple[Line, ...], Meta(min_length=6, max_length=6, description="K0 to K3, mode, enable")],
                ENERGENIE_LINES,
                is_line=True,
                drives=True,
                shared=True,
            ),
            flag("initial_value", False, "on from the start"),
        ),
        (Measure("", attrgetter("value"), "", None, "as it was switched last"),),
        (),
        _SWITCH[:3],
        on="on",
        safe="off",
        make="energenie",
        shares=True,
    ),
)
