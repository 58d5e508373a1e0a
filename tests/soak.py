"""`python -m tests.soak MINUTES`: four services for as long, while node, devices and disk fail again and again.

The node is a `local_agent` that is killed and started, the devices are unplugged, silent or stuck, and bytes of
outbox files are damaged. At the end the accounting has to be exact: read = delivered + counted lost, and what was
delivered is what the viewer has got. Memory, descriptors, threads and log volume have to be flat. Exit status 1 for
anything else.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

from device_bridge.messages import senml
from iofog_sdk import connect
from local_agent.ports import free_port
from pytest_simulated_devices import Relay

from .integration.conftest import ServiceProcess, until_page
from .services.serving import emulated

FLAPS = {
    "gps_receiver": (("unplug", "replug"), ("silent on", "silent off")),
    "serial_instrument": (("unplug", "replug"), ("silent on", "silent off")),
    "climate_sensor": (("stuck on", "stuck off"), ("disconnect", "stuck off")),
    "digital_inputs": (("disconnect", "disconnect"),),
}
FASTER = {"climate_sensor": {"interval": 0.2}}
OUTBOX = {"spill_after": 0.2, "durability": "always"}
_GROWTH_KIB = 3072
_LINES_AN_EVENT = 12
_SAMPLE_S = 0.5
_DRAINED_S = 120


class Watched:
    """One service as a process, and what it needs over time."""

    def __init__(self, name: str, process: ServiceProcess, folder: Path, port: int) -> None:
        self.name, self.process, self.folder, self.port = name, process, folder, port
        self.samples: dict[str, list[float]] = defaultdict(list)
        self.received = self.damages = 0

    def sample(self, events: int) -> None:
        proc = Path(f"/proc/{self.process.process.pid}")
        with contextlib.suppress(OSError):
            status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
            self.samples["KiB"].append(int(status["VmRSS"].split()[0]))
            self.samples["threads"].append(int(status["Threads"]))
            self.samples["descriptors"].append(len(list((proc / "fd").iterdir())))
            self.samples["log lines"].append(len(self.process.lines))
            self.samples["events"].append(events)

    def thirds(self, what: str) -> tuple[float, float]:
        """Of the middle third and of the last one: the median memory, the most of what varies, new log lines."""
        values = self.samples[what]
        third = len(values) // 3
        middle, last = values[third : 2 * third], values[2 * third :]
        if what in ("log lines", "events"):
            return middle[-1] - middle[0], last[-1] - last[0]
        judge = statistics.median if what == "KiB" else max
        return judge(middle), judge(last)

    def damage(self, rng: random.Random) -> None:
        """Some bytes of one of the outbox's files."""
        files = [file for file in self.folder.glob("*.outbox/*") if file.is_file() and file.stat().st_size]
        if files:
            with contextlib.suppress(OSError), rng.choice(files).open("r+b") as file:
                file.seek(rng.randrange(max(1, file.seek(0, os.SEEK_END))))
                file.write(rng.randbytes(rng.choice([1, 4, 64])))
                self.damages += 1

    def faults(self) -> list[str]:
        """What is not as it has to be."""
        counts, found = self.process.counts, []
        if counts["read"] != counts["delivered"] + counts["dropped"] or counts["buffered"]:
            found.append("read is not delivered + dropped")
        if counts["delivered"] != self.received:
            found.append(f"{counts['delivered']} delivered, {self.received} received")
        if not counts["delivered"]:
            found.append("nothing was delivered")
        allowed = {"KiB": _GROWTH_KIB, "threads": 1, "descriptors": 2}
        for what, growth in allowed.items():
            middle, last = self.thirds(what)
            if last > middle + growth:
                found.append(f"{what} grow from {middle:g} to {last:g}")
        for lines, events in zip(self.thirds("log lines"), self.thirds("events"), strict=True):
            if lines > _LINES_AN_EVENT * events + 30:
                found.append(f"{lines:g} log lines for {events:g} kills and faults")
        return found


async def _agent(config: Path, port: int, log: Path) -> asyncio.subprocess.Process:
    with log.open("ab") as file:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "local_agent", "--config", str(config), "--port", str(port)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(OSError):
                (await asyncio.open_connection("127.0.0.1", port))[1].close()
                return process
            await asyncio.sleep(0.02)


async def _soak(minutes: float, rng: random.Random, folder: Path) -> bool:
    seen: set[tuple[str, int]] = set()
    received: Counter[str] = Counter()
    node_kills = flaps = 0
    async with contextlib.AsyncExitStack() as stack:
        emulators = {name: await stack.enter_async_context(emulated(name)) for name in FLAPS}
        ids = {name: f"00000000-0000-4000-8000-{number:012}" for number, name in enumerate((*FLAPS, "viewer"))}
        config, port = folder / "agent.yaml", free_port()
        config.write_text(
            json.dumps(
                {
                    "microservices": {
                        name: {"id": ids[name], "config": emulators[name].settings | FASTER.get(name, {})}
                        for name in FLAPS
                    }
                    | {"viewer": {"id": ids["viewer"]}},
                    "routes": [{"from": name, "to": "viewer"} for name in FLAPS],
                }
            )
        )
        agent = await _agent(config, port, folder / "agent.log")
        relay = await stack.enter_async_context(Relay(port))
        viewer = connect({"SELFNAME": ids["viewer"], "IOFOG_LINK": f"agent://127.0.0.1:{port}"})
        await stack.enter_async_context(viewer)

        async def view() -> None:
            names = {identity: name for name, identity in ids.items()}
            async for message in viewer.messages():
                key = (message.groupid, message.sequencenumber)
                if key not in seen:
                    seen.add(key)
                    received[names[message.publisher]] += len(senml.decode(message.contentdata))

        viewing = asyncio.ensure_future(view())
        await viewer.wait_connected()
        services = [await _service(name, ids[name], relay.port, folder / name) for name in FLAPS]
        while len(received) < len(FLAPS):
            await asyncio.sleep(0.1)
        end = time.monotonic() + minutes * 60
        node_at, flap_at = time.monotonic() + 5, time.monotonic() + 3
        while (now := time.monotonic()) < end:
            await asyncio.sleep(_SAMPLE_S)
            for service in services:
                service.sample(node_kills + flaps)
                if service.process.process.returncode is not None:
                    print(f"soak: {service.name} has ended with status {service.process.process.returncode}")
                    return False
            if now >= flap_at:
                flap_at = now + rng.uniform(1, 4)
                name = rng.choice(list(FLAPS))
                begin, finish = rng.choice(FLAPS[name])
                await emulators[name].tell(begin)
                await asyncio.sleep(rng.uniform(0, 0.5))
                await emulators[name].tell(finish)
                flaps += 1
            if now >= node_at:
                node_at = now + rng.uniform(5, 15)
                relay.refuse = True
                relay.drop()
                await asyncio.sleep(rng.uniform(0.5, 2))  # by now the viewer has all that the node had
                agent.kill()
                await agent.wait()
                for _ in range(rng.randint(0, 2)):
                    rng.choice(services).damage(rng)
                await asyncio.sleep(rng.uniform(0, 1))
                agent = await _agent(config, port, folder / "agent.log")
                await viewer.wait_connected()
                relay.heal()
                node_kills += 1
        async with asyncio.timeout(_DRAINED_S):
            for service in services:
                with contextlib.suppress(TimeoutError):
                    await until_page(
                        service.port, "/metrics", lambda _, text: "\nbridge_readings_buffered 0\n" in text
                    )
        for service in services:
            await service.process.stop()
        await asyncio.sleep(1)
        viewing.cancel()
        agent.send_signal(signal.SIGTERM)
        await agent.wait()
    for service in services:
        service.received = received[service.name]
    return _report(services, f"{minutes:g} minutes, {node_kills} kills of the node, {flaps} faults of devices")


async def _service(name: str, identity: str, port: int, folder: Path) -> Watched:
    folder.mkdir()
    http = {"port": free_port()}
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("SETTING_", "IOFOG_"))}
    link = f"agent://127.0.0.1:{port}?receipt_timeout_s=2&answer_timeout_s=3&ping_interval_s=1"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", name),
        env=clean
        | {"SELFNAME": identity, "IOFOG_LINK": link, "STATE_DIRECTORY": str(folder)}
        | {"SETTING_OUTBOX": json.dumps(OUTBOX), "SETTING_HTTP": json.dumps(http)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    return Watched(name, ServiceProcess(process), folder, http["port"])


def _report(services: list[Watched], title: str) -> bool:
    print(f"soak: {title}")
    print(f"{'':18}{'read':>9}{'delivered':>10}{'dropped':>8}{'received':>9}{'damages':>8}", end="")
    print(f"{'KiB':>16}{'descriptors':>12}{'threads':>8}{'log lines':>11}")
    for one in services:
        counts = one.process.counts
        told = [f"{one.thirds(what)[0]:g}-{one.thirds(what)[1]:g}" for what in one.samples]
        kib, threads, descriptors, lines, _ = told
        print(f"{one.name:18}{counts['read']:>9}{counts['delivered']:>10}{counts['dropped']:>8}", end="")
        print(f"{one.received:>9}{one.damages:>8}{kib:>16}{descriptors:>12}{threads:>8}{lines:>11}")
    faults = [f"{one.name}: {fault}" for one in services for fault in one.faults()]
    for one in services if faults else ():
        print(f"{one.name}: its log ends", *(line["message"] for line in one.process.lines[-12:]), sep="\n    ")
    print("\n".join(f"soak: FAILED: {fault}" for fault in faults) or "soak: exact, and flat")
    return not faults


def main(minutes: float) -> int:
    """0 when everything was as it has to be."""
    seed = int(os.environ.get("SEED", random.randrange(1, 2**31)))
    print(f"soak: SEED={seed}", flush=True)
    logging.getLogger("iofog_sdk").setLevel(logging.CRITICAL)  # the viewer loses its node again and again
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        return 0 if asyncio.run(_soak(minutes, random.Random(seed), Path(folder))) else 1


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
