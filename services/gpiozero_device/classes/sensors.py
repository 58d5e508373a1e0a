"""The table of classes: what measures. Defaults are gpiozero's, ranges those of the parts' data sheets."""

from __future__ import annotations

import math
from operator import attrgetter
from typing import Annotated, Any

from msgspec import Meta

from device_bridge import Parameter

from .rows import TIME_OF_DAY, Event, Measure, Method, Option, Row, flag, line, number, text

_BOUNCE = number("bounce_time", None, 0.0001, 10, "seconds for which a level has to stay to count; the kernel waits")
_NO_TEMPERATURE = "the zone has no temperature yet"
_NO_TEMPERATURE_CEL = -274.0
"""What a zone of the kernel says for that (THERMAL_TEMP_INVALID)."""
_QUEUE = "readings that it takes the {} of"


def _pulled(*, up: bool) -> tuple[Option, ...]:
    """How an input is wired: `pull_up`, and what is active where nothing pulls."""
    return (
        Option("pull_up", Annotated[bool | None, Meta(description="resistor up or down; null for none")], up),
        Option("active_state", Annotated[bool | None, Meta(description="active level, with pull_up = null")], None),
    )


def _pull_problem(settings: Any) -> tuple[str, str] | None:
    if settings.pull_up is None and settings.active_state is None:
        return "active_state", "is required where pull_up is null: nothing else says which level is active"
    if settings.pull_up is not None and settings.active_state is not None:
        return "active_state", "is for a line that nothing pulls: with pull_up = null"
    return None


def _smoothed(queue: int, average: str, rate: float, threshold: float) -> tuple[Option, ...]:
    return (
        number("queue_len", queue, 1, 1000, _QUEUE.format(average), whole=True),
        number("sample_rate", rate, 0.1, 1000, "readings in a second"),
        number("threshold", threshold, 0.001, 0.999, "share of active readings above which it is active"),
    )


def _distance_problem(settings: Any) -> tuple[str, str] | None:
    if settings.threshold_distance >= settings.max_distance:
        return "threshold_distance", f"is not below max_distance = {settings.max_distance:g}"
    return None


def _encoder_problem(settings: Any) -> tuple[str, str] | None:
    return (
        ("wrap", "needs max_steps: there is nothing to wrap at") if settings.wrap and not settings.max_steps else None
    )


def _steps(settings: Any) -> tuple[float, float]:
    most = settings.max_steps or 2**31
    return -most, most


def _time_problem(settings: Any) -> tuple[str, str] | None:
    for name in ("start_time", "end_time"):
        if not TIME_OF_DAY.fullmatch(getattr(settings, name)):
            return name, "is no time of day, as 07:30 or 07:30:15"
    return ("end_time", "is the same as start_time") if settings.start_time == settings.end_time else None


def _temperature(device: Any) -> float | None:
    found: float = device.temperature
    return found if _NO_TEMPERATURE_CEL < found < math.inf else None


def _is_hot(device: Any) -> bool | None:
    found = _temperature(device)
    return None if found is None else found > device.threshold


def _adc_problem(settings: Any) -> tuple[str, str] | None:
    pins = [getattr(settings, name) for name in ("clock_pin", "miso_pin", "select_pin")]
    if settings.spi_device:
        return (
            ("spi_device", "is given beside lines: the one or the other")
            if any(p is not None for p in pins)
            else None
        )
    if None in pins:
        return "clock_pin", "is required with miso_pin and select_pin, or spi_device instead of them"
    if settings.mosi_pin is None and getattr(settings, "channel", None) is not None:
        return "mosi_pin", "is required: the channel is said there"
    return None


def _adc(name: str, bits: int, channels: int, *, signed: bool = False) -> Row:
    """An MCP3xxx: chips with one channel have no option for it, and are differential by themselves."""
    chosen: tuple[Option, ...] = ()
    if channels:
        chosen = (
            number("channel", 0, 0, channels - 1, "input, from 0", whole=True),
            flag("differential", False, "the difference of two inputs"),
        )

    def volts(settings: Any) -> tuple[float, float]:
        negative = signed and getattr(settings, "differential", True)
        return (-settings.max_voltage if negative else 0.0), settings.max_voltage

    inputs = f"{channels} inputs" if channels else "one differential input"
    return Row(
        name,
        f"analogue to digital converter, {bits} bits, {inputs}, on SPI",
        (
            *chosen,
            number("max_voltage", 3.3, 0.1, 7, "reference voltage"),
            line("clock_pin", "CLK", shared=True, optional=True),
            line("mosi_pin", "DIN", shared=True, optional=True),
            line("miso_pin", "DOUT", shared=True, optional=True)._replace(is_driven=True),
            line("select_pin", "CS", shared=True, optional=True),
            text("spi_device", "`/dev/spidev0.0`: the kernel's SPI instead of lines", ""),
        ),
        (Measure("", attrgetter("voltage"), "V", volts, "voltage"),),
        sends="all",
        interval=1.0,
        check=_adc_problem,
        shares=True,
        make="converter",
    )


SENSORS = (
    Row(
        "DistanceSensor",
        "ultrasonic distance sensor: HC-SR04, HC-SR04P, US-100, JSN-SR04T",
        (
            line("echo", "ECHO, by a divider where the sensor has 5 V")._replace(is_driven=True),
            line("trigger", "TRIG", drives=True),
            number("queue_len", 9, 1, 1000, _QUEUE.format("median"), whole=True),
            number("max_distance", 4.0, 0.02, 10, "metres; what is farther away is no echo"),
            number("threshold_distance", 0.3, 0.001, 10, "metres, below which something is in range"),
            number("speed_of_sound", 343.26, 300, 400, "metres in a second: 331.3 + 0.606 for each degree Celsius"),
        ),
        (
            Measure("", attrgetter("echo_distance"), "m", lambda s: (0.0, s.max_distance), "distance", "no echo"),
            Measure("in_range", attrgetter("is_in_range"), "", None, "nearer than threshold_distance", "no echo"),
        ),
        sends="all",
        interval=1.0,
        check=_distance_problem,
        make="distance_sensor",
    ),
    Row(
        "MotionSensor",
        "passive infrared motion detector (PIR): HC-SR501, AM312",
        (line("pin", "OUT"), *_pulled(up=False), *_smoothed(1, "mean", 10, 0.5)),
        (Measure("", attrgetter("motion_detected"), "", None, "motion"),),
        (Event("when_motion", "", True), Event("when_no_motion", "", False)),
        check=_pull_problem,
    ),
    Row(
        "LightSensor",
        "photoresistor (LDR) that charges a capacitor",
        (
            line("pin", "between resistor and capacitor"),
            number("queue_len", 5, 1, 1000, _QUEUE.format("median"), whole=True),
            number("charge_time_limit", 0.01, 0.0001, 10, "seconds after which it is dark"),
            number("threshold", 0.1, 0.001, 0.999, "value above which it is light"),
        ),
        (
            Measure("", attrgetter("value"), "/", lambda _: (0.0, 1.0), "0 dark to 1 light"),
            Measure("light", attrgetter("light_detected"), "", None, "light"),
        ),
        (Event("when_light", "light", True), Event("when_dark", "light", False)),
        sends="all",
        interval=1.0,
    ),
    Row(
        "LineSensor",
        "infrared reflection sensor: TCRT5000",
        (line("pin", "OUT"), *_pulled(up=False), *_smoothed(5, "median", 100, 0.5)),
        (Measure("", attrgetter("line_detected"), "", None, "a line, where little is reflected"),),
        (Event("when_line", "", True), Event("when_no_line", "", False)),
        check=_pull_problem,
    ),
    Row(
        "Button",
        "push button, switch, contact",
        (
            line("pin", "the one side; the other is at ground, or at the supply with pull_up = false"),
            *_pulled(up=True),
            _BOUNCE,
            number("hold_time", 1.0, 0, 3600, "seconds after which it is held"),
            flag("hold_repeat", False, "held is reported again and again"),
        ),
        (
            Measure("", attrgetter("is_pressed"), "", None, "pressed"),
            Measure("held", attrgetter("is_held"), "", None, "pressed for hold_time"),
        ),
        (Event("when_pressed", "", True), Event("when_released", "", False), Event("when_held", "held", True)),
        check=_pull_problem,
    ),
    Row(
        "RotaryEncoder",
        "incremental encoder: KY-040",
        (
            line("a", "A (CLK)"),
            line("b", "B (DT)"),
            _BOUNCE,
            number("max_steps", 16, 0, 2**31 - 1, "steps from 0 to either end; 0: without end", whole=True),
            flag("wrap", False, "goes on at the other end"),
        ),
        (Measure("", attrgetter("steps"), "count", _steps, "steps, clockwise is positive"),),
        (Event("when_rotated"),),
        (
            Method(
                "",
                lambda s: (Parameter("value", "integer", _steps(s), description="steps"),),
                "sets the position",
                lambda device, p: setattr(device, "steps", p["value"]),
            ),
        ),
        check=_encoder_problem,
        keeps="steps",
        make="encoder",
    ),
    *(
        _adc(*chip)
        for chip in (
            ("MCP3001", 10, 0),
            ("MCP3002", 10, 2),
            ("MCP3004", 10, 4),
            ("MCP3008", 10, 8),
            ("MCP3201", 12, 0),
            ("MCP3202", 12, 2),
            ("MCP3204", 12, 4),
            ("MCP3208", 12, 8),
        )
    ),
    _adc("MCP3301", 12, 0, signed=True),
    _adc("MCP3302", 12, 4, signed=True),
    _adc("MCP3304", 12, 8, signed=True),
    Row(
        "CPUTemperature",
        "the processor's own thermometer",
        (
            text("sensor_file", "of the kernel, in thousandths", "/sys/class/thermal/thermal_zone0/temp"),
            number("threshold", 80.0, -40, 150, "degrees above which it is hot"),
        ),
        (
            Measure("", _temperature, "Cel", lambda _: (-40.0, 150.0), "temperature", _NO_TEMPERATURE),
            Measure("hot", _is_hot, "", None, "above threshold", _NO_TEMPERATURE),
        ),
        sends="all",
        interval=5.0,
    ),
    Row(
        "TimeOfDay",
        "a daily time, for rules",
        (
            text("start_time", "07:30 or 07:30:15", most=8),
            text("end_time", "as start_time; before it: the next day", most=8),
            flag("utc", True, "UTC; else the node's own time zone"),
        ),
        (Measure("", lambda device: bool(device.value), "", None, "between start_time and end_time"),),
        check=_time_problem,
        needs_time=True,
        make="time_of_day",
    ),
    Row(
        "PingServer",
        "a host on the network",
        (text("host", "name or address", pattern=r"^[A-Za-z0-9][A-Za-z0-9.:_-]*$"),),
        (Measure("", lambda device: bool(device.value), "", None, "answers an echo request"),),
        sends="all",
        interval=10.0,
        make="ping_server",
    ),
)
