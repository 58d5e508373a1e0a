"""gpiozero's devices on any board: its pin factory over the same GPIO lines as `GpioBus`.

    factory = GpioChipFactory()                       # or GpioChipFactory("sim:/tmp/gpio")
    button = Button("GPIO17", bounce_time=0.02, pin_factory=factory)
    LED("pca9539:3", pin_factory=factory)             # chip and offset

Pins are lines by name, or `chip:line`. Bouncing is left to the kernel, which gpiozero's own mock does not emulate.
gpiozero calls back from a thread, as always; services use `GpioBus`, which costs neither thread nor its 11 MiB.
"""

from __future__ import annotations

import asyncio
import threading
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
from gpiozero.pins import Factory, Pin, PinInfo

from ...clocks import monotonic
from ...errors import DeviceError
from .bus import GpioBus, GpioLine, GpioLines, GpioSettings
from .uapi import RISING, Bias, LineConfig

T = TypeVar("T")

_BIAS: dict[str, Bias] = {"up": "pull_up", "down": "pull_down", "floating": "disabled"}
_CALL_S = 5.0


class GpioChipFactory(Factory):  # type: ignore[misc]  # gpiozero is untyped
    """Makes pins out of GPIO lines.

    Parameters:
        path: folder of `gpiochipN`, or `sim:PATH` for emulated chips.

    Raises DeviceError when there are none.
    """

    def __init__(self, path: str = "/dev") -> None:
        super().__init__()
        self.bus = GpioBus(GpioSettings(path=path))
        self._pins: dict[str, GpioChipPin] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gpio", daemon=True)
        self._thread.start()
        self.run(self.bus.open())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Has the factory's thread do something, and waits for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_CALL_S)

    def start(self, work: Coroutine[Any, Any, None]) -> Callable[[], bool]:
        """Has the factory's thread do something meanwhile; what it returns ends it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).cancel

    def pin(self, name: str) -> GpioChipPin:
        """A pin by its line's name, or as `chip:line`. Raises PinInvalidPin."""
        if name not in self._pins:
            chip, _, line = str(name).rpartition(":")
            wanted = GpioLine(line=line, chip=chip)
            try:
                self.bus.find(wanted)
            except DeviceError as error:
                raise PinInvalidPin(error.detail) from None
            self._pins[name] = GpioChipPin(self, wanted, str(name))
        return self._pins[name]

    def close(self) -> None:
        """Gives all lines back and ends the thread."""
        if self._loop.is_closed():
            return
        for pin in self._pins.values():
            pin.close()
        self._pins.clear()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CALL_S)
        self._loop.close()

    def _get_board_info(self) -> GpioChipFactory:
        return self  # no guess which board this is: a pin is what its line is called

    def find_pin(self, name: str) -> Iterator[tuple[None, PinInfo]]:
        """A pin as gpiozero's boards give it."""
        yield None, self.pin(name).info

    def ticks(self) -> float:
        """Seconds on the clock of edges."""
        return monotonic()

    def ticks_diff(self, later: float, earlier: float) -> float:
        """Seconds between two of them."""
        return later - earlier


class GpioChipPin(Pin):  # type: ignore[misc]  # gpiozero is untyped
    """One line as a pin. Made by `GpioChipFactory.pin`."""

    def __init__(self, factory: GpioChipFactory, line: GpioLine, name: str) -> None:
        super().__init__()
        self._factory, self._line = factory, line
        self._info = PinInfo(0, name, frozenset({name}), "", 0, 0, frozenset({"gpio"}))
        self._config = LineConfig()
        self._edges = "both"
        self._lines: GpioLines | None = None
        self._callback: WeakMethod[Any] | ref[Any] | None = None
        self._stop_reading: Callable[[], bool] | None = None

    def __repr__(self) -> str:
        return str(self._info.name)

    def close(self) -> None:
        """Gives the line back."""
        self._callback = None
        self._release()

    def _release(self) -> None:
        if self._stop_reading is not None:
            self._stop_reading()
            self._stop_reading = None
        lines, self._lines = self._lines, None
        if lines is not None:
            self._factory.run(lines.close())

    def _request(self, config: LineConfig) -> GpioLines:
        """Requests the line again. Raises DeviceError, and has it as it was before then."""
        self._release()
        before, self._config = self._config, config
        try:
            self._lines = self._factory.run(self._factory.bus.request([self._line], config))
        except DeviceError:
            self._config = before
            raise
        if config.rising or config.falling:
            self._stop_reading = self._factory.start(self._read(self._lines))
        return self._lines

    async def _read(self, lines: GpioLines) -> None:
        while True:
            for time_ns, kind, *_ in await lines.read():
                method = self._callback() if self._callback is not None else None
                if method is not None:
                    method(time_ns / 1e9, int(kind == RISING))

    def _get_info(self) -> PinInfo:
        return self._info

    def _get_function(self) -> str:
        return "output" if self._config.output else "input"

    def _set_function(self, value: str) -> None:
        if value not in ("input", "output"):
            raise PinInvalidFunction(f"invalid function {value!r} for pin {self!r}")
        self._request(self._config._replace(output=value == "output", rising=False, falling=False, debounce_us=0))

    def output_with_state(self, state: float) -> None:
        """An output that has its level from its first instant on."""
        self._request(LineConfig(output=True, values=int(bool(state))))

    def input_with_pull(self, pull: str) -> None:
        """An input with its bias from the first instant on."""
        self._request(LineConfig(bias=self._bias(pull)))

    def _get_state(self) -> int:
        lines = self._lines or self._request(self._config)
        return self._factory.run(lines.get())

    def _set_state(self, value: float) -> None:
        if not self._config.output:
            raise PinSetInput(f"cannot set state of pin {self!r}")
        lines = self._lines or self._request(self._config)
        self._factory.run(lines.set(int(bool(value))))

    def _get_pull(self) -> str:
        return next((pull for pull, bias in _BIAS.items() if bias == self._config.bias), "floating")

    def _set_pull(self, value: str) -> None:
        self._request(self._config._replace(bias=self._bias(value)))

    def _bias(self, pull: str) -> Bias:
        if pull not in _BIAS:
            raise PinInvalidPull(f"invalid pull {pull!r} for pin {self!r}")
        return _BIAS[pull]

    def _get_frequency(self) -> None:
        return None

    def _set_frequency(self, value: float | None) -> None:
        if value is not None:
            raise PinPWMUnsupported(f"PWM is not supported on pin {self!r}")

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
        if self._callback is not None:
            self._watch(watched=True)

    def _get_when_changed(self) -> Any:
        return self._callback() if self._callback is not None else None

    def _set_when_changed(self, value: Any) -> None:
        if value is None:
            self._callback = None
        else:
            self._callback = WeakMethod(value) if isinstance(value, MethodType) else ref(value)
        self._watch(watched=value is not None)

    def _watch(self, *, watched: bool) -> None:
        rising, falling = (watched and self._edges in ("both", edge) for edge in ("rising", "falling"))
        if (rising, falling) != (self._config.rising, self._config.falling):
            self._request(self._config._replace(rising=rising, falling=falling))

    @property
    def factory(self) -> GpioChipFactory:
        """Who made it."""
        return self._factory
