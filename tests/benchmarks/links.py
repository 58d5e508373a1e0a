"""Messages over NATS and MQTT: many acknowledgements under way, against one at a time, and against aiomqtt."""

from __future__ import annotations

import asyncio
import json
import subprocess
import tempfile
import time
from pathlib import Path

import nats

from iofog_sdk import IoMessage, Outcome, connect
from iofog_sdk.links.reconnecting import ReconnectingLink
from local_agent.nats_server import NatsServer

from .bridges import peers_python
from .report import Row, at_least, at_most

_ROUNDS = 3
_OURS = "import asyncio, sys; from tests.benchmarks import links; asyncio.run(links.mqtt_process(*sys.argv[1:]))"


async def rows(quick: bool) -> list[Row]:
    """Goals T5 and T6."""
    with tempfile.TemporaryDirectory() as folder:
        async with NatsServer(Path(folder), mqtt=True) as server:
            table = await _nats_rows(server, 2_000 if quick else 20_000)
            return table + await _mqtt_rows(server, 2_000 if quick else 10_000)


async def _nats_rows(server: NatsServer, count: int) -> list[Row]:
    table = []
    link = connect({"IOFOG_LINK": f"{server.url}?window=200", "IOFOG_MICROSERVICE": "bench"})
    peer = await nats.connect(server.url)
    stream = peer.jetstream()
    async with link:
        await link.wait_connected()
        for size in (64, 1024):
            ours, theirs = [], []
            for number in range(_ROUNDS):
                ours.append(count / await _sent(link, _bodies(f"{size}-{number}", size, count)))
                start = time.perf_counter()
                for _ in range(count // 10):
                    await stream.publish("iofog.readings.default.peer", bytes(size))
                theirs.append(count / 10 / (time.perf_counter() - start))
            baseline = f"nats-py, one publish awaited at a time: {max(theirs):.0f}/s"
            name = f"JetStream messages/s, 200 under way, {size} B ({max(ours):.0f}/s)"
            table.append(at_least(name, max(ours) / max(theirs), "x", baseline, 6.0))
    await peer.close()
    return table


async def _mqtt_rows(server: NatsServer, count: int) -> list[Row]:
    table = []
    for qos, goal in ((1, 1.3), (0, 4.0)):
        ours, theirs = [], []
        for _ in range(_ROUNDS):
            ours.append(await asyncio.to_thread(_run, "-c", _OURS, server, qos, count))
            script = str(Path(__file__).with_name("aiomqtt_peer.py"))
            theirs.append(await asyncio.to_thread(_run, script, None, server, qos, count))
        rate, cpu = max(one["rate"] for one in ours), min(one["cpu_us"] for one in ours)
        peer_rate, peer_cpu = max(one["rate"] for one in theirs), min(one["cpu_us"] for one in theirs)
        what = f"QoS {qos}{', window 20' if qos else ''}, 64 B"
        name = f"MQTT messages/s, {what} ({rate:.0f}/s)"
        table.append(at_least(name, rate / peer_rate, "x", f"aiomqtt: {peer_rate:.0f}/s", goal))
        name = f"MQTT processor time per message, {what} ({cpu:.0f} us)"
        table.append(at_most(name, cpu / peer_cpu, "x", f"aiomqtt: {peer_cpu:.0f} us", 0.7))
    return table


def _run(program: str, code: str | None, server: NatsServer, qos: int, count: int) -> dict[str, float]:
    """A process of its own that publishes; ours and the peer's alike."""
    import sys  # noqa: PLC0415 - the peer has an interpreter of its own

    python = sys.executable if code else str(peers_python())
    told = [program, *([code] if code else []), str(server.mqtt_port), str(qos), str(count)]
    done = subprocess.run([python, *told], check=True, capture_output=True, text=True)
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


async def mqtt_process(port: str, qos: str, count: str) -> None:
    """Our side of the comparison, in its process."""
    url = f"mqtt://127.0.0.1:{port}?version=3.1.1&qos={qos}&window=20&session_s=0&status="
    link = connect({"IOFOG_LINK": url, "IOFOG_MICROSERVICE": "bench"})
    async with link:
        await link.wait_connected()
        bodies = _bodies("run", 64, int(count))
        cpu = time.process_time()
        took_s = await _sent(link, bodies)
        cpu = time.process_time() - cpu
    print(json.dumps({"rate": int(count) / took_s, "cpu_us": cpu / int(count) * 1e6}))


def _bodies(group: str, size: int, count: int) -> list[bytes]:
    kind, content = "application/senml+json", bytes(size)
    return [
        IoMessage(groupid=group, sequencenumber=number, infotype=kind, contentdata=content).to_bytes()
        for number in range(1, count + 1)
    ]


async def _sent(link: ReconnectingLink, bodies: list[bytes]) -> float:
    """Seconds to send so many messages, as many at once as the link takes."""
    done, left = asyncio.Event(), len(bodies)

    def finished(outcome: Outcome) -> None:
        nonlocal left
        if isinstance(outcome, Exception):
            raise outcome
        left -= 1
        if not left:
            done.set()

    start = time.perf_counter()
    for number, body in enumerate(bodies):
        link.post(body, finished)
        if number % 16 == 0:
            await link.wait_for_room()
            await asyncio.sleep(0)
    await done.wait()
    return time.perf_counter() - start
