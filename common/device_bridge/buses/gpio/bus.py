"""GPIO lines of any Linux board: found by name, read without missing an edge, driven and read back."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
from collections.abc import Iterator, Sequence
from typing import Annotated, TypeAlias

from msgspec import Meta

from ...errors import DeviceError, DeviceErrorKind
from ...settings.base import Settings
from .address import AddressError, Chip, find_line
from .backend import LineRequest, backend_of
from .uapi import EVENT, MOST_EVENTS, Bias, Drive, LineConfig

__all__ = ["Bias", "Drive", "EdgeBatch", "GpioBus", "GpioLine", "GpioLines", "GpioSettings", "LineConfig", "LineName"]

log = logging.getLogger("device_bridge")

_READ_BYTES = EVENT.size * MOST_EVENTS
_ERRORS: dict[int, tuple[DeviceErrorKind, str]] = {
    errno.ENOENT: (DeviceErrorKind.NOT_FOUND, "there is no GPIO chip; give the container /dev/gpiochipN"),
    errno.ECONNREFUSED: (DeviceErrorKind.NOT_FOUND, "no emulated chip listens there; start the emulator"),
    errno.EPERM: (DeviceErrorKind.BUS_FAULT, "an input cannot be set"),
    errno.ENODEV: (DeviceErrorKind.GONE, "the chip is gone"),
    errno.EBADF: (DeviceErrorKind.GONE, "the lines are closed"),
    errno.ENOTTY: (DeviceErrorKind.BUS_FAULT, "this kernel has no GPIO interface version 2; Linux 5.10 is needed"),
}
_REFUSALS = (errno.EINVAL, errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP, errno.EIO, 524)
"""How chips and kernels say that they cannot do what is asked; 524 is the kernel's own ENOTSUPP."""
_OPTIONS = ({"bias": "as_is"}, {"debounce_us": 0}, {"rising": False, "falling": False})
"""What an input can go without."""

LineName: TypeAlias = Annotated[
    Annotated[str, Meta(min_length=1, max_length=64)] | Annotated[int, Meta(ge=0, le=65_535)],
    Meta(description="name or offset; `GPIO17`, `BOARD11` on a Pi"),
]


class GpioSettings(Settings, frozen=True, kw_only=True):
    """Which chips."""

    path: Annotated[
        str, Meta(min_length=1, max_length=200, description="folder of `gpiochipN`, or `sim:PATH` for emulated ones")
    ] = "/dev"


class GpioLine(Settings, frozen=True, kw_only=True):
    """One line, and how it is wired."""

    line: LineName
    chip: Annotated[
        str, Meta(max_length=64, description="label of the chip, where the line's name is not enough")
    ] = ""
    active_low: Annotated[bool, Meta(description="whether low is on")] = False


class EdgeBatch:
    """Edges that came together.

    Parameters:
        data: as the kernel gives them.
        lost: edges that were dropped before these, because nobody read them in time.
    """

    __slots__ = ("data", "lost")

    def __init__(self, data: bytes, lost: int) -> None:
        self.data, self.lost = data, lost

    def __len__(self) -> int:
        return len(self.data) // EVENT.size

    def __iter__(self) -> Iterator[tuple[int, int, int, int, int]]:
        """Time in nanoseconds (CLOCK_MONOTONIC), RISING or FALLING, offset, two numbers."""
        return EVENT.iter_unpack(self.data)

    @property
    def first_ns(self) -> int:
        """Time of the first edge, in nanoseconds."""
        time_ns: int = EVENT.unpack_from(self.data)[0]
        return time_ns

    @property
    def last_ns(self) -> int:
        """Time of the last edge, in nanoseconds."""
        time_ns: int = EVENT.unpack_from(self.data, len(self.data) - EVENT.size)[0]
        return time_ns

    def lost_of(self, kind: int) -> int:
        """How many of the edges that were dropped were of one kind, of a line that tells both: they alternate."""
        first_kind: int = EVENT.unpack_from(self.data)[1]
        return (self.lost + (first_kind != kind)) // 2


class GpioBus:
    """The GPIO chips of a machine.

    Parameters:
        settings: where they are.
    """

    def __init__(self, settings: GpioSettings) -> None:
        self.settings = settings
        self._backend = backend_of(settings.path)
        self._chips: list[Chip] = []
        self._warned: set[str] = set()

    async def open(self) -> None:
        """Looks at the chips. Raises DeviceError."""
        try:
            self._chips = await self._backend.chips()
        except OSError as error:
            raise DeviceError.from_os(error, self.settings.path, _ERRORS) from None
        if not self._chips:
            raise DeviceError.from_os(FileNotFoundError(errno.ENOENT, ""), self.settings.path, _ERRORS)

    async def close(self) -> None:
        """Lines are given back one by one; chips are not held."""

    def counters(self) -> dict[str, int]:
        """Lines have counts of their own."""
        return {}

    def find(self, line: GpioLine) -> tuple[Chip, int]:
        """Where a line is. Raises DeviceError, for a chip may come later."""
        try:
            chip, offset = find_line(self._chips, line.chip, line.line)
        except AddressError as error:
            raise DeviceError(DeviceErrorKind.NOT_FOUND, str(line.line), str(error)) from None
        if line.chip and line.chip != chip.label and line.chip not in self._warned:
            self._warned.add(line.chip)
            log.warning("%s is a number that kernels change; its label %r is not", line.chip, chip.label)
        return chip, offset

    async def request(self, lines: Sequence[GpioLine], config: LineConfig, events: int = MOST_EVENTS) -> GpioLines:
        """Takes lines of one chip into use; looks at the chips again when they are not there.

        Parameters:
            lines: in the order of the bits of their values; each as active_low as the first.
            config: how they are used.
            events: how many edges the kernel keeps until they are read.

        Raises DeviceError: busy with the name of the user, bus fault for what the chip cannot do.
        """
        try:
            places = [self.find(line) for line in lines]
        except DeviceError:
            await self.open()
            places = [self.find(line) for line in lines]
        chip = places[0][0]
        names = "+".join(str(line.line) for line in lines)
        if any(other != chip for other, _ in places):
            raise DeviceError(DeviceErrorKind.BUS_FAULT, names, "these lines belong to different chips")
        offsets = tuple(offset for _, offset in places)
        config = config._replace(active_low=lines[0].active_low)
        try:
            request = await self._backend.request(chip, offsets, config, events)
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise await self._busy(chip, offsets, names) from None
            if error.errno in _REFUSALS and (refused := await self._refused(chip, offsets, config)):
                detail = f"{refused}: this chip cannot"
                raise DeviceError(DeviceErrorKind.BUS_FAULT, names, detail) from None
            self._chips = []  # gone, or others now
            raise DeviceError.from_os(error, names, _ERRORS) from None
        return GpioLines(names, request, offsets)

    async def _refused(self, chip: Chip, offsets: tuple[int, ...], config: LineConfig) -> str:
        """What of a request a chip cannot do, "" when it is something else; an output is not tried out."""
        if config.output:
            return config.options
        less = config
        for option in _OPTIONS:
            for simpler in (config._replace(**option), less := less._replace(**option)):
                if simpler == config:
                    continue
                with contextlib.suppress(OSError):
                    await (await self._backend.request(chip, offsets, simpler, 1)).close()
                    return ", ".join(
                        name for name in config.options.split(", ") if name not in simpler.options.split(", ")
                    )
        return ""

    async def _busy(self, chip: Chip, offsets: tuple[int, ...], names: str) -> DeviceError:
        users = {await self._backend.user_of(chip, offset) for offset in offsets} - {""}
        detail = f"in use by {', '.join(sorted(users)) or 'somebody'}; a line has one user at a time"
        return DeviceError(DeviceErrorKind.BUSY, names, detail)


class GpioLines:
    """Lines in use. Made by `GpioBus.request`.

    Parameters:
        names: for errors.
        request: the lines.
        offsets: of each.
    """

    def __init__(self, names: str, request: LineRequest, offsets: tuple[int, ...]) -> None:
        self.names, self.offsets = names, offsets
        self._request = request
        self._come = asyncio.Event()
        self._closed = False
        self._rest = b""
        self._last_number = 0
        self.edges = self.lost = 0
        self._waiting = False

    def fileno(self) -> int:
        """Where edges come from; `pending` reads them."""
        return self._request.event_fd

    async def get(self) -> int:
        """The values, a bit each, on or off. Raises DeviceError."""
        try:
            return await self._request.get()
        except OSError as error:
            raise DeviceError.from_os(error, self.names, _ERRORS) from None

    async def set(self, bits: int, mask: int = -1) -> None:
        """Sets outputs, of the mask only. Raises DeviceError."""
        try:
            await self._request.set(mask & ((1 << len(self.offsets)) - 1), bits)
        except OSError as error:
            raise DeviceError.from_os(error, self.names, _ERRORS) from None

    async def read(self) -> EdgeBatch:
        """Waits for edges. Raises DeviceError."""
        while (batch := self.pending()) is None:
            self._come.clear()
            if not self._waiting:
                self._waiting = True
                asyncio.get_running_loop().add_reader(self._request.event_fd, self._readable)
            await self._come.wait()
        return batch

    def _readable(self) -> None:
        self._stop_waiting()  # edges that nobody reads must not wake the loop over and over
        self._come.set()

    def _stop_waiting(self) -> None:
        if self._waiting:
            self._waiting = False
            asyncio.get_running_loop().remove_reader(self._request.event_fd)

    def pending(self) -> EdgeBatch | None:
        """Edges that have come already, without waiting. Raises DeviceError."""
        try:
            data = os.read(self._request.event_fd, _READ_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            raise DeviceError.from_os(error, self.names, _ERRORS) from None
        if not data:
            raise DeviceError(DeviceErrorKind.GONE, self.names, "the chip is gone")
        data = self._rest + data
        whole = len(data) - len(data) % EVENT.size
        self._rest = data[whole:]
        if not whole:
            return None
        count = whole // EVENT.size
        last: int = EVENT.unpack_from(data, whole - EVENT.size)[3]
        # Numbers go on in the kernel, also those of edges that it drops.
        lost = (last - self._last_number - count) & 0xFFFFFFFF
        self._last_number = last
        self.edges += count
        self.lost += lost
        return EdgeBatch(data[:whole], lost)

    def set_act(self, bits: int) -> tuple[int, int, bytes, bytes]:
        """What another process has to do to set all outputs; see `LineRequest.set_act`."""
        return self._request.set_act((1 << len(self.offsets)) - 1, bits)

    async def close(self) -> None:
        """Gives the lines back; they keep their level or lose it, as the chip's driver has it."""
        if self._closed:
            return
        self._closed = True
        self._stop_waiting()
        await self._request.close()
