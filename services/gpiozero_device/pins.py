"""gpiozero's devices on any board: its pin factory over the same GPIO lines as `GpioBus`.

    factory = GpioChipFactory()                       # or GpioChipFactory("sim:/tmp/gpio")
    button = Button("GPIO17", bounce_time=0.02, pin_factory=factory)
    LED("pca9539:3", pin_factory=factory)             # chip and offset

Pins are lines by name, or `chip:line`. Bouncing is left to the kernel, and edges have the kernel's times. Pulse width
modulation is made in software.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from types import MethodType
from typing import Any, TypeVar
from weakref import WeakMethod, ref

from gpiozero import (
    PinInvalidBounce,
    PinInvalidFunction,
    PinInvalidPin,
    PinInvalidPull,
    PinPWMUnsupported,
    PinSetInput,
)
from gpiozero.mixins import GPIOQueue
from gpiozero.pins import SPI, Factory, Pin, PinInfo
from gpiozero.threads import GPIOThread

from device_bridge import DeviceError, DeviceErrorKind
from device_bridge.buses import Bias, GpioBus, GpioLine, GpioLines, GpioSettings, LineConfig
from device_bridge.control import SafeAct

from .edges import EdgeWatcher
from .pwm import SoftwarePwm, Wave
from .spi import spi_of

T = TypeVar("T")

_BIAS: dict[str, Bias] = {"up": "pull_up", "down": "pull_down", "floating": "disabled"}
_CALL_S = 5.0
_MOST_HZ = 2000.0
_TRIES = 100
_PAUSE_S = 0.005


class PinlessFactory(Factory):  # type: ignore[misc]  # gpiozero is untyped
    """For devices without lines: a clock, and the kernel's SPI."""

    def __init__(self) -> None:
        super().__init__()
        self.rest_levels: dict[str, int] = {}
        """Of pins whose device has a safe state: as outputs they begin and end with it."""

    def forget(self, name: str) -> None:
        """Gives a line back, whoever has it."""

    def ticks(self) -> float:
        """Seconds on the clock of edges."""
        return time.monotonic()

    def ticks_diff(self, later: float, earlier: float) -> float:
        """Seconds between two of them."""
        return later - earlier

    def spi(self, **arguments: Any) -> SPI:
        """SPI by lines (`clock_pin`, `mosi_pin`, `miso_pin`, `select_pin`), or by the kernel (`path`)."""
        return spi_of(self, arguments)


class GpioChipFactory(PinlessFactory):
    """Makes pins out of GPIO lines.

    Parameters:
        path: folder of `gpiochipN`, or `sim:PATH` for emulated chips.
        failed: is told, in any thread, which pin has failed and how, where nobody else can be: in threads of
            gpiozero's and when a line is lost.

    Raises DeviceError when there are none.
    """

    def __init__(self, path: str = "/dev", failed: Callable[[str, DeviceError], None] | None = None) -> None:
        super().__init__()
        self.bus = GpioBus(GpioSettings(path=path))
        self.failed = failed
        self.aliases: dict[str, str] = {}
        """Other names of pins: for classes that know their own alone."""
        self.watcher, self.pwm = EdgeWatcher(), SoftwarePwm()
        self._pins: dict[str, GpioChipPin] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        if path.startswith("sim:"):  # emulated chips are asked over a socket; the kernel answers at once
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="gpio", daemon=True)
            self._thread.start()
        try:
            self.run(self.bus.open())
        except BaseException:
            self.close()
            raise

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Does something with lines, and waits for it. Raises DeviceError."""
        if self._loop is None:
            try:
                work.send(None)
            except StopIteration as done:
                value: T = done.value
                return value
            work.close()
            raise RuntimeError("the kernel does not answer at once")
        if self._loop.is_closed():
            work.close()
            raise DeviceError(DeviceErrorKind.GONE, self.bus.settings.path, "the pin factory is closed")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(_CALL_S)
        except TimeoutError:
            future.cancel()
            detail = f"no answer in {_CALL_S:g} s"
            raise DeviceError(DeviceErrorKind.TIMEOUT, self.bus.settings.path, detail) from None

    def request(self, line: GpioLine, config: LineConfig, *, again: bool) -> GpioLines:
        """Takes a line into use; `again`, if it was just given back. Raises DeviceError."""
        for left in range(_TRIES if again and self._loop is not None else 0, -1, -1):
            try:
                return self.run(self.bus.request([line], config))
            except DeviceError as error:
                if not left or error.kind is not DeviceErrorKind.BUSY:
                    raise
            time.sleep(_PAUSE_S)  # an emulated chip hears of it later than the kernel
        raise AssertionError("unreachable")

    def report(self, pin: GpioChipPin, error: DeviceError) -> bool:
        """Tells that a pin has failed; ends the thread where it is one of gpiozero's, which has nobody to tell.

        Returns whether the error has been told, and need not be raised.
        """
        if self.failed is not None and not pin.is_forgotten:
            self.failed(pin.info.name, error)
        thread = threading.current_thread()
        if isinstance(thread, GPIOQueue):
            raise ReferenceError from None  # noqa: TRY004 - what it ends by
        if isinstance(thread, GPIOThread):
            thread.stopping.set()
            return True
        return False

    def pin(self, name: str) -> GpioChipPin:
        """A pin by its line's name, or as `chip:line`. Raises PinInvalidPin."""
        name = self.aliases.get(name, name)
        if name not in self._pins:
            chip, _, line = str(name).rpartition(":")
            wanted = GpioLine(line=line, chip=chip)
            try:
                self._find(wanted)
            except DeviceError as error:
                raise PinInvalidPin(error.detail) from None
            self._pins[name] = GpioChipPin(self, wanted, str(name))
        return self._pins[name]

    def _find(self, line: GpioLine) -> None:
        """Looks at the chips again where a line is not there: they may have been away. Raises DeviceError."""
        try:
            self.bus.find(line)
        except DeviceError:
            self.run(self.bus.open())
            self.bus.find(line)

    def forget(self, name: str) -> None:
        """Gives a line back, whoever has it: what is left of its device does not reach it any more."""
        pin = self._pins.pop(name, None)
        if pin is not None:
            pin.is_forgotten = True
            pin.close()
            self._reservations.pop(pin.info, None)

    def safe_acts(self) -> dict[str, SafeAct]:
        """How another process brings each output that has a safe state there, by the pin's name."""
        acts = {name: pin.safe_act() for name, pin in list(self._pins.items())}
        return {name: act for name, act in acts.items() if act is not None}

    def close(self) -> None:
        """Gives all lines back and ends the threads."""
        for name in list(self._pins):
            self.forget(name)
        self.watcher.close()
        self.pwm.close()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_CALL_S)
            self._loop.close()

    def _get_board_info(self) -> GpioChipFactory:
        return self  # no guess which board this is: a pin is what its line is called

    def find_pin(self, name: str) -> Iterator[tuple[None, PinInfo]]:
        """A pin as gpiozero's boards give it."""
        yield None, self.pin(name).info


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
        self.is_forgotten = False

    def __repr__(self) -> str:
        return str(self._info.name)

    @property
    def _rest_level(self) -> int | None:
        return self._factory.rest_levels.get(self._info.name)

    def close(self) -> None:
        """Gives the line back; an output that has a safe state is in it then."""
        with self._turn:
            self._callback = None
            with contextlib.suppress(DeviceError):
                self._stop_pulses()
                if self._lines is not None and self._config.output and self._rest_level is not None:
                    self._factory.run(self._lines.set(self._rest_level))
            self._release()

    def safe_act(self) -> SafeAct | None:
        """How another process brings it to its level in the safe state; None where it has none."""
        with self._turn:
            lines, level = self._lines, self._rest_level
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
            self._factory.watcher.forget(lines)
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
                if self.is_forgotten:
                    raise DeviceError(DeviceErrorKind.GONE, str(self), "its device is closed")
                lines = self._lines = self._factory.request(self._line, config, again=was_open)
                if config.rising or config.falling:
                    self._factory.watcher.watch(lines, self._tell, self._lost)
            except DeviceError as error:
                self._config = before
                self._factory.report(self, error)
                raise
            return lines

    def _tell(self, seconds: float, level: int) -> None:
        method = self._callback() if self._callback is not None else None
        if method is not None:
            method(seconds, level)

    def _lost(self, error: DeviceError) -> None:
        self._factory.report(self, error)

    def _get_info(self) -> PinInfo:
        return self._info

    def _get_function(self) -> str:
        return "output" if self._config.output else "input"

    def _set_function(self, value: str) -> None:
        if value == "output":
            level = self._rest_level or 0
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
                rest = float(self._rest_level or 0)
                self._wave = Wave(lambda level: self._factory.run(lines.set(level)), self._lost, value, rest)
                self._factory.pwm.start(self._wave)

    def _stop_pulses(self) -> None:
        """Ends them at the level of the safe state, or low. Raises DeviceError."""
        wave, self._wave = self._wave, None
        if wave is not None:
            self._factory.pwm.stop(wave)
            self._set_level(self._rest_level or 0)

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
        """The configuration of an input that tells its edges where somebody hears of them."""
        rising, falling = (
            self._callback is not None and self._edges in ("both", edge) for edge in ("rising", "falling")
        )
        return config._replace(rising=rising, falling=falling)

    @property
    def factory(self) -> GpioChipFactory:
        """Who made it."""
        return self._factory
