"""aiomqtt's side of the comparison: `aiomqtt_peer.py PORT QOS COUNT`, at most 20 publishes under way."""

import asyncio
import json
import sys
import time

import aiomqtt

WINDOW = 20
TOPIC = "iofog/default/peer/readings"


async def main(port, qos, count):
    async with aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V311) as client:
        client.pending_calls_threshold = WINDOW * 2
        start, cpu = time.perf_counter(), time.process_time()
        if qos == 0:
            for _ in range(count):
                await client.publish(TOPIC, bytes(64), qos=0)
        else:
            room = asyncio.Semaphore(WINDOW)

            async def one():
                async with room:
                    await client.publish(TOPIC, bytes(64), qos=qos)

            await asyncio.gather(*(one() for _ in range(count)))
        took, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(json.dumps({"rate": count / took, "cpu_us": cpu / count * 1e6}))


asyncio.run(main(*map(int, sys.argv[1:])))
