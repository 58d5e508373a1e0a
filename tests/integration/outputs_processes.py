"""Service and guard as processes that are killed; the emulated chip is in this one."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .outputs_model import WatchedGpio

WORKER = os.environ.get("OUTPUTS_WORKER", str(Path(__file__).parent / "outputs_worker.py"))
"""Another script that speaks as this one does shows what the model finds in another service."""
_STEP_S = 0.0005


class Processes:
    """A world; each of its methods runs the loop."""

    guard_starts_s = 1.0

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory()
        self._loop = asyncio.new_event_loop()
        self._errors = Path(self._folder.name) / "stderr"
        self._exits = contextlib.AsyncExitStack()
        self.gpio = WatchedGpio(Path(self._folder.name) / "gpio", time.monotonic_ns).wire()
        self._do(self._exits.enter_async_context(self.gpio.serving()))
        self._process, self._number, self._waiting, self._storms = None, 0, {}, {}
        self._reading = None

    def _do(self, work):
        return self._loop.run_until_complete(work)

    def start(self, members):
        async def starting():
            with self._errors.open("wb") as errors:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, WORKER), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
                )
            self._reading = asyncio.ensure_future(self._read(self._process))
            self._tell(self._settings(members))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(20):  # so that commands and kills meet one that has begun
                    while not any(line.request for line in self.gpio.chips["gpiochip0"].lines):
                        await asyncio.sleep(0.002)

        self._do(starting())

    def _settings(self, members):
        return {"gpio": {"path": f"sim:{self.gpio.path}"}, **members}

    async def _read(self, process):
        async for line in process.stdout:
            told = json.loads(line)
            if (waiting := self._waiting.pop(told["id"], None)) and not waiting[1].done():
                waiting[1].set_result(told["ok"])

    def _tell(self, message):
        if self._process is not None:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")

    def _command(self, name, parameters):
        self._number += 1
        answer = self._loop.create_future()
        self._waiting[self._number] = (name, answer)
        self._tell({"id": self._number, "name": name, "parameters": parameters})
        return answer

    def reload(self, members):
        self._tell({"settings": self._settings(members)})

    def command(self, name, parameters, waits):
        answer = self._command(name, parameters)
        if not waits:
            return False

        async def waiting():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    return await answer
            return False

        return self._do(waiting())

    def storm(self, name, seconds):
        async def storming():
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(5):
                        await self._command(name, {"value": True})
                await asyncio.sleep(0.001)

        task = self._loop.create_task(storming())
        self._storms[task] = name
        task.add_done_callback(lambda task: self._storms.pop(task, None))

    def outstanding(self):
        """Outputs for which a command is under way."""
        return {name for name, _ in self._waiting.values()} | set(self._storms.values())

    def drive(self, line, level):
        self.gpio.drive(line, level)

    def slow(self, seconds):
        self.gpio.answer_delay_s = seconds

    def guards(self):
        """Process ids of the guards of the running service."""
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
            return [int(pid) for pid in children.split()]
        return []

    def kill_service(self):
        for task in list(self._storms):
            task.cancel()
        process, self._process = self._process, None
        assert process.returncode is None, f"the service has ended by itself: {self._errors.read_text()}"
        process.kill()

        async def gone():
            await process.wait()
            await self._reading

        self._do(gone())
        self._waiting.clear()

    def kill_guard(self):
        if self._process is not None:
            for pid in self.guards():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def moment(self, steps):
        self.wait(steps * _STEP_S)

    def wait(self, seconds):
        self._do(asyncio.sleep(seconds))

    def settle(self):
        """Until all has been answered, and nothing has changed for longer than anything waits that can go on."""

        async def settling():
            quiet_since = time.monotonic()
            seen = len(self.gpio.history)
            while time.monotonic() < quiet_since + 1.3:
                await asyncio.sleep(0.05)
                if len(self.gpio.history) != seen or self.outstanding():
                    seen, quiet_since = len(self.gpio.history), time.monotonic()

        self._do(settling())

    def stop(self):
        async def stopping():
            self._process.stdin.close()
            await asyncio.wait_for(self._process.wait(), 30)

        self._do(stopping())
        self._process = None

    def end(self):
        if self._process is not None:
            self.kill_service()

        async def ending():
            for task in list(self._storms):
                task.cancel()
            if self._reading:
                await self._reading
            await self._exits.aclose()

        self._do(ending())
        self._loop.close()
        self._folder.cleanup()
