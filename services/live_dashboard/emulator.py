"""A microservice that sends to a dashboard what many devices would, and misbehaves on request."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import os
import random
import secrets
import socket
import tempfile
import time
import uuid
from pathlib import Path

import msgspec

from device_bridge import Command, CommandError, CommandSpec, Parameter, Quality, Reading, Value
from device_bridge.messages import ANNOUNCEMENT_TYPE, Announcement, senml
from iofog_sdk import IoMessage, Link, connect
from iofog_sdk.links import read_identity
from iofog_sdk.messages import decode_json
from simulated_devices import emulator_parser, number, play_until_stopped
from simulated_devices.command import execute_command, is_on

RELAY = CommandSpec("relay", (Parameter("value", "boolean"),), "switches it")
_QUANTITIES = (("temperature", "Cel", 21.0, 4.0), ("humidity", "%RH", 48.0, 12.0), ("pressure", "hPa", 1009.0, 6.0))


class EmulatedSource:
    """One device: a climate sensor with a relay on it.

    Parameters:
        number: of it.
        seed: for its noise.
    """

    def __init__(self, number: int, seed: int = 1) -> None:
        self.name = f"source-{number:03}"
        self.relay, self.bad, self.silent = False, "", False
        self.values: dict[str, float] = {}
        self._random = random.Random(seed * 1000 + number)
        self._phase = number * 0.7

    def readings(self, now: float) -> list[Reading]:
        """What it measures now."""
        if self.bad:
            names = [(name, unit) for name, unit, _, _ in _QUANTITIES] + [("relay", "")]
            return [Reading(name, None, unit, now, Quality.BAD, self.bad) for name, unit in names]
        found = []
        for name, unit, middle, swing in _QUANTITIES:
            value = middle + swing * math.sin(now / 40 + self._phase) + self._random.gauss(0, swing / 40)
            found.append(Reading(name, self.values.get(name, round(value, 2)), unit, now))
        return [*found, Reading("relay", self.relay, "", now)]


class EmulatedSources:
    """Sources that send through one link, as one microservice.

    Parameters:
        count: of sources.
        interval_s: between two messages of one.
        variables: by which the link is found.
    """

    def __init__(self, count: int, interval_s: float, variables: dict[str, str]) -> None:
        self.sources = {one.name: one for one in (EmulatedSource(number) for number in range(1, count + 1))}
        self._interval_s, self._variables = interval_s, variables
        self._group, self._number = uuid.uuid4().hex, 0
        self._last = b""
        self._link: Link | None = None

    async def run(self) -> None:
        """Sends until cancelled; without a link there is nothing to do."""
        if not {"IOFOG_LINK", "SELFNAME"} & set(self._variables):
            await asyncio.Event().wait()
        async with connect(self._variables) as link:
            self._link = link
            await link.wait_connected()
            commands = asyncio.ensure_future(self._take_commands(link))
            try:
                await self._send_all(link)
            finally:
                commands.cancel()
                await asyncio.gather(commands, return_exceptions=True)

    def execute(self, text: str) -> str:
        """`set SOURCE QUANTITY VALUE`, `bad SOURCE REASON`, `good SOURCE`, `silent SOURCE on|off`, `skip N`,
        `repeat`, `restart`.
        """
        return execute_command(
            text,
            {
                "set": (3, self._set),
                "bad": (2, lambda name, reason: setattr(self.sources[name], "bad", reason)),
                "good": (1, lambda name: setattr(self.sources[name], "bad", "")),
                "silent": (2, lambda name, word: setattr(self.sources[name], "silent", is_on(word))),
                "skip": (1, lambda count: setattr(self, "_number", self._number + int(count))),
                "repeat": (0, self._repeat),
                "restart": (0, self._restart),
            },
        )

    def _set(self, source: str, quantity: str, value: str) -> None:
        one = self.sources[source]
        if quantity == "relay":
            one.relay = is_on(value)
        else:
            one.values[quantity] = float(value)
        self._post(one)

    def _repeat(self) -> None:
        if self._link is not None and self._last:
            self._link.post(self._last, lambda _: None)

    def _restart(self) -> None:
        self._group, self._number = uuid.uuid4().hex, 0

    async def _send_all(self, link: Link) -> None:
        names = list(self.sources)
        pause_s = self._interval_s / len(names)
        due = asyncio.get_running_loop().time()
        while True:
            for at, name in enumerate(names):
                source = self.sources[name]
                if at == 0 or self._number < 2 * len(names):
                    self._announce(source)
                if not source.silent:
                    self._post(source)
                due += pause_s
                if (wait_s := due - asyncio.get_running_loop().time()) > 0.005:
                    await asyncio.sleep(wait_s)
                    await link.wait_for_room()

    def _post(self, source: EmulatedSource) -> None:
        content = senml.encode(source.readings(time.time()), f"{source.name}:")
        self._send(senml.INFO_TYPE, content)

    def _announce(self, source: EmulatedSource) -> None:
        announced = Announcement(
            service="live_dashboard.emulator",
            microservice=read_identity(self._variables).microservice,
            source=source.name,
            state="failed" if source.bad else "reading",
            reason=source.bad,
            interval=self._interval_s,
            commands=(RELAY,),
        )
        self._send(ANNOUNCEMENT_TYPE, msgspec.json.encode(announced))

    def _send(self, infotype: str, content: bytes) -> None:
        if self._link is None or not self._link.connected:
            return
        self._number += 1
        message = IoMessage(infotype=infotype, infoformat="utf-8", contentdata=content, groupid=self._group)
        message.sequencenumber, message.publisher = self._number, self._link.microservice_id
        self._last = message.to_bytes()
        self._link.post(self._last, lambda _: None)

    async def _take_commands(self, link: Link) -> None:
        async for message in link.messages():
            with contextlib.suppress(ValueError):
                content = decode_json(message.contentdata, dict[str, Value])
                id_, name = str(content.pop("id", message.id)), str(content.pop("command", ""))
                content.pop("time", None)
                self._execute(id_, Command(name=name, parameters=content))

    def _execute(self, id_: str, command: Command) -> None:
        source = next(iter(self.sources.values()))
        try:
            source.relay = bool(RELAY.check(command).value)
        except CommandError as error:
            answer: dict[str, object] = {"ok": False, "detail": str(error), "readings": []}
        else:
            read_back = senml.encode([Reading("relay", source.relay, "", time.time())], f"{source.name}:")
            answer = {"ok": True, "detail": "done and read back", "readings": msgspec.Raw(read_back)}
        self._send("application/json", msgspec.json.encode({"command": command.name, "id": id_, **answer}))


async def _run(options: argparse.Namespace) -> None:
    sources = EmulatedSources(options.sources, options.interval, dict(os.environ))
    with tempfile.TemporaryDirectory(prefix="dashboard-") as folder:
        port, token, file = free_port(options.port), secrets.token_hex(8), Path(folder, "token")
        file.write_text(token, encoding="utf-8")
        settings = {
            "page": {"port": port},
            "switching": {"token_file": str(file)},
            "history": {"directory": folder},
            "report_interval": 5,
        }
        note = f"the page is at http://127.0.0.1:{port} (token for switching: {token})"
        await play_until_stopped(settings, sources.run(), sources, note=note)


def free_port(wanted: int) -> int:
    """The port that is wanted if nobody has it, or any other."""
    for port in (wanted, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    return 0


def main(arguments: list[str] | None = None) -> None:
    """Prints one line of JSON, settings of a dashboard, then plays until SIGTERM or SIGINT."""
    parser = emulator_parser("live_dashboard.emulator", __doc__, EmulatedSources)
    add = parser.add_argument
    add("--sources", type=number(int, 1, 5000), default=4, help="how many")
    add("--interval", type=number(float, 0.01, 3600), default=1.0, help="seconds between two messages of one")
    add("--port", type=number(int, 0, 65535), default=8000, help="of the page, if nobody has it")
    asyncio.run(_run(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
