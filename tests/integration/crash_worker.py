"""A process to be killed: puts numbered messages through an outbox to a link that answers when it likes."""

import asyncio
import os
import random
from pathlib import Path

from device_bridge import OutboxSettings
from device_bridge.outbox.delivery import Delivery
from device_bridge.outbox.durable import Outbox
from iofog_sdk import ConsoleLink, Receipt


class MoodyLink(ConsoleLink):
    """Tells the parent what it was given, and gives receipts late, in order."""

    def __init__(self, pipe: int, rng: random.Random) -> None:
        super().__init__()
        self._pipe, self._rng = pipe, rng
        self._waiting = []

    def post(self, body, done):
        os.write(self._pipe, b"D%s\n" % body)
        self._waiting.append(done)
        asyncio.get_running_loop().call_later(self._rng.random() * 0.003, self._answer)

    def _answer(self):
        self._waiting.pop(0)(Receipt("id", 1))


async def live(folder: str, seed: int, first: int, count: int, pipe: int) -> None:
    rng = random.Random(seed)
    settings = OutboxSettings(durability="always", sync=rng.choice(["normal", "full"]), memory_bytes=4096)
    box = Outbox(settings, Path(folder) / "box.outbox")
    await box.open()
    delivery = Delivery(box, MoodyLink(pipe, rng), lambda entry: entry.body, window=16)
    sending = asyncio.ensure_future(delivery.run())
    os.write(pipe, b"R\n")
    offset = first - (box._number + 1)
    for number in range(first, first + count):
        os.write(pipe, b"P%d\n" % number)
        box.put(b"%d" % number, 1)
        assert box.read == box.delivered + box.buffered + box.dropped.total()
        os.write(pipe, b"C%d\n" % (box._written_to + offset))
        if rng.random() < 0.3:
            await asyncio.sleep(rng.random() * 0.002)
    await box.wait_empty()
    sending.cancel()
    await box.close()
    os.write(pipe, b"E\n")


def run(folder: str, seed: int, first: int, count: int, pipe) -> None:
    asyncio.run(live(folder, seed, first, count, pipe.fileno()))
