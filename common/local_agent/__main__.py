"""`python -m local_agent`: the agent as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import logging
import signal
import sys
from pathlib import Path

import msgspec

from device_bridge.settings import json_schema
from iofog_sdk import keep_files_private

from .agent import LocalAgent
from .config import EXAMPLE, AgentConfig, ConfigError, Listen, load
from .nats_server import NatsServerFailed

log = logging.getLogger("local_agent")

EXIT_CONFIG = 78
_WATCH_S = 1.0


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 after SIGTERM or SIGINT, 78 for a configuration that cannot be used, 1 when it cannot listen."""
    parser = argparse.ArgumentParser(
        prog="python -m local_agent",
        description="An ioFog agent for one machine, described by a YAML file; a changed file takes effect at once.",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="the YAML file; see --example")
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (default 54321, 0 for any free one)")
    parser.add_argument("--edgelet", type=Path, metavar="FOLDER", help="serve EdgeletAPI and NATS; tokens in FOLDER")
    parser.add_argument("--example", action="store_true", help="print an example of the YAML file and exit")
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of the YAML file and exit")
    options = parser.parse_args(arguments)
    if options.schema:
        sys.stdout.write(
            msgspec.json.format(msgspec.json.encode(json_schema(AgentConfig, "agent.yaml"))).decode() + "\n"
        )
        return 0
    if options.example:
        sys.stdout.write(EXAMPLE)
        return 0
    logging.basicConfig(format="%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S", level=logging.INFO)
    if options.config is None:
        parser.error("--config FILE is needed; write one with: python -m local_agent --example > agent.yaml")
    keep_files_private(options.edgelet)
    try:
        config = load(options.config)
        port = config.listen.port if options.port is None else options.port
        listen = Listen(options.host or config.listen.host, port)
        return asyncio.run(_run(msgspec.structs.replace(config, listen=listen), options.config, options.edgelet))
    except ConfigError as error:
        log.error("%s", error)
        return EXIT_CONFIG
    except NatsServerFailed as error:
        log.error("NATS: %s", error)
        return 1
    except OSError as error:
        log.error("cannot listen on %s:%d: %s. Try --port 0", listen.host, listen.port, error.strerror)
        return 1


async def _run(config: AgentConfig, file: Path, edgelet: Path | None) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        agent = await stack.enter_async_context(LocalAgent(config))
        if not _is_loopback(config.listen.host):
            log.warning("listening on %s: anyone who reaches it can act as any microservice", config.listen.host)
        log.info("ioFog agent at http://%s:%d", config.listen.host, agent.port)
        for name in config.microservices:
            log.info("microservice %s is SELFNAME=%s", name, config.id_of(name))
        if edgelet is not None:
            await _serve_edgelet(stack, agent, edgelet)
        watching = loop.create_task(_watch(agent, file))
        loop.add_signal_handler(signal.SIGHUP, _reload, agent, file)
        await stop.wait()
        watching.cancel()
    return 0


async def _serve_edgelet(stack: contextlib.AsyncExitStack, agent: LocalAgent, folder: Path) -> None:
    from .edgelet_api import EdgeletApi  # noqa: PLC0415 - certificates and tokens, which only this needs
    from .nats_server import NatsServer  # noqa: PLC0415

    nats = await stack.enter_async_context(NatsServer(folder / "nats"))
    api = await stack.enter_async_context(EdgeletApi(agent, folder, host=agent.config.listen.host))
    log.info("EdgeletAPI v1 at https://%s:%d, NATS at %s", agent.config.listen.host, api.port, nats.url)
    for name in agent.config.microservices:
        variables = api.variables(name) | {"NATS_SERVER_URL": nats.url}
        log.info("microservice %s on Edgelet is %s", name, " ".join(f"{k}={v}" for k, v in variables.items()))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _watch(agent: LocalAgent, file: Path) -> None:
    seen = _fingerprint(file)
    while True:
        await asyncio.sleep(_WATCH_S)
        now = _fingerprint(file)
        if now is not None and now != seen:
            seen = now
            _reload(agent, file)


def _fingerprint(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:  # being replaced
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _reload(agent: LocalAgent, file: Path) -> None:
    try:
        config = load(file)
        agent.apply(msgspec.structs.replace(config, listen=agent.config.listen))
    except ConfigError as error:
        log.error("the changed configuration is refused, the old one stays: %s", error)
    else:
        log.info("configuration applied: %s", file)


if __name__ == "__main__":
    sys.exit(main())
