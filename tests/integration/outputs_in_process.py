"""Service and guard in this process, on a movable clock: a kill is that nothing of it reaches the chip any more."""

import asyncio
import contextlib
import errno
import itertools
import os
import tempfile
from pathlib import Path
from unittest import mock

from device_bridge import Command
from device_bridge.control import offs_first
from device_bridge.control import safe_state_guard as guard_module
from device_bridge.control.guard_process import BYE, SafeAct
from digital_outputs.service import DigitalOutputs

from ..movable_clock import MovableClockLoop, now_ns
from ..services.serving import Bridged, settings_of
from .outputs_model import WatchedGpio

_COMMAND_S = 1.0


class _Socket(WatchedGpio):
    """The chip as one life of the service reaches it; after the life's end only its guard does."""

    def __init__(self, path, shared):
        super().__init__(path, now_ns)
        self.chips, self.failing, self.history = shared.chips, shared.failing, shared.history
        self.is_cut = False
        self.answers = asyncio.Queue()

    def _answer(self, verb, arguments, held):
        marked = verb == "set" and len(arguments) == 3
        if self.is_cut and not marked:
            raise OSError(errno.ENODEV, "killed")
        try:
            result = super()._answer(verb, arguments, held)
        except OSError:
            if marked:
                self.answers.put_nowait(False)
            raise
        if marked:
            self.answers.put_nowait(True)
        return result


class _Guard:
    """In place of the process: its order is that of `offs_first`, its pipes are calls."""

    pids = itertools.count(1)
    current = None

    def __init__(self, life, acts):
        self._life, self._acts = life, [act._replace(fd=os.dup(act.fd)) for act in acts]
        self.pid, self.ended = next(self.pids), asyncio.get_running_loop().create_future()
        self._began_at = asyncio.get_running_loop().time()
        life.guards.append(self)

    @classmethod
    async def start(cls, acts, timeout_s):
        await asyncio.sleep(0.02)
        if cls.current is None or cls.current.socket.is_cut:
            raise OSError(errno.EAGAIN, "killed")
        return cls(cls.current, acts)

    @property
    def age_s(self):
        return asyncio.get_running_loop().time() - self._began_at

    async def end(self, last_word):
        if self._life.socket.is_cut or self.ended.done():
            return
        if last_word != BYE:
            await self.act(attempts=8)
        self.over(0)

    def over(self, status):
        if not self.ended.done():
            self.ended.set_result(status)
            for act in self._acts:
                os.close(act.fd)

    async def act(self, attempts=600):
        for _ in range(attempts):
            plan, failed = offs_first(self._acts, lambda act: act.safe, lambda act: act.group), 0
            with contextlib.suppress(StopIteration):
                act, on = next(plan)
                while not self.ended.done():
                    done = await self._switch(act, on)
                    failed += not done
                    act, on = plan.send(done)
            if self.ended.done() or not failed:
                return
            await asyncio.sleep(0.1)

    async def _switch(self, act: SafeAct, on):
        while not self._life.socket.answers.empty():
            self._life.socket.answers.get_nowait()
        try:
            os.write(act.fd, act.on if on else act.off)
        except OSError:
            return False
        return await self._life.socket.answers.get()

    async def stand_in(self):
        if not self.ended.done():
            await self.act()
            self.over(0)


class _Life:
    def __init__(self, socket):
        self.socket, self.guards = socket, []


async def _release(life):
    """What a killed service had open is closed once its guards have done their work."""
    for guard in life.guards:
        await guard.stand_in()
    life.socket.disconnect()


class InProcess:
    """A world; each of its methods runs the loop."""

    guard_starts_s = 0.1

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory()
        self._loop = MovableClockLoop()
        self.gpio = WatchedGpio(Path(self._folder.name) / "gpio", now_ns)
        self._lives, self._tasks, self._commands = [], set(), {}
        self._exits = contextlib.AsyncExitStack()
        self._patch = mock.patch.object(guard_module, "_Process", _Guard)
        self._patch.start()
        self._do(self._wire())

    def _do(self, work):
        return self._loop.run_until_complete(work)

    async def _wire(self):
        self.gpio.wire()

    def _in_background(self, work):
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def start(self, members):
        async def starting():
            socket = _Socket(Path(f"{self.gpio.path}{len(self._lives)}"), self.gpio)
            socket.answer_delay_s = self.gpio.answer_delay_s
            await self._exits.enter_async_context(socket.serving())
            life = _Guard.current = _Life(socket)
            self._lives.append(life)
            self._bridged = Bridged(DigitalOutputs, self._settings(members))
            self._running = self._in_background(self._bridged.bridge.run())
            await asyncio.sleep(0.001)

        self._do(starting())

    def _settings(self, members):
        path = {"gpio": {"path": f"sim:{self._lives[-1].socket.path}"}}
        return settings_of(DigitalOutputs, **path, **members)

    def reload(self, members):
        async def reloading():  # a supervisor is told on its loop
            self._bridged.bridge.apply(self._settings(members))

        self._do(reloading())

    def command(self, name, parameters, waits):
        async def telling(bridge):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_COMMAND_S):
                    return (await bridge.execute(Command(name=name, parameters=parameters))).ok
            return False

        task = self._in_background(telling(self._bridged.bridge))
        if waits:
            return self._do(task)
        self._note(name, task)
        return False

    def _note(self, name, task):
        self._commands[task] = name
        task.add_done_callback(lambda task: self._commands.pop(task, None))

    def storm(self, name, seconds):
        async def storming(bridge):
            loop = asyncio.get_running_loop()
            end = loop.time() + seconds
            while loop.time() < end:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_COMMAND_S):
                        await bridge.execute(Command(name=name, parameters={"value": True}))
                await asyncio.sleep(0.0003)

        self._note(name, self._in_background(storming(self._bridged.bridge)))

    def outstanding(self):
        """Outputs for which a command is under way."""
        return set(self._commands.values())

    def drive(self, line, level):
        async def driving():
            self.gpio.drive(line, level)

        self._do(driving())

    def slow(self, seconds):
        self.gpio.answer_delay_s = seconds
        for life in self._lives:
            life.socket.answer_delay_s = seconds

    def kill_service(self):
        life = self._lives[-1]
        life.socket.is_cut = True
        self._commands.clear()
        self._running.cancel()
        self._in_background(_release(life))

    def kill_guard(self):
        for guard in self._lives[-1].guards:
            guard.over(-9)

    def moment(self, steps):
        async def steps_of_the_loop():
            for _ in range(steps):
                await asyncio.sleep(0)

        self._do(steps_of_the_loop())

    def wait(self, seconds):
        self._do(asyncio.sleep(seconds))

    def settle(self):
        self._do(asyncio.sleep(12))

    def stop(self):
        async def stopping():
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

        self._do(stopping())

    def end(self):
        async def ending():
            for life in self._lives:
                life.socket.is_cut = True
                for guard in life.guards:
                    guard.over(-9)
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._exits.aclose()
            await self._loop.shutdown_asyncgens()

        self._do(ending())
        self._loop.close()
        self._patch.stop()
        _Guard.current = None
        self._folder.cleanup()
