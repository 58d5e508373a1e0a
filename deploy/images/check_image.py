"""Asserts, inside an image that is being built, that it can run and holds nothing it should not."""

import importlib
import importlib.util
import os
import pkgutil
import stat
import sys
from pathlib import Path

WRITABLE = ("/tmp", "/var/lib/bridge")  # noqa: S108 - the image's own
SIGNATURE_BYTES = 64
NOT_IMPORTED = ".__main__"
"""It runs the service."""
NOT_THE_IMAGES = ("/proc", "/sys", "/dev", "/run", "/etc/hosts", "/etc/resolv.conf", "/etc/hostname")


def problems() -> list[str]:
    found = []
    service = next(Path("/app/service").glob("*/service.py")).parent.name
    sys.path.insert(0, "/app/service")
    for package in (service, "device_bridge", "iofog_sdk"):
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if not module.name.endswith(NOT_IMPORTED):
                importlib.import_module(module.name)
    for name in ("sqlite3", "ssl", "ctypes", "zoneinfo"):
        importlib.import_module(name)
    if len(importlib.import_module("iofog_sdk.nats.credentials").sign(bytes(32), b"")) != SIGNATURE_BYTES:
        found.append("NATS credentials cannot be used: no Ed25519 in OpenSSL")
    found += [
        f"{name} is in the image" for name in ("pip", "setuptools", "ensurepip") if importlib.util.find_spec(name)
    ]
    for source in Path("/app").rglob("*.py"):
        if source.name != "check_image.py" and not Path(importlib.util.cache_from_source(str(source))).exists():
            found.append(f"{source} is not byte-compiled")
    found += [f"{path} can be written" for path in writable()]
    print(f"{service}: {len(found)} problems")
    return found


def writable() -> list[str]:
    found = []
    for folder, folders, files in os.walk("/"):
        for name in [*folders, *files]:
            path = os.path.join(folder, name)
            if path.startswith(NOT_THE_IMAGES) or path.startswith(WRITABLE) or os.path.islink(path):
                continue
            status = os.lstat(path)
            if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or status.st_uid != 0:
                found.append(path)
        folders[:] = [
            name for name in folders if not f"{folder}/{name}".replace("//", "/").startswith(NOT_THE_IMAGES)
        ]
    return found


if __name__ == "__main__":
    sys.exit("\n".join(problems()) or None)
