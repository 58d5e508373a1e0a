"""The image that images are built on, pulled or made here, and what this machine needs for that."""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from scaffold import SHAPES
from workspace.images import PYTHON

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
OUT = PROJECT / "build" / "images"
OUTSIDE = PROJECT / "build" / "my-devices"
"""A project of somebody else's."""
OUTSIDE_SERVICES = {f"new_{bus}_{shape}": (bus, shape) for bus, shapes in SHAPES.items() for shape in shapes}
"""Its services, made from templates: bus and shape by name."""
NATIVE = "linux/amd64"
EMULATORS = {"linux/arm64": "qemu-aarch64", "linux/arm/v7": "qemu-arm"}

_DEBIAN = {"linux/amd64": "amd64", "linux/arm64": "arm64", "linux/arm/v7": "armhf"}
_SCRIPT = HERE / "base_image.sh"
_VERSION, _SUITE = re.search(r":(\d+\.\d+)-slim-(\w+)", PYTHON).groups()
_BINFMT = Path("/proc/sys/fs/binfmt_misc")


def require(target: str, *programs: str, platforms: tuple[str, ...] = ()) -> None:
    """Ends with what is missing and how to get it, unless this machine can run the target.

    Parameters:
        target: of the Makefile.
        programs: besides podman; each has its name from its Debian package.
        platforms: that have to be emulated.
    """
    missing = [program for program in ("podman", "runc", *programs) if shutil.which(program) is None]
    if missing:
        sys.exit(f"make {target}: {', '.join(missing)} not found. Try: apt-get install {' '.join(missing)}")
    if os.geteuid() != 0 or platform.machine() != "x86_64":
        sys.exit(f"make {target} needs root, on x86-64; this is user {os.geteuid()} on {platform.machine()}")
    for each in platforms:
        if remedy := _register(EMULATORS[each]):
            sys.exit(f"make {target}: code for {each} cannot be run here: {remedy}")
    os.environ |= {"CONTAINERS_CONF": str(HERE / "containers.conf"), "BUILDAH_ISOLATION": "chroot"}


def base_image(platforms: tuple[str, ...] = ()) -> str:
    """The name of `workspace.images.PYTHON`, or of its stand-in where no registry is reached.

    Parameters:
        platforms: besides this machine's own.
    """
    pulled = subprocess.run(["podman", "pull", "--quiet", PYTHON], check=False, capture_output=True, timeout=300)
    if not pulled.returncode:
        return PYTHON
    print(f"no registry is reached: Debian's Python {_VERSION} of {_SUITE} stands in for {PYTHON}", flush=True)
    if shutil.which("mmdebstrap") is None:
        sys.exit("mmdebstrap, which makes it, was not found. Try: apt-get install mmdebstrap")
    version = hashlib.sha256(_SCRIPT.read_bytes() + PYTHON.encode()).hexdigest()[:12]
    stand_in = f"localhost/python-stand-in:{version}"
    wanted = {each: f"{stand_in}-{_DEBIAN[each]}" for each in (NATIVE, *platforms)}
    for each, name in wanted.items():
        if subprocess.run(["podman", "image", "exists", name], check=False).returncode:
            _make(each, name)
    subprocess.run(["podman", "manifest", "rm", stand_in], check=False, capture_output=True)
    subprocess.run(["podman", "manifest", "create", stand_in], check=True, capture_output=True)
    for name in wanted.values():
        subprocess.run(
            ["podman", "manifest", "add", stand_in, f"containers-storage:{name}"], check=True, capture_output=True
        )
    return stand_in


def _make(platform_: str, name: str) -> None:
    debian = _DEBIAN[platform_]
    file = OUT / f"base-{debian}.tar"
    OUT.mkdir(parents=True, exist_ok=True)
    if subprocess.run(["bash", str(_SCRIPT), _VERSION, _SUITE, debian, str(file)], check=False).returncode:
        sys.exit(f"the stand-in for {PYTHON} could not be made, as said above")
    _, arch, *variant = platform_.split("/")
    told = [f"--arch={arch}", *(f"--variant={each}" for each in variant)]
    subprocess.run(["podman", "import", "--quiet", *told, str(file), name], check=True)
    file.unlink()


def _register(emulator: str) -> str:
    """Lets the kernel run a platform's programs through QEMU; returns what is missing for that."""
    if not (_BINFMT / "register").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(_BINFMT)], check=False, capture_output=True)
    if not (_BINFMT / "register").exists():
        return "this machine cannot mount binfmt_misc"
    rule = Path(f"/usr/lib/binfmt.d/{emulator}.conf")
    if not (_BINFMT / emulator).exists():
        if not rule.exists():
            return "apt-get install qemu-user-static binfmt-support"
        (_BINFMT / "register").write_text(rule.read_text())
    return ""
