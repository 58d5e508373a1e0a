"""A link in memory: takes every message at once while it is connected, and hands on what a test puts in."""

import asyncio
import json
from collections import defaultdict

from iofog_sdk import ConnectionLost, IoMessage, Link, Receipt


class MemoryLink(Link):
    """The node, as far as a process sees it."""

    description = microservice_id = "memory"

    def __init__(self, config=None):
        super().__init__()
        self.config = config
        self.sent, self.lines, self.inbox = [], [], asyncio.Queue()
        self.arrived = []
        """When each was sent, by the loop's clock."""
        self._up = asyncio.Event()
        self._up.set()

    @property
    def connected(self):
        return self._up.is_set()

    def connect(self, *, up):
        """The node is there, or away."""
        (self._up.set if up else self._up.clear)()

    def configure(self, **config):
        """Other configuration comes from the node."""
        self.config = config
        self.on_config(json.dumps(config))

    async def start(self):
        self.on_config(json.dumps(self.config) if self.config is not None else None)

    async def close(self):
        pass

    async def wait_connected(self):
        await self._up.wait()

    async def get_config(self):
        return self.config

    def post(self, body, done):
        if not self.connected:
            done(ConnectionLost("the node is away"))
            return
        self.sent.append(IoMessage.from_bytes(body))
        self.arrived.append(asyncio.get_running_loop().time())
        done(Receipt("1", 0))

    async def messages(self):
        while True:
            yield await self.inbox.get()

    async def log(self, message, *, warning=False):
        self.lines.append(message)

    def command(self, **members):
        """A command comes."""
        content = json.dumps({"time": 2**31, **members}).encode()
        self.inbox.put_nowait(IoMessage(id=str(members), contentdata=content))

    @property
    def results(self):
        """Of commands."""
        return [json.loads(message.contentdata) for message in self.sent if message.infotype == "application/json"]

    def records(self, source):
        """What has come from a source: SenML records, each with the loop's time of its arrival as `at`."""
        found = []
        for message, at in zip(self.sent, self.arrived, strict=True):
            if message.infotype == "application/senml+json":
                pack = json.loads(message.contentdata)
                found += [record | {"at": at} for record in pack if pack[0]["bn"] == f"{source}:"]
        return found

    def numbers(self):
        """Sequence numbers by group."""
        by_group = defaultdict(list)
        for message in self.sent:
            by_group[message.groupid].append(message.sequencenumber)
        return dict(by_group)
