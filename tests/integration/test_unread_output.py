"""A service whose standard output and standard error nobody reads: it works on, and ends in time."""

import asyncio
import os
import re
import signal
import sys

from local_agent.ports import free_port

SERVICE = """
import asyncio, logging
from device_bridge import DeviceService, Quantity, ServiceSettings, run

class Chatty(DeviceService[ServiceSettings]):
    quantities = (Quantity("a"),)

    async def stream(self):
        while True:
            self.log.info("%s", "x" * 1000)
            yield [self.quantities[0].good(1)]
            await asyncio.sleep(0.001)

run(Chatty)
"""


async def get(port, path):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    return answer


async def metric(port, name):
    found = re.search(rf"^{re.escape(name)} (\S+)$", await get(port, "/metrics"), re.MULTILINE)
    return float(found[1]) if found else 0.0


async def test_a_service_that_nobody_reads_works_on_and_ends_in_time():
    port = free_port()
    settings = {"SETTING_HTTP__PORT": str(port), "SETTING_LOG_LEVEL": "debug", "IOFOG_LINK": "console:"}
    read, write = os.pipe()  # of standard error; its reader is there, and does not read
    service = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVICE.replace("self.log.info", "self.log.debug")),
        env=os.environ | settings,
        stdout=write,
        stderr=write,
    )
    os.close(write)
    try:
        async with asyncio.timeout(60):
            while True:
                try:
                    if await metric(port, 'bridge_log_lines_dropped_total{reason="not read"}'):
                        break
                except OSError:
                    assert service.returncode is None
                await asyncio.sleep(0.01)
            before = await metric(port, "bridge_readings_read_total")
            while await metric(port, "bridge_readings_read_total") < before + 100:
                await asyncio.sleep(0.01)
            assert '"status":"ok"' in await get(port, "/healthz")
            assert await metric(port, "bridge_readings_buffered") > 0
            service.send_signal(signal.SIGTERM)
            assert await service.wait() == 0
    finally:
        if service.returncode is None:
            service.kill()
            await service.wait()
        os.close(read)
