"""The other end of the route: receives ioMessages and shows their readings, live."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from device_bridge import Quality, Reading
from device_bridge.messages import ANNOUNCEMENT_TYPE, senml
from iofog_sdk import IoMessage, Link, SequenceTracker, connect
from iofog_sdk.messages import decode_json

_REFRESH_S = 0.25
_RATE_OVER_S = 5.0
_LAST_WAIT_S = 3.0
_FRAME_LINES = 6
"""Of a table: its title, three of its head, its end, and the line below everything."""
_WRONG_WIDTH = 60


class View:
    """What has arrived, as a table or a line.

    Parameters:
        title: of the table.
        by_source: a row for each source, not for each quantity.
        note: a line for people, below it.
    """

    def __init__(self, title: str, *, by_source: bool = False, note: str = "") -> None:
        self._by_source, self._note = by_source, note
        self.tracker = SequenceTracker(from_start=True)
        self._title = title
        self._last: dict[str, tuple[Reading, float]] = {}
        self._arrivals: deque[float] = deque(maxlen=100_000)
        self._started = time.monotonic()
        self.readings = 0
        self.good = 0
        self.results: deque[str] = deque(maxlen=5)
        self.outcomes = Counter[bool]()
        """How many commands were done (True), how many refused (False)."""

    def take(self, message: IoMessage) -> None:
        """Counts one message and keeps its readings."""
        now = time.monotonic()
        if not self.tracker.is_new(message):
            return
        self._arrivals.append(now)
        if message.infotype == ANNOUNCEMENT_TYPE or (self._by_source and message.infotype != senml.INFO_TYPE):
            return
        if message.infotype != senml.INFO_TYPE:
            self.results.append(message.contentdata.decode(errors="replace")[:1000])
            with contextlib.suppress(ValueError, TypeError, KeyError):
                self.outcomes[decode_json(message.contentdata)["ok"] is True] += 1
            return
        for reading in senml.decode(message.contentdata):
            self._last[reading.name] = (reading, now)
            self.readings += 1
            self.good += reading.quality is Quality.GOOD

    def line(self) -> str:
        """The counts, in one line."""
        now = time.monotonic()
        recent = sum(1 for at in self._arrivals if at > now - _RATE_OVER_S)
        rate = recent / min(_RATE_OVER_S, max(now - self._started, 0.001))
        tracker = self.tracker
        return (
            f"{rate:6.1f} messages/s   {tracker.received} received   {self.readings} readings   "
            f"{tracker.missing} lost   {tracker.duplicates} twice"
        )

    def table(self, height: int) -> Group:
        """The latest reading of every quantity, and the counts.

        Parameters:
            height: of the terminal, in lines; rows are left out for what is below them.
        """
        if self._by_source:
            return self._sources(height)
        table = Table(title=self._title, title_justify="left", expand=False)
        table.add_column("quantity", min_width=24)
        table.add_column("value", justify="right", min_width=12)
        table.add_column("unit", min_width=4)
        table.add_column("quality", min_width=12)
        table.add_column("age", justify="right", min_width=6)
        now = time.monotonic()
        rows = [
            (name.partition(":")[2], _shown(reading), reading.unit, _quality(reading), f"{now - at:.1f} s")
            for name, (reading, at) in sorted(self._last.items())
        ]
        results = [Text(f"result: {result}", no_wrap=True, overflow="ellipsis") for result in self.results]
        footer = [*results, Text(self.line()), Text("Ctrl-C ends", style="dim")]
        _add_rows(table, rows, height - len(footer))
        return Group(table, *footer)

    def _sources(self, height: int) -> Group:
        """The state of each source, and the counts."""
        table = Table(title=self._title, title_justify="left", expand=False)
        for column in ("source", "quantities", "good", "what is not good", "age"):
            table.add_column(column, justify="right" if column in ("quantities", "good", "age") else "left")
        now = time.monotonic()
        by_source: dict[str, list[tuple[Reading, float]]] = {}
        for name, last in sorted(self._last.items()):
            by_source.setdefault(name.partition(":")[0], []).append(last)
        rows: list[tuple[str | Text, ...]] = []
        for source, readings in by_source.items():
            good = sum(reading.quality is Quality.GOOD for reading, _ in readings)
            wrong = next(
                (_quality(reading) for reading, _ in readings if reading.quality is not Quality.GOOD), Text("")
            )
            wrong.truncate(_WRONG_WIDTH, overflow="ellipsis")
            age_s = now - max(at for _, at in readings)
            rows.append((source, f"{len(readings)}", f"{good}", wrong, f"{age_s:.1f} s"))
        note = self._note.replace("   ", "\n")
        footer = [Text(self.line()), Text(note, style="bold"), Text("Ctrl-C ends", style="dim")]
        _add_rows(table, rows, height - len(footer) - note.count("\n"))
        return Group(table, *footer)


def _add_rows(table: Table, rows: Sequence[tuple[str | Text, ...]], height: int) -> None:
    """Rows that fit into so many lines, and how many do not."""
    room = max(1, height - _FRAME_LINES)
    shown = rows if len(rows) <= room else rows[: room - 1]
    for row in shown:
        table.add_row(*row)
    if left := len(rows) - len(shown):
        table.add_row(f"… {left} more, in a higher window")


def _shown(reading: Reading) -> str:
    if reading.value is None:
        return "-"
    return f"{reading.value:.6f}".rstrip("0").rstrip(".") if isinstance(reading.value, float) else str(reading.value)


def _quality(reading: Reading) -> Text:
    if reading.quality is Quality.GOOD:
        return Text("good", style="green")
    return Text(f"{reading.quality.value}: {reading.reason}", style="red")


async def _receive(link: Link, view: View, command: str | None) -> None:
    async for message in link.messages():
        view.take(message)
        if command and view.good:
            outgoing = IoMessage(infotype="application/json", infoformat="utf-8", contentdata=command.encode())
            command = None
            await link.wait_connected()
            await link.send(outgoing)


async def _show(view: View) -> None:
    console = Console()
    if console.is_terminal:
        with Live(view.table(console.height), console=console, auto_refresh=False) as live:
            while True:
                await asyncio.sleep(_REFRESH_S)
                live.update(view.table(console.height), refresh=True)
    while True:
        await asyncio.sleep(1.0)
        while view.results:
            console.print(f"result: {view.results.popleft()}", highlight=False, markup=False, soft_wrap=True)
        console.print(view.line(), highlight=False)


async def _expected_count() -> int:
    """The number of messages to wait for, which the demo writes once the service has stopped."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return int((await reader.readline()).strip() or b"0")


async def view(shown: View, report: Path, command: str | None) -> None:
    """Shows messages until the demo writes how many to expect, then writes the counts.

    Parameters:
        shown: what they are shown as.
        report: file for the counts, as JSON.
        command: JSON to send once a good reading has arrived.
    """
    async with connect() as link:
        await link.wait_connected()
        report.with_suffix(".ready").touch()
        work = [asyncio.ensure_future(_receive(link, shown, command)), asyncio.ensure_future(_show(shown))]
        try:
            expected = await _expected_count()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WAIT_S):
                    while shown.tracker.received < expected:  # noqa: ASYNC110 - at the end, for an instant
                        await asyncio.sleep(0.02)
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            tracker = shown.tracker
            counts = {"received": tracker.received, "duplicates": tracker.duplicates, "good": shown.good}
            counts |= {"done": shown.outcomes[True], "refused": shown.outcomes[False]}
            report.write_bytes(msgspec.json.encode(counts))


def main() -> None:
    """Runs the viewer as this process."""
    parser = argparse.ArgumentParser(prog="python -m demo.viewer", description=(__doc__ or "").strip())
    parser.add_argument("service", help="name of the service, for the title")
    parser.add_argument("--way", default="local agent", help="transport of messages, for the title")
    parser.add_argument("--report", type=Path, required=True, help="file for the counts")
    parser.add_argument("--sources", action="store_true", help="a row for each source")
    parser.add_argument("--note", default="", help="a line for people")
    parser.add_argument("--command", help="JSON to send once a good reading has arrived")
    options = parser.parse_args()
    title = f"{options.service}: simulated device -> service -> {options.way} -> this viewer"
    shown = View(title, by_source=options.sources, note=options.note)
    asyncio.run(view(shown, options.report, options.command))


if __name__ == "__main__":
    main()
