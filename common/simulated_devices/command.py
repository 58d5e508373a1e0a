"""What the command line of every emulator has in common."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import Any


async def play_until_stopped(settings: Mapping[str, object], play: Coroutine[Any, Any, None]) -> None:
    """Says how to reach the device, runs it, then stays silent until SIGTERM or SIGINT.

    Parameters:
        settings: what a service needs to reach the device; printed as the first and only line of standard output,
            as JSON: `{"settings": {...}}`.
        play: the device; what it raises ends the waiting, the signals cancel it.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    sys.stdout.write(json.dumps({"settings": settings}) + "\n")
    sys.stdout.flush()
    playing, stopping = asyncio.ensure_future(play), asyncio.ensure_future(stop.wait())
    await asyncio.wait((playing, stopping), return_when=asyncio.FIRST_COMPLETED)
    if not stop.is_set():
        playing.result()
        sys.stderr.write("all is sent, silent from now on\n")
        sys.stderr.flush()
        await stopping
    playing.cancel()
    await asyncio.wait((playing,))


def number(kind: type[int] | type[float], low: float, high: float = math.inf) -> Callable[[str], float]:
    """An argparse type: a number within limits."""

    def parse(text: str) -> float:
        with contextlib.suppress(ValueError):
            if low <= (value := kind(text)) <= high and math.isfinite(value):
                return value
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low:,} to {high:,}")

    return parse
