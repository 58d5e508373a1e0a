"""`python -m demo SERVICE`: a service on its simulated device, and the messages at the other end of ioFog."""

from __future__ import annotations

import argparse
import asyncio
import sys

from iofog_sdk import did_you_mean, keep_files_private
from workspace.services import ServiceError

from .nodes import LINKS
from .parts import DemoFailed
from .runner import run_demo
from .site import run_site


def main() -> int:
    """Exit status 0 only when readings arrived and none were lost."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=(__doc__ or "").split(": ", 1)[1])
    parser.add_argument(
        "service", nargs="?", help="name of a folder in services/ (default: a site with a gateway and a live page)"
    )
    parser.add_argument("--seconds", type=float, help="stop after this many seconds (default: at Ctrl-C)")
    parser.add_argument("--profile", help="device profile of the service")
    parser.add_argument("--command", help="a command to send once readings arrive, as JSON")
    parser.add_argument("--link", default="agent", help=f"transport of messages: {', '.join(LINKS)}")
    options = parser.parse_args()
    if options.link not in LINKS:
        parser.error(f"LINK={options.link}: there are {', '.join(LINKS)}. {did_you_mean(options.link, LINKS)}")
    if options.service is None and (options.profile or options.command):
        parser.error("--profile and --command are for one service: name it")
    keep_files_private()
    try:
        if options.service is None:
            return asyncio.run(run_site(options.seconds, options.link))
        return asyncio.run(run_demo(options.service, options.seconds, options.profile, options.command, options.link))
    except (DemoFailed, ServiceError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


sys.exit(main())
