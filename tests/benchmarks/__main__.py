"""`python -m tests.benchmarks [--quick]`: every claim about speed and memory, measured side by side in one run."""

from __future__ import annotations

import argparse
import asyncio
import socket
from pathlib import Path

from . import codec, dashboard, durable, end_to_end, gateway, gpio_edges, i2c_sensors, links, messages, serial_lines
from .report import show


def main() -> None:
    """Prints the table and writes build/bench.json."""
    parser = argparse.ArgumentParser(prog="make bench", description=(__doc__ or "").split(": ", 1)[1])
    parser.add_argument("--quick", action="store_true", help="shorter runs, for a first look")
    quick = parser.parse_args().quick
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    rows = codec.rows(quick)
    rows += asyncio.run(serial_lines.rows(quick))
    rows += asyncio.run(gpio_edges.rows(quick))
    rows += asyncio.run(i2c_sensors.rows(quick))
    rows += asyncio.run(gateway.rows(quick))
    rows += asyncio.run(dashboard.rows(quick))
    rows += asyncio.run(messages.rows(quick, port))
    rows += asyncio.run(links.rows(quick))
    rows += asyncio.run(end_to_end.rows(quick))
    rows += durable.rows(quick)
    show(rows, Path("build/bench.json"))


main()
