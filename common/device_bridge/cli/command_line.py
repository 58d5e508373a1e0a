"""The command line every service has."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from iofog_sdk import NodeNotFound, __version__, connect, keep_files_private

from ..errors import ContractError, SettingsError
from ..runtime.loop_watchdog import LoopWatchdog, beat
from ..runtime.process import Runtime
from ..secrets import without_secrets
from ..service import DeviceService
from ..settings.sources import SettingsSources
from ..telemetry import logs

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..runtime.hosting import Bridges
    from ..runtime.pipeline import Pipeline

EXIT_SETTINGS = 78
"""EX_CONFIG of sysexits.h."""
EXIT_CONTRACT = 70
"""EX_SOFTWARE of sysexits.h."""

log = logging.getLogger("device_bridge")


def run(service_type: type[DeviceService[Any]], arguments: list[str] | None = None) -> None:
    """Runs a service as this process until SIGTERM or SIGINT, then exits.

    Exit status: 0 after an orderly end, 78 when a setting is missing or wrong, 70 when the service's class is.
    """
    given = sys.argv[1:] if arguments is None else arguments
    handler = logs.configure()
    try:
        service_type.check_contract()
        file = _handle(service_type, given) if given else None
        sources = SettingsSources(service_type.settings_type, file=file, environment=os.environ)
        keep_files_private()
        watchdog = LoopWatchdog()
        with asyncio.Runner(loop_factory=watchdog.new_loop) as runner:
            runner.run(_run(service_type, sources, watchdog))
    except (SettingsError, NodeNotFound) as error:
        log.error("%s", error)
        sys.exit(EXIT_SETTINGS)
    except ContractError as error:
        log.error("%s", error)
        sys.exit(EXIT_CONTRACT)
    finally:
        handler.flush()


async def _run(service_type: type[DeviceService[Any]], sources: SettingsSources, watchdog: LoopWatchdog) -> None:
    make_bridges: Callable[[Pipeline], Bridges] | None = None
    if service_type.hosts_bridges:
        from ..gateway.bridges import ServiceBridges  # noqa: PLC0415 - few services do

        make_bridges = ServiceBridges
    runtime = Runtime(service_type, sources, connect(), watchdog, make_bridges)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, runtime.stop)
    loop.add_signal_handler(signal.SIGHUP, runtime.reload)
    file = os.environ.get("HEARTBEAT_FILE")
    heartbeat = loop.create_task(beat(Path(file))) if file else None
    try:
        await runtime.run()
    finally:
        if heartbeat:
            heartbeat.cancel()


def _handle(service_type: type[DeviceService[Any]], arguments: list[str]) -> Path | None:
    """Does what the arguments ask for and exits, or returns the settings file to run with.

    Everything needed for that is imported here: a container starts without arguments, and a small board pays for
    every import in time and memory.
    """
    import argparse  # noqa: PLC0415

    from ..settings.explain import json_schema, profile_schema  # noqa: PLC0415
    from .command_docs import commands_schema  # noqa: PLC0415
    from .example import example_settings  # noqa: PLC0415
    from .readme import write_readme  # noqa: PLC0415

    parser = argparse.ArgumentParser(
        prog=f"python -m {service_type.name()}",
        description=(service_type.__doc__ or "").split("\n", maxsplit=1)[0],
        epilog="Settings come from ioFog's config, then --settings, then SETTING_* variables; later ones win. "
        "IOFOG_LINK=agent://host:54321 with SELFNAME=<uuid> reaches an agent elsewhere, "
        "IOFOG_LINK=console: prints messages instead of sending them.",
    )
    parser.add_argument("--settings", type=Path, metavar="FILE", help="settings as .toml, .json or .yaml")
    parser.add_argument("--check", action="store_true", help="check the local settings, print them and exit")
    parser.add_argument("--example", action="store_true", help="print a commented settings file and exit")
    parser.add_argument(
        "--schema",
        nargs="?",
        const="settings",
        choices=("settings", "profile"),
        help="print the JSON Schema of the settings, or of a profile, and exit",
    )
    parser.add_argument(
        "--write-readme", type=Path, metavar="FILE", help="bring the tables of a README up to date and exit"
    )
    parser.add_argument("--version", action="version", version=f"{service_type.name()} {__version__}")
    options = parser.parse_args(arguments)
    if options.schema:
        model, title = service_type.settings_type, f"{service_type.name()}: {options.schema}"
        if options.schema == "profile":
            _print(profile_schema(model, title))
        else:
            _print(json_schema(model, title) | commands_schema(service_type.commands))
    elif options.example:
        sys.stdout.write(example_settings(service_type))
    elif options.write_readme:
        write_readme(service_type, options.write_readme)
    elif options.check:
        sources = SettingsSources(service_type.settings_type, file=options.settings, environment=os.environ)
        settings = sources.resolve(None)
        service_type.check_settings(settings)
        if service_type.hosts_bridges:
            from ..gateway.entries import check_entries  # noqa: PLC0415

            check_entries(settings)
        _print(without_secrets(msgspec.to_builtins(settings)))
    else:
        file: Path | None = options.settings
        return file
    sys.exit(0)


def _print(value: object) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value)).decode() + "\n")
