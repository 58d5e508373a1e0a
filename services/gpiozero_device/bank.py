"""All devices together: opened, kept in their safe state where they have to be, followed by others, and closed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable

from device_bridge import CommandError, DeviceError, NodeState, Sample
from device_bridge.control import Put, Rules, SafeAct, SafeStateGuard

from .classes.rows import OutputSettings
from .classes.table import row_of
from .device import GpioDevice
from .pin_factory import SharedPinFactory
from .settings import GpiozeroSettings

log = logging.getLogger("gpiozero_device")

_LOOK_S = 0.1
_LAST_S = 1.5
_CLOSE_S = 1.0


class DeviceBank:
    """All devices.

    Parameters:
        settings: of the service.
        node: gives the state of the link to the node.
    """

    def __init__(self, settings: GpiozeroSettings, node: Callable[[], NodeState]) -> None:
        self._settings, self._node = settings, node
        self.pins = SharedPinFactory(settings.gpio.path, self._pin_failed)
        self.devices = {
            one.name: GpioDevice(
                one,
                row_of(one),
                self.pins.factory_of(one),
                self._lines_changed,
                self._on_value,
                has_time=self._has_time,
            )
            for one in settings.devices
        }
        self.outputs = {name: device for name, device in self.devices.items() if device.is_output}
        self.guard = SafeStateGuard(settings.watchdog_timeout)
        self.trips = 0
        """How often an output was brought into its safe state because it must not stay as it was."""
        self._rules = Rules(settings.rules)
        self._followers: dict[str, list[str]] = {}
        for one in settings.devices:
            if isinstance(one, OutputSettings) and one.source:
                self._followers.setdefault(one.source, []).append(one.name)
        self._by_itself = self._rules.outputs | {name for names in self._followers.values() for name in names}
        self._decisions: dict[str, float | bool | None] = {}
        """What rules and sources have last said of outputs: None for the safe state."""
        self._pending: dict[str, float | bool | None] = {}
        self._following: dict[str, asyncio.Task[None]] = {}
        self._guarded: list[SafeAct] = []
        self._changed = asyncio.Event()
        self._is_open = False
        self._held = ""

    @property
    def reason_to_hold(self) -> str:
        """Why no output may leave its safe state; "" when they may."""
        refused = self._node().settings_refused
        return f"settings were refused: {refused}" if refused else ""

    async def open(self) -> None:
        """Makes all devices, outputs in their safe state; what fails is tried again. Raises DeviceError."""
        self._is_open = True
        await asyncio.gather(*(self._first_attempt(device) for device in self.outputs.values()))
        await self._protect()

    @staticmethod
    async def _first_attempt(device: GpioDevice) -> None:
        with contextlib.suppress(DeviceError):  # it is reported, and tried again, by the device's own watch
            await device.open()

    async def close(self) -> None:
        """Brings outputs into their safe state and gives all lines back."""
        self._is_open = False
        for task in self._following.values():
            task.cancel()
        await asyncio.gather(*self._following.values(), return_exceptions=True)
        unsafe = await self.make_safe(self.outputs, within_s=_LAST_S)
        await self.guard.stop(act=bool(unsafe))
        closing = [asyncio.ensure_future(device.close()) for device in self.devices.values()]
        if closing:
            _, late = await asyncio.wait(closing, timeout=_CLOSE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*closing, return_exceptions=True)
        for device in self.devices.values():
            device.end()
        await self.pins.close()

    async def make_safe(self, names: Iterable[str], within_s: float = 5.0) -> list[str]:
        """Brings outputs into their safe state, side by side; returns those for which that has failed."""
        opened = [self.outputs[name] for name in names if self.outputs[name].is_open]
        acts = {asyncio.ensure_future(device.switch(False)): device.name for device in opened}
        if not acts:
            return []
        done, late = await asyncio.wait(acts, timeout=within_s)
        for task in late:
            task.cancel()
        failed = {acts[task]: "it takes too long" for task in late}
        failed |= {acts[task]: str(task.exception()) for task in done if task.exception() is not None}
        for name, reason in failed.items():
            log.error("%s could not be brought into its safe state: %s", name, reason)
        return list(failed)

    async def watch(self) -> None:
        """Looks ten times a second whether outputs have to go to their safe state, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_LOOK_S)
            self.follow()
            if overdue := [name for name, device in self.outputs.items() if device.deadline <= loop.time()]:
                log.warning("on for max_on: %s", ", ".join(overdue))
                await self._trip(overdue)
            hold = self.reason_to_hold
            reason = hold or self._reason_without_node()
            if reason and reason != self._held:
                log.warning("outputs go to their safe state: %s", reason)
                await self._trip(name for name in self.outputs if hold or name not in self._by_itself)
                if hold:
                    self._pending |= self._decisions  # when that is over
            self._held = reason

    async def keep_guarded(self) -> None:
        """Keeps the watchdog process running, with the lines in use. Raises DeviceError, outputs being safe."""
        keeping = asyncio.ensure_future(self.guard.keep_running())
        try:
            while True:
                changed = asyncio.ensure_future(self._changed.wait())
                try:
                    await asyncio.wait((keeping, changed), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    changed.cancel()
                if keeping.done():
                    await keeping
                await self._protect()
        except DeviceError:
            await self._trip(self.outputs)
            raise
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def run(self, device: GpioDevice, put: Put) -> None:
        """Watches one device; rules judge its readings before they are sent."""

        async def judged(sample: Sample) -> None:
            for name, wanted in self._rules.feed(sample):
                self._decide(name, wanted)
            self.follow()
            await put(sample)

        await device.run(judged)

    def follow(self) -> None:
        """Begins what rules and sources have said, for outputs that can; one that is slow delays no other."""
        if self.reason_to_hold or not self._is_open:
            return
        for name in [name for name in self._pending if self.outputs[name].is_open]:
            if name not in self._following or self._following[name].done():
                self._following[name] = asyncio.ensure_future(self._follow(name))

    async def _follow(self, name: str) -> None:
        wanted, device = self._pending[name], self.outputs[name]
        try:
            if isinstance(wanted, float):
                await device.follow(wanted)
            else:
                await device.switch(bool(wanted))
        except (CommandError, DeviceError) as error:
            log.debug("%s: what it is to follow has to wait: %s", name, error)
        if self._pending.get(name) is wanted:
            self._pending.pop(name, None)

    def drop_pending(self, name: str) -> None:
        """A command counts until a rule or a source says otherwise."""
        self._pending.pop(name, None)

    def _decide(self, name: str, wanted: float | bool | None) -> None:
        self._decisions[name] = self._pending[name] = wanted

    def _on_value(self, name: str, value: float | None) -> None:
        for follower in self._followers.get(name, ()):
            if follower not in self._decisions or self._decisions[follower] != value:
                self._decide(follower, value)

    async def _trip(self, names: Iterable[str]) -> None:
        names = list(names)
        self.trips += len(names)
        await self.make_safe(names)

    def _reason_without_node(self) -> str:
        timeout_s = self._settings.node_timeout
        is_lost = timeout_s and self._node().disconnected_s > timeout_s
        return f"the node has not been reached for {timeout_s:g} s" if is_lost else ""

    def _has_time(self) -> bool:
        return self._node().has_time()

    def _pin_failed(self, pin: str, error: DeviceError) -> None:
        """In any thread."""
        for device in self.devices.values():
            if device.has_line(pin):
                device.fail(error)

    def _lines_changed(self, name: str) -> None:
        if self.outputs[name].is_open and name in self._decisions:
            self._pending[name] = self._decisions[name]
        self._changed.set()

    async def _protect(self) -> None:
        """Has the watchdog process hold the outputs that are in use, and no others. Raises DeviceError."""
        self._changed.clear()
        acts = await self.pins.safe_acts() if self._settings.watchdog and self._is_open else self._guarded
        if acts != self._guarded:
            self._guarded = acts
            await self.guard.protect(acts)
