"""The table of classes: what is moved."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from device_bridge import Parameter

from .methods import PWM, assign, plain, set_value, share
from .rows import Measure, Method, Row, always, line, number

_SPEED = Parameter("speed", "number", (0, 1), required=False, description="share of full speed; 1 without it")


_MOTOR_READINGS = (share("", lambda device: float(device.value), "speed, backward is negative", -1.0),)
_MOTOR_METHODS = (
    set_value(Parameter("value", range=(-1, 1), description="speed, backward is negative")),
    Method("forward", always(_SPEED), "forward"),
    Method("backward", always(_SPEED), "backward"),
    *plain("reverse", "stop"),
)


def _pulse_problem(settings: Any) -> tuple[str, str] | None:
    if settings.min_pulse_width >= settings.max_pulse_width:
        return "min_pulse_width", f"is not below max_pulse_width = {settings.max_pulse_width:g}"
    if settings.max_pulse_width >= settings.frame_width:
        return "max_pulse_width", f"is not below frame_width = {settings.frame_width:g}"
    return None


def _angle_problem(settings: Any) -> tuple[str, str] | None:
    low, high = _angles(settings)
    if low == high:
        return "max_angle", "is the same as min_angle"
    if settings.initial_angle is not None and not low <= settings.initial_angle <= high:
        return "initial_angle", f"is not between {low:g} and {high:g}"
    return _pulse_problem(settings)


def _angles(settings: Any) -> tuple[float, float]:
    return min(settings.min_angle, settings.max_angle), max(settings.min_angle, settings.max_angle)


_SERVO = (
    line("pin", "signal, the orange or white wire", drives=True),
    number("min_pulse_width", 0.001, 0.0001, 0.02, "seconds of a pulse at its least"),
    number("max_pulse_width", 0.002, 0.0001, 0.02, "seconds of a pulse at its greatest"),
    number("frame_width", 0.02, 0.002, 0.1, "seconds from pulse to pulse"),
)
_MOVES = plain("min", "mid", "max", "detach")

MOTORS = (
    Row(
        "Motor",
        "DC motor on an H bridge: L298N, DRV8833, L9110",
        (
            line("forward", "input for forward", drives=True),
            line("backward", "input for backward", drives=True),
            line("enable", "enable, where the bridge has it", drives=True, optional=True),
            PWM,
        ),
        _MOTOR_READINGS,
        (),
        _MOTOR_METHODS,
        on="forward",
        safe="stop",
    ),
    Row(
        "PhaseEnableMotor",
        "DC motor on a bridge with phase and enable: DRV8835",
        (line("phase", "direction", drives=True), line("enable", "enable", drives=True), PWM),
        _MOTOR_READINGS,
        (),
        _MOTOR_METHODS,
        on="forward",
        safe="stop",
    ),
    Row(
        "Servo",
        "hobby servo",
        (*_SERVO, number("initial_value", None, -1, 1, "position from the start; null: detached")),
        (share("", attrgetter("value"), "position", -1.0),),
        (),
        (set_value(Parameter("value", range=(-1, 1), description="position"), "moves it"), *_MOVES),
        on="max",
        safe="detach",
        check=_pulse_problem,
    ),
    Row(
        "AngularServo",
        "hobby servo by its angle",
        (
            *_SERVO,
            number("min_angle", -90, -360, 360, "degrees at min_pulse_width"),
            number("max_angle", 90, -360, 360, "degrees at max_pulse_width"),
            number("initial_angle", None, -360, 360, "angle from the start; null: detached"),
        ),
        (Measure("", attrgetter("angle"), "deg", _angles, "angle", "detached"),),
        (),
        (
            Method(
                "",
                lambda s: (Parameter("value", range=_angles(s), unit="deg", description="angle"),),
                "moves it",
                assign("angle"),
            ),
            *_MOVES,
        ),
        on="max",
        safe="detach",
        check=_angle_problem,
    ),
)
