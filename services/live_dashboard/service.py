"""Shows what a node's services measure: a page with live values, charts, a map, events, and outputs to switch."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

from device_bridge import DeviceError, DeviceErrorKind, DeviceService, Forwarded, Quantity, Sample, every, run
from device_bridge.outbox import Delivery

from .board import Board, Limits
from .history import History
from .housekeeping import Housekeeper
from .receiving import Receiver
from .settings import DashboardSettings
from .web import PageServer, Switching

SOURCES = Quantity("sources", "count", description="sources that are known")
SILENT = Quantity("sources_silent", "count", description="of these, those that nothing comes from")
FAILING = Quantity("sources_failing", "count", description="of these, those whose device is gone")
MISSING = Quantity("messages_missing", "count", description="numbers of messages that have been skipped")


class LiveDashboard(DeviceService[DashboardSettings]):
    """Serves a live page of everything that arrives."""

    quantities = (SOURCES, SILENT, FAILING, MISSING)
    forwards_messages = True

    def __init__(self, settings: DashboardSettings) -> None:
        super().__init__(settings)
        self.board = Board(Limits(settings.max_sources, settings.max_quantities, settings.source_timeout))
        kept = settings.history
        folder = kept.directory or os.environ.get("STATE_DIRECTORY", "")
        file = Path(folder, "live_dashboard.history.db") if folder else None
        self.history = History(self.board, file, kept.max_bytes, kept.days)
        self._outgoing: asyncio.Queue[Forwarded] = asyncio.Queue()
        token = settings.switching.token()
        self.switching = Switching(self.board, token, settings.switching.timeout, self._outgoing.put_nowait)
        self.server = PageServer(settings.page, self.board, self.history, self.switching, self._link)
        self._receiver = Receiver(self.board, self.switching)
        self._housekeeper = Housekeeper(self.board, self.history, kept.days, lambda: self.node)

    @classmethod
    def check_settings(cls, settings: DashboardSettings) -> None:
        settings.switching.token()

    async def open(self) -> None:
        page = self.settings.page
        await self.history.open(time.time())
        try:
            await self.server.open()
        except OSError as error:
            where = f"http://{page.host}:{page.port}"
            raise DeviceError(DeviceErrorKind.BUSY, where, error.strerror or str(error)) from None
        self.log.info(
            "the page is at http://%s:%d", page.host, self.server.port, extra={"data": {"page": self.server.port}}
        )

    async def close(self) -> None:
        await self.server.close()
        await self.history.close(time.time())

    async def stream(self) -> AsyncIterator[Sample | Forwarded]:
        loop = asyncio.get_running_loop()
        work = [loop.create_task(self._housekeeper.run()), loop.create_task(self.server.stream.run())]
        if (inbound := self.inbound) is not None:
            inbound.reader = self._receiver.take
            delivery = Delivery(inbound, self._receiver, lambda entry: entry.body)
            work.append(loop.create_task(delivery.run()))
        sending: asyncio.Task[Forwarded] = loop.create_task(self._outgoing.get())
        try:
            while True:
                await asyncio.wait((sending, *work), return_when=asyncio.FIRST_COMPLETED)
                for task in work:
                    if task.done():
                        task.result()
                if sending.done():
                    message = sending.result()
                    sending = loop.create_task(self._outgoing.get())
                    yield message
        finally:
            if inbound is not None:
                inbound.reader = None
            for one in (sending, *work):
                one.cancel()
            await asyncio.gather(sending, *work, return_exceptions=True)

    @every("report_interval")
    async def report(self) -> Sample:
        """The state of the whole, for those who are not looking."""
        sources = self.board.sources.values()
        return [
            SOURCES.good(len(sources)),
            SILENT.good(sum(one.silent for one in sources)),
            FAILING.good(sum(bool(one.failing) for one in sources)),
            MISSING.good(max(0, sum(one.missing for one in self.board.accounts.values()))),
        ]

    def counters(self) -> dict[str, int]:
        return {
            "page_clients": self.server.stream.clients,
            "page_clients_dropped": self.server.stream.dropped,
            "malformed": self._receiver.malformed,
            "sources_refused": self.board.refused["sources"],
            "quantities_refused": self.board.refused["quantities"],
            "history_dropped": self.history.dropped,
        }

    def _link(self) -> tuple[bool, str]:
        connected = self.node.is_connected()
        return connected, "" if connected else "the link to the node is down; nothing can arrive"


def main() -> None:
    """Runs the service as this process."""
    run(LiveDashboard)
