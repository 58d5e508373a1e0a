"""The plugin's link in memory, which also says when each message was sent."""

import asyncio
import json
from collections import defaultdict

from pytest_simulated_devices import MemoryLink


class RecordingLink(MemoryLink):
    """The node, as far as a process sees it."""

    def __init__(self, config=None):
        super().__init__(self._record)
        self.config = None if config is None else json.dumps(config)
        self.arrived = []
        """When each was sent, by the loop's clock."""

    def _record(self, message):
        self.sent.append(message)
        self.arrived.append(asyncio.get_running_loop().time())

    def reconfigure(self, **config):
        """Other configuration comes from the node."""
        self.configure(json.dumps(config))

    def command(self, **members):
        """A command comes; it is new on any clock."""
        super().command(time=2**31, **members)

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
