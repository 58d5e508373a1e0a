"""A site: a GPS receiver, a climate sensor, a meter, contacts, relays, each by its own service's emulator."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from simulated_devices import emulator_parser, play_until_stopped

SITE = {
    "gps": "gps_receiver",
    "climate": "climate_sensor",
    "meter": "modbus_meter",
    "contacts": "digital_inputs",
    "relays": "digital_outputs",
}
"""Services by the names of their bridges."""
RULES = [{"reading": "contacts/button", "output": "relays/relay", "on_when": True, "max_age": 120}]


class Site:
    """All emulators, each a process of its own.

    Parameters:
        folder: for their terminals and sockets.
    """

    def __init__(self, folder: Path) -> None:
        self.settings: dict[str, Any] = {}
        self._folder = folder
        self._emulators: dict[str, asyncio.subprocess.Process] = {}
        self._away: set[str] = set()
        self._changed = asyncio.Event()
        self._changes: dict[str, asyncio.Task[None]] = {}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Starts them, and learns how their services reach them; ends them."""
        try:
            await asyncio.gather(*map(self._start, SITE))
            yield
        finally:
            for change in self._changes.values():
                change.cancel()
            await asyncio.gather(*self._changes.values(), return_exceptions=True)
            await asyncio.gather(*map(self._end, list(self._emulators)))

    def execute(self, text: str) -> str:
        """`BRIDGE away` and `BRIDGE back` take a device away and bring it back; `BRIDGE COMMAND…` is a command for
        its emulator, as that one's own help says.
        """
        name, _, command = text.partition(" ")
        if name not in SITE or not command:
            return f"write one of {', '.join(SITE)}, and `away`, `back` or a command for its emulator"
        if command in ("away", "back"):
            before = self._changes.get(name)
            self._changes[name] = asyncio.ensure_future(self._change(name, before, is_away=command == "away"))
            return "ok"
        emulator = self._emulators.get(name)
        if emulator is None or emulator.stdin is None:
            return f"{name} is away"
        emulator.stdin.write(f"{command}\n".encode())
        return "ok"

    async def play(self) -> None:
        """Waits until an emulator ends by itself. Raises ChildProcessError then."""
        while True:
            self._changed.clear()
            waiting = {asyncio.ensure_future(each.wait()): name for name, each in self._emulators.items()}
            changed = asyncio.ensure_future(self._changed.wait())
            await asyncio.wait((*waiting, changed), return_when=asyncio.FIRST_COMPLETED)
            ended = [name for task, name in waiting.items() if task.done() and name not in self._away]
            for task in (*waiting, changed):
                task.cancel()
            if ended:
                raise ChildProcessError(f"the emulator of {ended[0]} has ended")

    async def _change(self, name: str, before: asyncio.Task[None] | None, *, is_away: bool) -> None:
        if before is not None:
            await asyncio.wait((before,))
        if is_away == (name in self._away):
            return
        if is_away:
            self._away.add(name)
            await self._end(name)
        else:
            await self._start(name)
            self._away.discard(name)
        self._changed.set()

    async def _start(self, name: str) -> None:
        service = SITE[name]
        option = "--link" if service in ("gps_receiver", "modbus_meter") else "--socket"
        emulator = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", f"{service}.emulator", option, str(self._folder / name)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self._emulators[name] = emulator
        assert emulator.stdout is not None  # noqa: S101 - a pipe was asked for
        printed = json.loads(await emulator.stdout.readline())
        self.settings[name] = {"service": service, "settings": printed["settings"]}

    async def _end(self, name: str) -> None:
        emulator = self._emulators.pop(name)
        with contextlib.suppress(ProcessLookupError):
            emulator.terminate()
        await emulator.wait()


async def _run() -> None:
    with tempfile.TemporaryDirectory(prefix="site-") as folder:
        site = Site(Path(folder))
        async with site.running():
            await play_until_stopped({"bridges": site.settings, "rules": RULES, "interval": 10}, site.play(), site)


def main(arguments: list[str] | None = None) -> None:
    """Prints one line of JSON, the settings a service needs to reach them, then plays until SIGTERM or SIGINT."""
    emulator_parser("edge_gateway.emulator", __doc__, Site).parse_args(arguments)
    asyncio.run(_run())


if __name__ == "__main__":
    main()
