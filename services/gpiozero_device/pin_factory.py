"""The pin factory of a service: made by the first device that needs it, in that device's thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from device_bridge import DeviceError
from device_bridge.control import SafeAct

from .classes.rows import DeviceSettings
from .classes.table import row_of
from .threads import DeviceThread

if TYPE_CHECKING:
    from .lines.pins import GpioChipFactory, PinlessFactory


class SharedPinFactory:
    """The pin factory.

    Parameters:
        path: of the chips.
        on_failure: is called, in any thread, with the name of a pin that has failed, and how.
    """

    def __init__(self, path: str, on_failure: Callable[[str, DeviceError], None]) -> None:
        self._path, self._on_failure = path, on_failure
        self._factory: GpioChipFactory | None = None
        self._turn = threading.Lock()
        self._thread = DeviceThread("gpio chips")

    def factory_of(self, settings: DeviceSettings) -> Callable[[], GpioChipFactory | PinlessFactory]:
        """What gives a device its pin factory, in its thread; raises DeviceError when there are no chips."""
        return self._chips if row_of(settings).lines_of(settings) else _no_pins

    async def safe_acts(self) -> list[SafeAct]:
        """How another process brings all outputs into their safe state."""
        return await self._thread.call(lambda: list(self._factory.safe_acts().values()) if self._factory else [])

    async def close(self) -> None:
        """Gives all lines back."""
        factory, self._factory = self._factory, None
        if factory is not None:
            await self._thread.call(factory.close)
        self._thread.end()

    def _chips(self) -> GpioChipFactory:
        from .lines.pins import GpioChipFactory  # noqa: PLC0415 - gpiozero is imported when a device is made

        with self._turn:
            if self._factory is None:
                self._factory = GpioChipFactory(self._path, self._on_failure)
            return self._factory


def _no_pins() -> PinlessFactory:
    from .lines.pins import PinlessFactory  # noqa: PLC0415

    return PinlessFactory()
