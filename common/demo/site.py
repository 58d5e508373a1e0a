"""A whole site: a gateway with five emulated devices, an agent, the live page, a page to break and repair parts."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import socket
import tempfile
from pathlib import Path

from local_agent.ports import free_port

from .nodes import DemoNode, demo_node
from .panel import Panel, Part
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
from .wire import Wire

GATEWAY, PAGE = "edge_gateway", "live_dashboard"
_PAGE_PORT = 8000
_ON_ITS_WAY_S = 0.3
"""What the agent has taken reaches its receivers before it stops: an agent keeps nothing over its end."""
_DEVICES = {
    "gps": ("GPS receiver", "unplugs it from its serial port"),
    "climate": ("Climate sensor", "takes the chip off the I2C bus"),
    "meter": ("Modbus meters", "unplugs the RS-485 adapter"),
    "contacts": ("Contacts", "takes the GPIO chip away"),
    "relays": ("Relays", "takes the GPIO chip away; outputs fail safe"),
}


async def run_site(seconds: float | None, link: str = "agent") -> int:
    """Runs for the given time or until Ctrl-C; 0 when readings arrived and none were lost.

    Parameters:
        seconds: how long, or None for no limit.
        link: transport of messages, one of LINKS.

    Raises DemoFailed when a part does not start.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with tempfile.TemporaryDirectory(prefix="iofog-demo-") as folder_name:
        folder = Path(folder_name)
        async with contextlib.AsyncExitStack() as stack:
            node = await stack.enter_async_context(demo_node(link, (GATEWAY, PAGE), folder, receiver=PAGE))
            emulator = await stack.enter_async_context(running(f"{GATEWAY}.emulator", {}, folder, controlled=True))
            settings, _ = await first_line(emulator, GATEWAY, folder)
            page_port, health_port, token = _page_port(), free_port(), secrets.token_hex(8)
            settings |= {"announce": 5, "http": {"port": health_port}, "outbox": {"directory": str(folder / "state")}}
            to_gateway = node.configure(GATEWAY, settings)
            to_page = node.configure(PAGE, {"page": {"port": page_port, "title": "Demo site"}, "source_timeout": 5})
            variables, wire = node.variables[GATEWAY], None
            if node.agent is not None:
                wire = await stack.enter_async_context(Wire(node.agent.port))
                variables = variables | {"IOFOG_LINK": f"agent://127.0.0.1:{wire.port}"}
            page = f"http://127.0.0.1:{page_port}"
            parts = [*_devices(emulator), *_ways(node, wire)]
            panel = await stack.enter_async_context(Panel(parts, f"http://127.0.0.1:{health_port}", page))
            report = folder / "viewer.json"
            note = f"live page: {page} (token to switch: {token})   break and repair: {panel.url}"
            print(f"demo: {note}", flush=True)
            options = ("--sources", "--note", note)
            viewer = await stack.enter_async_context(viewing(node, GATEWAY, report, *options))
            of_page = node.variables[PAGE] | {"DASHBOARD_TOKEN": token}
            dashboard = await stack.enter_async_context(running(PAGE, of_page, folder, *to_page))
            gateway = await stack.enter_async_context(running(GATEWAY, variables, folder, *to_gateway))
            processes = {f"{GATEWAY}.emulator": emulator, "viewer": viewer, PAGE: dashboard, GATEWAY: gateway}
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(first_of(stop, *processes.values()), seconds)
            ended = next((name for name, process in processes.items() if process.returncode is not None), None)
            await _mend_ways(node, wire)
            await end(gateway)
            counts = last_counts(folder / f"{GATEWAY}.log")
            await announce_count(viewer, counts.get("messages", 0))
            if ended is not None:
                if (log := folder / f"{ended}.log").exists():
                    show_log(log)
                raise DemoFailed(f"{ended} ended by itself with status {processes[ended].returncode}")
        return summarise(counts, read_json(report), may_repeat=panel.was_used)


def _devices(emulator: asyncio.subprocess.Process) -> list[Part]:
    def part(name: str) -> Part:
        async def set_broken(broken: bool) -> None:
            assert emulator.stdin is not None  # noqa: S101 - a pipe was asked for
            emulator.stdin.write(f"{name} {'away' if broken else 'back'}\n".encode())
            await emulator.stdin.drain()

        return Part(name, *_DEVICES[name], set_broken)

    return [part(name) for name in _DEVICES]


def _ways(node: DemoNode, wire: Wire | None) -> list[Part]:
    """What is between gateway and page, where it can be broken."""
    agent = node.agent
    if agent is None or wire is None:
        return []

    async def set_agent_broken(broken: bool) -> None:
        agent.faults.hang = broken
        if broken:
            await asyncio.sleep(_ON_ITS_WAY_S)
            await agent.close()
        else:
            await agent.start()

    async def set_wire_broken(broken: bool) -> None:
        (wire.cut if broken else wire.repair)()

    return [
        Part("agent", "ioFog agent", "stops the agent; the live page hears nothing either", set_agent_broken),
        Part("wire", "Link to the agent", "cuts the wire between gateway and agent", set_wire_broken),
    ]


async def _mend_ways(node: DemoNode, wire: Wire | None) -> None:
    """So that what waits can still arrive at the end."""
    if wire is not None and wire.is_cut:
        wire.repair()
    if node.agent is not None and not node.agent.is_listening:
        node.agent.faults.hang = False
        await node.agent.start()


def _page_port() -> int:
    """The usual one, if nobody has it, or another."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", _PAGE_PORT))
        except OSError:
            return free_port()
        return _PAGE_PORT
