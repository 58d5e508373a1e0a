"""The service in a process of its own: settings and commands come as lines of JSON, results go back as lines."""

import asyncio
import json
import logging
import sys

from device_bridge import Command
from device_bridge.settings import SettingsSources
from device_bridge.supervision import Supervisor
from digital_outputs.service import DigitalOutputs

_COMMAND_S = 1.0


def _settings(members):
    sources = SettingsSources(DigitalOutputs.settings_type, file=None, environment={})
    return sources.resolve(json.dumps(members))


async def _room():
    return None


async def main():
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    first = json.loads(await reader.readline())
    bridge = Supervisor(DigitalOutputs, _settings(first), lambda _: None, _room)
    running = asyncio.ensure_future(bridge.run())
    async for line in reader:
        told = json.loads(line)
        if "settings" in told:
            bridge.apply(_settings(told["settings"]))
            continue
        try:
            async with asyncio.timeout(_COMMAND_S):
                result = await bridge.execute(Command(name=told["name"], parameters=told["parameters"]))
                print(json.dumps({"id": told["id"], "ok": result.ok}), flush=True)
        except TimeoutError:
            print(json.dumps({"id": told["id"], "ok": False}), flush=True)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    asyncio.run(main())
