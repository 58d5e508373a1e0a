"""Receipted messages over one socket, against one REST call for each."""

from __future__ import annotations

import asyncio
import json
import sys
import time
import urllib.request

from iofog_sdk import IoMessage, LocalApiClient, Outcome
from iofog_sdk.agent.message_socket import encode_for_socket

from .bed import listening, process
from .report import Row, at_least

_WINDOW = 64
_AGENT = """
import asyncio, sys
from local_agent import AgentConfig, Listen, LocalAgent, Microservice
config = AgentConfig(listen=Listen(port=int(sys.argv[1])), microservices={"device": Microservice()})
async def main():
    async with LocalAgent(config):
        await asyncio.Event().wait()
asyncio.run(main())
"""


async def rows(quick: bool, port: int) -> list[Row]:
    """Rate and processor time of a message at two sizes."""
    table = []
    async with process(sys.executable, "-c", _AGENT, str(port)):
        await listening(port)
        client = LocalApiClient("device", "127.0.0.1", port)
        socket = client.message_socket()
        socket.start()
        await asyncio.wait_for(socket.wait_connected(), 20)
        for size, goal in ((64, 25.0), (1024, 25.0)):
            body = encode_for_socket(
                IoMessage(publisher="device", infotype="t", infoformat="f", contentdata=bytes(size))
            )
            rates, rest_rates, costs, rest_costs = [], [], [], []
            for _ in range(3):
                rate, cost = await _socket_rate(socket, body, 4_000 if quick else 20_000)
                rest_rate, rest_cost = await asyncio.to_thread(_rest_rate, port, size, 200 if quick else 600)
                rates.append(rate)
                costs.append(cost)
                rest_rates.append(rest_rate)
                rest_costs.append(rest_cost)
            baseline = f"a REST call each: {max(rest_rates):.0f}/s, {min(rest_costs):.0f} us"
            name = f"receipted messages/s, {size} B ({max(rates):.0f}/s)"
            table.append(at_least(name, max(rates) / max(rest_rates), "x", baseline, goal))
            name = f"processor time per message, {size} B ({min(costs):.1f} us)"
            table.append(at_least(name, min(rest_costs) / min(costs), "x less", baseline, goal))
        await socket.close()
        await client.close()
    return table


async def _socket_rate(socket, body: bytes, count: int) -> tuple[float, float]:  # type: ignore[no-untyped-def]
    done, left = asyncio.Event(), count
    sent = 0

    def finished(outcome: Outcome) -> None:
        nonlocal left
        if isinstance(outcome, Exception):
            raise outcome
        left -= 1
        send()
        if not left:
            done.set()

    def send() -> None:
        nonlocal sent
        while sent < count and sent - (count - left) < _WINDOW:
            sent += 1
            socket.post(body, finished)

    start, cpu = time.perf_counter(), time.process_time()
    send()
    await done.wait()
    return count / (time.perf_counter() - start), (time.process_time() - cpu) / count * 1e6


def _rest_rate(port: int, size: int, count: int) -> tuple[float, float]:
    members = {
        "publisher": "device",
        "version": 4,
        "infotype": "t",
        "infoformat": "f",
        "contentdata": "AAAA" * (size // 3),
    }
    start, cpu = time.perf_counter(), time.process_time()
    for _ in range(count):
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v2/messages/new",
            json.dumps(members).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as reply:
            reply.read()
    return count / (time.perf_counter() - start), (time.process_time() - cpu) / count * 1e6
