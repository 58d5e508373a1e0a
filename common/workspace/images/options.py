"""Options of the commands for images."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

from ..members import service_names
from ..services import unknown_service
from .builders import BUILDERS, PYTHON, ImageError, Images, native_platform


def add_image_options(parser: argparse.ArgumentParser) -> None:
    """The options that `make build`, `push` and `image-report` pass."""
    parser.add_argument("services", nargs="+", help="names, or all")
    parser.add_argument("--platforms", default="", help="separated by commas (default: this machine's own)")
    parser.add_argument("--registry", required=True)
    parser.add_argument("--tag", required=True)
    parser.add_argument("--python", default="", help=f"image of the interpreter (default: {PYTHON})")
    parser.add_argument("--builder", default="", help=f"{', '.join(BUILDERS)} (default: the first that works)")


def images_of(options: argparse.Namespace) -> Images:
    """The images that these options name. Raises ImageError."""
    known = service_names(Path())
    services = known if options.services == ["all"] else options.services
    for service in services:
        if service not in known:
            raise ImageError(f"{unknown_service(service)}, and all")
    return Images(
        services=services,
        platforms=options.platforms.split(",") if options.platforms else [native_platform()],
        registry=options.registry,
        tag=options.tag,
        python=options.python or PYTHON,
        labels=_labels(options.tag),
    )


def _labels(tag: str) -> dict[str, str]:
    return {
        "VERSION": tag,
        "REVISION": _git("rev-parse", "HEAD") or "unknown",
        "SOURCE": _git("remote", "get-url", "origin"),
    }


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, check=False, text=True)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
