"""What images are made of: bills of materials (CycloneDX 1.5, written by uv), and licences."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from iofog_sdk import __version__

from .base_image import pinned_base

LICENCES = Path("deploy/images/LICENCES.md")
_NAMES = {
    "Apache License 2.0": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "OSI Approved :: BSD License": "BSD-3-Clause",
}
_HEAD = """# Licences of what images hold

Written by `make docs` from `uv.lock` and the packages' own metadata. The interpreter is under the PSF licence
(PSF-2.0); the libraries of Debian that it needs come from the base image, which has their licences in
`/usr/share/doc/*/copyright`.

| package | version | licence | in the images of |
|---|---|---|---|
"""


class BillError(Exception):
    """uv has not written a bill of materials."""


def bill_of_materials(service: str) -> dict[str, Any]:
    """What the image of a service is made of, the base image among it. Raises BillError."""
    command = [".venv/bin/uv", "export", "--quiet", "--locked", "--no-dev", "--format=cyclonedx1.5", "--preview"]
    command += ["--package", service.replace("_", "-")]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    if done.returncode:
        raise BillError(f"failed: {' '.join(command)}: {done.stderr.strip()}")
    bill: dict[str, Any] = json.loads(done.stdout)
    for component in (bill["metadata"]["component"], *bill["components"]):
        component.setdefault("version", __version__)  # uv.lock holds that of dependencies only
        if licence := licence_of(component["name"]):
            component["licenses"] = [{"license": {"name": licence}}]
    name, _, digest = pinned_base().partition("@")
    repository, _, tag = name.rpartition(":")
    purl = f"pkg:oci/python@{digest.replace(':', '%3A')}?repository_url={repository}&tag={tag}"
    base = {"type": "container", "bom-ref": "base", "name": repository, "version": digest, "purl": purl}
    bill["components"].append(base)
    return bill


def licence_of(package: str) -> str:
    """The licence that an installed package names; "" for none."""
    try:
        declared = metadata.metadata(package)
    except metadata.PackageNotFoundError:
        return ""
    classified = [
        text.rpartition(" :: ")[2] for text in declared.get_all("Classifier", []) if text.startswith("License")
    ]
    named = (*declared.get_all("License-Expression", []), *classified, *declared.get_all("License", []))
    first = next(iter(named), "").strip().partition("\n")[0]
    return _NAMES.get(first, first)


def licences(services: Sequence[str]) -> str:
    """A page of all packages in images. Raises BillError."""
    found: dict[tuple[str, str], list[str]] = {}
    for service in services:
        for component in bill_of_materials(service)["components"]:
            if "pypi" in component.get("purl", ""):
                found.setdefault((component["name"], component["version"]), []).append(service)
    rows = []
    for (name, version), users in sorted(found.items()):
        whose = "all" if len(users) == len(services) else ", ".join(users)
        rows.append(f"| {name} | {version} | {licence_of(name)} | {whose} |\n")
    return _HEAD + "".join(rows)
