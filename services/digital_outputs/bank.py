"""All outputs together: opened, brought into their safe state, looked after and closed, in the one order for that."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import zlib
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from functools import partial
from pathlib import Path

from device_bridge import CommandError, DeviceError, DeviceErrorKind, Reading, Sample
from device_bridge.buses import GpioBus
from device_bridge.control import SafeStateGuard, Totals, offs_first

from .interlock import Interlock
from .life_cycle import Life
from .output import Output
from .settings import OutputsSettings

log = logging.getLogger("digital_outputs")

_LOOK_S = 0.1
_READ_BACK_S = 1.0
_LAST_S = 1.5
_KEEP_S = 300
"""An output that was kept is taken up as it was for so long; a restart that takes longer was not planned."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class OutputBank:
    """All outputs.

    Parameters:
        settings: of the service.
        bus: where their lines are.
    """

    def __init__(self, settings: OutputsSettings, bus: GpioBus) -> None:
        self._interlock = Interlock({output.name: output.limits for output in settings.outputs})
        self._has_watchdog = settings.watchdog
        self.guard = SafeStateGuard(settings.watchdog_timeout)
        self._guarded: list[int] = []
        self.changed = asyncio.Event()
        self.changed_names: set[str] = set()
        """Outputs that have been switched by themselves, or are read back otherwise than they were switched."""
        self.outputs = {one.name: Output(one, bus, self._interlock, self.note_change) for one in settings.outputs}
        self.trips = 0
        """How often an output was brought into its safe state because it must not stay as it was."""

    async def switch(self, wanted: Mapping[str, bool], act: Callable[[Output, bool], Awaitable[bool]]) -> None:
        """Switches several outputs in the order in which that is safe; every way of doing so goes through here.

        Groups side by side: a chip that is slow delays the outputs of its own groups, no others.

        Parameters:
            wanted: what each is to be.
            act: has an output be so; returns whether it certainly is.
        """

        def group_of(name: str) -> str:
            return self.outputs[name].settings.group

        groups: dict[tuple[str, str], list[str]] = {}
        for name in wanted:
            groups.setdefault((group_of(name), "" if group_of(name) else name), []).append(name)

        async def follow(plan: Generator[tuple[str, bool], bool, None]) -> None:
            with contextlib.suppress(StopIteration):
                name, on = next(plan)
                while True:
                    if on:
                        await asyncio.sleep(0)  # the offs of all groups have begun
                    name, on = plan.send(await act(self.outputs[name], on))

        plans = [offs_first(names, wanted.__getitem__, group_of) for names in groups.values()]
        for result in await asyncio.gather(*map(follow, plans), return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    def admit(self) -> None:
        """Raises CommandError unless outputs are open."""
        if self._interlock.life is not Life.OPEN:
            raise CommandError(f"outputs are {self._interlock.life.value}")

    async def make_safe(self, names: Iterable[str]) -> None:
        """Brings outputs into their safe state; one for which that fails is tried again until it is known to be."""
        await self.switch({name: self.outputs[name].settings.safe for name in names}, self._bring)

    async def trip(self, names: Iterable[str]) -> None:
        """The same, for outputs that must not stay as they are."""
        names = list(names)
        self.trips += len(names)
        await self.make_safe(names)
        for name in names:
            self.note_change(name)

    def note_change(self, name: str) -> None:
        """The state of an output is to be reported."""
        self.changed_names.add(name)
        self.changed.set()

    def take_changed(self) -> set[str]:
        """Outputs whose state is to be reported; they are then taken as reported."""
        names, self.changed_names = self.changed_names, set()
        self.changed.clear()
        return names

    async def open(self, totals: Totals) -> None:
        """Takes lines into use, in their safe state, or as they were kept. What fails is tried again later.

        Parameters:
            totals: where it is noted which outputs were kept on.
        """
        self._interlock.life = Life.OPENING
        wanted = {}
        for name, output in self.outputs.items():
            wanted[name] = output.settings.safe or _was_kept(output, totals)
            totals.set(_kept(name), 0)
        await self.switch(wanted, self._bring)
        await self._protect()
        self._interlock.life = Life.OPEN

    async def close(self, totals: Totals) -> None:
        """Brings all into their safe state, but those that are to be kept; from here on nothing else is done.

        Parameters:
            totals: as for `open`.
        """
        self._interlock.life = Life.CLOSING
        opened = [output for output in self.outputs.values() if output.is_open]
        kept = [output for output in opened if output.settings.on_stop == "keep" and output.is_steady]
        for output in kept:
            if output.duty and not output.settings.safe:
                totals.set(_kept(output.name), _now())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_S):
                await self.make_safe(output.name for output in opened if output not in kept)
        unsafe = [output for output in opened if output not in kept and not output.is_steady]
        for output in unsafe:
            reason = output.member.reason or "its chip does not answer in time"
            log.error("%s could not be brought into its safe state: %s", output.name, reason)
        await self.guard.stop(act=bool(unsafe))
        for output in opened:
            await output.release()
        self._interlock.life = Life.CLOSED

    async def keep_guarded(self) -> None:
        """Keeps the watchdog process running until cancelled. Raises DeviceError, outputs being safe, if not."""
        try:
            await self.guard.keep_running()
        except DeviceError:
            self._interlock.life = Life.CLOSING
            await self.trip(self.outputs)
            raise

    async def look_after(self, output: Output) -> None:
        """Tries what has failed again, and reads back what the line does, until cancelled."""
        loop = asyncio.get_running_loop()
        read_at = loop.time()
        while True:
            await asyncio.sleep(_LOOK_S)
            if output.member.retry_in_s > 0:
                continue
            if output.has_to_be_safe:
                await self._bring(output, output.settings.safe, if_uncertain=True)
                await self._protect()
                self.note_change(output.name)
            elif output.is_open and loop.time() >= read_at:
                read_at = loop.time() + _READ_BACK_S
                reason = output.reading.reason
                await self._attempt(output, partial(_read_back, output))
                if output.reading.reason != reason:
                    self.note_change(output.name)

    def overdue(self) -> list[str]:
        """Outputs that have been on for longer than they may."""
        return list(self._interlock.overdue(asyncio.get_running_loop().time()))

    def readings(self) -> Sample:
        """The state of each, as it was read back last."""
        return [output.reading for output in self.outputs.values()]

    async def _bring(self, output: Output, on: bool, *, if_uncertain: bool = False) -> bool:
        return await self._attempt(output, partial(output.bring, on, if_uncertain=if_uncertain))

    async def _attempt(self, output: Output, act: Callable[[], Awaitable[Reading | None]]) -> bool:
        """Has an output do something; returns whether it is known how it is then."""

        async def acting() -> Sample:
            try:
                await act()
            except DeviceError as error:
                self._interlock.mark_uncertain(output.name)
                if error.kind is DeviceErrorKind.GONE:
                    await output.release()
                raise
            return ()

        for reading in await output.member.attempt(acting, attempts=2, fatal=()):
            output.reading = reading
            self.note_change(output.name)
        return not output.member.is_failing

    async def _protect(self) -> None:
        """Has the watchdog process hold the lines that are in use, and no others. Raises DeviceError if it cannot."""
        if self._interlock.life not in (Life.OPENING, Life.OPEN):
            return
        acts = [output.safe_act for output in self.outputs.values() if self._has_watchdog and output.is_open]
        fds = [act.fd for act in acts]
        if fds == self._guarded:
            return
        self._guarded = fds
        try:
            await self.guard.protect(acts)
        except DeviceError:
            self._interlock.life = Life.CLOSING
            await self.make_safe(self.outputs)
            raise


async def _read_back(output: Output) -> None:
    """Raises DeviceError, also when its line was lost meanwhile."""
    if not output.is_open:
        raise DeviceError(DeviceErrorKind.GONE, output.name, "its line is lost")
    await output.read_back()


def _was_kept(output: Output, totals: Totals) -> bool:
    """Whether an output was kept on by the last life of this service, a moment ago."""
    return output.settings.on_stop == "keep" and 0 <= _now() - totals.get(_kept(output.name)) <= _KEEP_S


def _kept(name: str) -> str:
    return f"{name}/kept"


def _now() -> int:
    """Seconds since the start of the machine; those of another start are far away."""
    try:
        boot = zlib.crc32(_BOOT_ID.read_bytes()) >> 2
    except OSError:
        boot = 0
    return boot << 32 | int(time.monotonic())
