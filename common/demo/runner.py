"""Starts agent, simulated device, service and viewer, stops them in order, and reports lost messages."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import signal
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from workspace.services import needs_of, service_type_of, unknown_service

from .nodes import DemoNode, demo_node
from .parts import (
    DemoFailed,
    announce_count,
    end,
    first_line,
    first_of,
    last_counts,
    read_json,
    running,
    show_log,
    summarise,
    viewing,
)

_ANNOUNCE_S = 5


async def run_demo(
    service: str,
    seconds: float | None,
    profile: str | None = None,
    command: str | None = None,
    link: str = "agent",
) -> int:
    """Runs for the given time or until Ctrl-C; 0 when readings arrived and none were lost.

    Parameters:
        service: name of a service that has an emulator.
        seconds: how long, or None for no limit.
        profile: device profile of the service; None for the emulator's default.
        command: JSON that the viewer sends to the service once readings arrive.
        link: transport of messages, one of LINKS.

    Raises DemoFailed when a part does not start.
    """
    if not service.isidentifier() or importlib.util.find_spec(service) is None:
        raise DemoFailed(unknown_service(service))
    if importlib.util.find_spec(f"{service}.emulator") is None:
        raise DemoFailed(f"{service} has no emulator")
    if command and not service_type_of(service).takes_commands():
        raise DemoFailed(f"{service} takes no commands: its README says what it does")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

    beside = needs_of(service).demo_with
    with tempfile.TemporaryDirectory(prefix="iofog-demo-") as folder_name:
        folder = Path(folder_name)
        chosen = ("--profile", profile) if profile else ()
        async with (
            demo_node(link, (service, *beside), folder) as node,
            running(f"{service}.emulator", {}, folder, *chosen) as emulator,
        ):
            settings, note = await first_line(emulator, service, folder, profile)
            arguments = node.configure(service, settings)
            if note:
                print(f"demo: {note}", flush=True)
            viewer_report = folder / "viewer.json"
            async with (
                viewing(node, service, viewer_report, *(("--command", command) if command else ())) as viewer,
                running(service, node.variables[service], folder, *arguments) as bridge,
                _all_beside(node, beside, folder),
            ):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(first_of(stop, bridge, emulator, viewer), seconds)
                ended = next((p for p in (bridge, emulator, viewer) if p.returncode is not None), None)
                await end(bridge)
                counts = last_counts(folder / f"{service}.log")
                await announce_count(viewer, counts.get("messages", 0))
            if ended is not None:
                show_log(folder / f"{service}.log")
                raise DemoFailed(f"a part ended by itself with status {ended.returncode}")
        return summarise(counts, read_json(viewer_report), commanded=command is not None)


@contextlib.asynccontextmanager
async def _all_beside(node: DemoNode, services: Sequence[str], folder: Path) -> AsyncIterator[None]:
    """Services that send to the one that is shown, each on its emulator, and say which commands they take."""
    async with contextlib.AsyncExitStack() as stack:
        for name in services:
            emulator = await stack.enter_async_context(running(f"{name}.emulator", {}, folder))
            settings, _ = await first_line(emulator, name, folder)
            arguments = node.configure(name, settings | {"announce": _ANNOUNCE_S})
            await stack.enter_async_context(running(name, node.variables[name], folder, *arguments))
        yield
