"""One GPIO line as a pin of gpiozero."""

from __future__ import annotations

import contextlib
import threading
from types import MethodType
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod, ref

from gpiozero import PinInvalidBounce, PinInvalidFunction, PinInvalidPull, PinPWMUnsupported, PinSetInput
from gpiozero.pins import Pin, PinInfo

from device_bridge import DeviceError, DeviceErrorKind
from device_bridge.buses import Bias, GpioLine, GpioLines, LineConfig
from device_bridge.control import SafeAct

from .pwm import Wave

if TYPE_CHECKING:
    from .pins import GpioChipFactory

_BIAS: dict[str, Bias] = {"up": "pull_up", "down": "pull_down", "floating": "disabled"}
_MOST_HZ = 2000.0


class GpioChipPin(Pin):  # type: ignore[misc]  # gpiozero is untyped
    """One line as a pin. Made by `GpioChipFactory.pin`."""

    def __init__(self, factory: GpioChipFactory, line: GpioLine, name: str) -> None:
        super().__init__()
        self._factory, self._line = factory, line
        self._info = PinInfo(0, name, frozenset({name}), "", 0, 0, frozenset({"gpio"}))
        self._config = LineConfig()
        self._edges = "both"
        self._lines: GpioLines | None = None
        self._wave: Wave | None = None
        self._callback: WeakMethod[Any] | ref[Any] | None = None
        self._turn = threading.RLock()
        self.is_detached = False

    def __repr__(self) -> str:
        return str(self._info.name)

    @property
    def _safe_level(self) -> int | None:
        return self._factory.safe_levels.get(self._info.name)

    def close(self) -> None:
        """Gives the line back; an output that has a safe state is in it then."""
        with self._turn:
            self._callback = None
            with contextlib.suppress(DeviceError):
                self._stop_pulses()
                if self._lines is not None and self._config.output and self._safe_level is not None:
                    self._factory.run(self._lines.set(self._safe_level))
            self._release()

    def safe_act(self) -> SafeAct | None:
        """How another process brings it to its level in the safe state; None where it has none."""
        with self._turn:
            lines, level = self._lines, self._safe_level
            if lines is None or level is None or not self._config.output:
                return None
            (fd, request, rest, rest_answer), (*_, other, other_answer) = (
                lines.set_act(level),
                lines.set_act(1 - level),
            )
            return SafeAct(fd, request, rest, other, off_answer=rest_answer, on_answer=other_answer)

    def _release(self) -> None:
        lines, self._lines = self._lines, None
        if lines is not None:
            self._factory.watcher.unwatch(lines)
            with contextlib.suppress(DeviceError):
                self._factory.run(lines.close())

    def _request(self, config: LineConfig) -> GpioLines:
        """Requests the line again, if that changes anything. Raises DeviceError, and has it as it was before then."""
        with self._turn:
            if self._lines is not None and config == self._config:
                return self._lines
            was_open = self._lines is not None
            self._release()
            before, self._config = self._config, config
            try:
                if self.is_detached:
                    raise DeviceError(DeviceErrorKind.GONE, str(self), "its device is closed")
                lines = self._lines = self._take(config, again=was_open)
                if config.rising or config.falling:
                    self._factory.watcher.watch(lines, self._on_edge, self._on_error)
            except DeviceError as error:
                self._config = before
                self._factory.report(self, error)
                raise
            return lines

    def _take(self, config: LineConfig, *, again: bool) -> GpioLines:
        try:
            return self._factory.request(self._line, config, again=again)
        except DeviceError as error:
            is_optional = self._info.name in self._factory.externally_driven and config.bias != "as_is"
            if error.kind is not DeviceErrorKind.BUS_FAULT or not is_optional:
                raise
            return self._factory.request(self._line, config._replace(bias="as_is"), again=False)

    def _on_edge(self, seconds: float, level: int) -> None:
        method = self._callback() if self._callback is not None else None
        if method is not None:
            method(seconds, level)

    def _on_error(self, error: DeviceError) -> None:
        self._factory.report(self, error)

    def _get_info(self) -> PinInfo:
        return self._info

    def _get_function(self) -> str:
        return "output" if self._config.output else "input"

    def _set_function(self, value: str) -> None:
        if value == "output":
            level = self._safe_level or 0
            self._request(LineConfig(output=True, values=level, bias=self._config.bias))
        elif value == "input":
            self._request(self._watching(self._config._replace(output=False, values=0)))
        else:
            raise PinInvalidFunction(f"invalid function {value!r} for pin {self!r}")

    def output_with_state(self, state: float) -> None:
        """An output that has its level from its first instant on."""
        self._request(LineConfig(output=True, values=int(bool(state))))

    def input_with_pull(self, pull: str) -> None:
        """An input with its bias from the first instant on."""
        self._request(LineConfig(bias=self._bias(pull)))

    def _get_state(self) -> float:
        with self._turn:
            if self._wave is not None:
                return self._wave.duty
            lines = self._lines or self._request(self._config)
            try:
                return self._factory.run(lines.get())
            except DeviceError as error:
                self._factory.report(self, error)
                raise

    def _set_state(self, value: float) -> None:
        if not self._config.output:
            raise PinSetInput(f"cannot set state of pin {self!r}")
        with self._turn:
            if self._wave is not None:
                self._factory.pwm.change(self._wave, duty=value)
            else:
                self._set_level(int(bool(value)))

    def _set_level(self, level: int) -> None:
        lines = self._lines or self._request(self._config)
        try:
            self._factory.run(lines.set(level))
        except DeviceError as error:
            if not self._factory.report(self, error):
                raise

    def _get_pull(self) -> str:
        return next((pull for pull, bias in _BIAS.items() if bias == self._config.bias), "floating")

    def _set_pull(self, value: str) -> None:
        self._request(self._config._replace(bias=self._bias(value)))

    def _bias(self, pull: str) -> Bias:
        if pull not in _BIAS:
            raise PinInvalidPull(f"invalid pull {pull!r} for pin {self!r}")
        return _BIAS[pull]

    def _get_frequency(self) -> float | None:
        return self._wave.frequency if self._wave is not None else None

    def _set_frequency(self, value: float | None) -> None:
        if value is not None and not (self._config.output and 0 < value <= _MOST_HZ):
            raise PinPWMUnsupported(f"pulses on pin {self!r} are for outputs, up to {_MOST_HZ:g} Hz")
        with self._turn:
            if value is None:
                self._stop_pulses()
            elif self._wave is not None:
                self._factory.pwm.change(self._wave, frequency=value)
            else:
                lines = self._lines or self._request(self._config)
                rest = float(self._safe_level or 0)
                self._wave = Wave(lambda level: self._factory.run(lines.set(level)), self._on_error, value, rest)
                self._factory.pwm.start(self._wave)

    def _stop_pulses(self) -> None:
        """Ends them at the level of the safe state, or low. Raises DeviceError."""
        wave, self._wave = self._wave, None
        if wave is not None:
            self._factory.pwm.stop(wave)
            self._set_level(self._safe_level or 0)

    def _get_bounce(self) -> float | None:
        return self._config.debounce_us / 1e6 or None

    def _set_bounce(self, value: float | None) -> None:
        if value is not None and value < 0:
            raise PinInvalidBounce("bounce must be 0 or greater")
        self._request(self._config._replace(debounce_us=round((value or 0) * 1e6)))

    def _get_edges(self) -> str:
        return self._edges

    def _set_edges(self, value: str) -> None:
        self._edges = value
        self._watch()

    def _get_when_changed(self) -> Any:
        return self._callback() if self._callback is not None else None

    def _set_when_changed(self, value: Any) -> None:
        if value is None:
            self._callback = None
        else:
            self._callback = WeakMethod(value) if isinstance(value, MethodType) else ref(value)
        self._watch()

    def _watch(self) -> None:
        if self._lines is not None and not self._config.output:
            self._request(self._watching(self._config))

    def _watching(self, config: LineConfig) -> LineConfig:
        """The configuration of an input, with edges where a callback is set."""
        rising, falling = (
            self._callback is not None and self._edges in ("both", edge) for edge in ("rising", "falling")
        )
        return config._replace(rising=rising, falling=falling)

    @property
    def factory(self) -> GpioChipFactory:
        """Who made it."""
        return self._factory
