"""A site: a GPS receiver, a climate sensor, a meter, contacts, relays, each by its own service's emulator."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
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
    """All emulators, each a process of its own."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}
        self._emulators: dict[str, asyncio.subprocess.Process] = {}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Starts them, and learns how their services reach them; ends them."""
        try:
            for name, service in SITE.items():
                self._emulators[name] = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", f"{service}.emulator"),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    start_new_session=True,
                )
            for name, emulator in self._emulators.items():
                assert emulator.stdout is not None  # noqa: S101 - a pipe was asked for
                printed = json.loads(await emulator.stdout.readline())
                self.settings[name] = {"service": SITE[name], "settings": printed["settings"]}
            yield
        finally:
            for emulator in self._emulators.values():
                with contextlib.suppress(ProcessLookupError):
                    emulator.terminate()
            await asyncio.gather(*(emulator.wait() for emulator in self._emulators.values()))

    def execute(self, text: str) -> str:
        """`BRIDGE COMMAND…`: a command for the emulator of one bridge, as its own help says."""
        name, _, command = text.partition(" ")
        emulator = self._emulators.get(name)
        if emulator is None or emulator.stdin is None or not command:
            return f"write one of {', '.join(SITE)}, and a command for its emulator"
        emulator.stdin.write(f"{command}\n".encode())
        return "passed on"

    async def play(self) -> None:
        """Reads what the emulators answer, until one ends. Raises ChildProcessError then."""

        async def drain(name: str, emulator: asyncio.subprocess.Process) -> None:
            assert emulator.stdout is not None  # noqa: S101 - a pipe was asked for
            while await emulator.stdout.readline():
                pass
            raise ChildProcessError(f"the emulator of {name} has ended")

        await asyncio.gather(*(drain(*each) for each in self._emulators.items()))


async def _run() -> None:
    site = Site()
    async with site.running():
        await play_until_stopped({"bridges": site.settings, "rules": RULES, "interval": 10}, site.play(), site)


def main(arguments: list[str] | None = None) -> None:
    """Prints one line of JSON, the settings a service needs to reach them, then plays until SIGTERM or SIGINT."""
    emulator_parser("edge_gateway.emulator", __doc__, Site).parse_args(arguments)
    asyncio.run(_run())


if __name__ == "__main__":
    main()
