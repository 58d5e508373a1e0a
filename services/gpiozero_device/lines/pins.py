"""gpiozero's devices on any board: its pin factory over the same GPIO lines as `GpioBus`.

    factory = GpioChipFactory()                       # or GpioChipFactory("sim:/tmp/gpio")
    button = Button("GPIO17", bounce_time=0.02, pin_factory=factory)
    LED("pca9539:3", pin_factory=factory)             # chip and offset

Pins are lines by name, or `chip:line`. Bouncing is left to the kernel, and edges have the kernel's times. Pulse width
modulation is made in software.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from gpiozero import PinInvalidPin
from gpiozero.mixins import GPIOQueue
from gpiozero.pins import SPI, Factory, PinInfo
from gpiozero.threads import GPIOThread

from device_bridge import DeviceError, DeviceErrorKind
from device_bridge.buses import GpioBus, GpioLine, GpioLines, GpioSettings, LineConfig
from device_bridge.control import SafeAct

from .edges import EdgeWatcher
from .pin import GpioChipPin
from .pwm import SoftwarePwm
from .spi import spi_of

T = TypeVar("T")

_CALL_S = 5.0
_TRIES = 100
_PAUSE_S = 0.005


class PinlessFactory(Factory):  # type: ignore[misc]  # gpiozero is untyped
    """For devices without lines: a clock, and the kernel's SPI."""

    def __init__(self) -> None:
        super().__init__()
        self.safe_levels: dict[str, int] = {}
        """Of pins whose device has a safe state: as outputs they begin and end with it."""
        self.externally_driven: set[str] = set()
        """Inputs that something drives, high and low: they need no resistor, and have one only where the chip can."""

    def detach(self, name: str) -> None:
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
        on_failure: is called, in any thread, with a pin's name and its error where no caller gets it: in threads of
            gpiozero's and when a line is lost.

    Raises DeviceError when there are none.
    """

    def __init__(self, path: str = "/dev", on_failure: Callable[[str, DeviceError], None] | None = None) -> None:
        super().__init__()
        self.bus = GpioBus(GpioSettings(path=path))
        self.on_failure = on_failure
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
        """Reports that a pin has failed; ends the thread where it is one of gpiozero's, which nobody waits for.

        Returns whether the error need not be raised as well.
        """
        if self.on_failure is not None and not pin.is_detached:
            self.on_failure(pin.info.name, error)
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

    def detach(self, name: str) -> None:
        """Gives a line back, whoever has it: what is left of its device does not reach it any more."""
        pin = self._pins.pop(name, None)
        if pin is not None:
            pin.is_detached = True
            pin.close()
            self._reservations.pop(pin.info, None)

    def safe_acts(self) -> dict[str, SafeAct]:
        """How another process brings each output that has a safe state there, by the pin's name."""
        acts = {name: pin.safe_act() for name, pin in list(self._pins.items())}
        return {name: act for name, act in acts.items() if act is not None}

    def close(self) -> None:
        """Gives all lines back and ends the threads."""
        for name in list(self._pins):
            self.detach(name)
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
