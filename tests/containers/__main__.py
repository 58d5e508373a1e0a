"""`python -m tests.containers [--arm]`: builds images, and runs the tests of this folder on them.

Without --arm: every service for this machine. With --arm: one service for each ARM platform, under emulation.
"""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from deployment.images import PYTHON

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
OUT = PROJECT / "build" / "images"
STAND_IN = "localhost/python-stand-in"
PACKAGES = {"buildah": "buildah", "podman": "podman", "runc": "runc", "mmdebstrap": "mmdebstrap"}
EMULATED = {"linux/arm64": ("qemu-aarch64", "arm64"), "linux/arm/v7": ("qemu-arm", "armhf")}
ARCHITECTURES = {"amd64": ["amd64"], "arm64": ["arm64", "v8"], "armhf": ["arm", "v7"]}
BINFMT = Path("/proc/sys/fs/binfmt_misc")


def skipped(reason: str) -> int:
    print(f"image-test: SKIPPED, {reason}")
    return 0


def main() -> int:
    arm = "--arm" in sys.argv
    if missing := [package for command, package in PACKAGES.items() if shutil.which(command) is None]:
        return skipped(f"it needs {', '.join(missing)}: apt-get install {' '.join(missing)}")
    if os.geteuid() != 0 or platform.machine() != "x86_64":
        return skipped("it needs root, for device nodes of its own and their permissions, and x86-64")
    if arm and (remedy := register_emulators()):
        return skipped(remedy)
    os.environ |= {"CONTAINERS_CONF": str(HERE / "containers.conf"), "BUILDAH_ISOLATION": "chroot"}
    platforms = list(EMULATED) if arm else ["linux/amd64"]
    services = "gps_receiver" if arm else "all"
    told = [f"SERVICE={services}", "TAG=test", "BUILDER=buildah", f"BASE={base_image(arm)}"]
    make = ["make", "--no-print-directory", "-C", str(PROJECT), f"PLATFORMS={','.join(platforms)}", *told]
    OUT.mkdir(parents=True, exist_ok=True)
    with (OUT / "build.log").open("wb") as log:
        print(f"image-test: building {services} for {', '.join(platforms)}; see {log.name}", flush=True)
        if subprocess.run([*make, "build"], check=False, stdout=log, stderr=log).returncode:
            print((OUT / "build.log").read_text()[-3000:])
            return 1
    subprocess.run([*make, "image-report", "BUILDER=podman"], check=True)
    environment = os.environ | {"IMAGES": "localhost/iofog/{}:test", "PLATFORMS": ",".join(platforms)}
    words = [argument for argument in sys.argv[1:] if argument != "--arm"]
    tests = [sys.executable, "-m", "pytest", "-o", "timeout=180", "-rs", str(HERE), *words]
    status = subprocess.run(tests, check=False, env=environment).returncode
    print("image-test: ok" if not status else f"image-test: failed ({status})")
    return status


def base_image(arm: bool) -> str:
    """The image Dockerfile builds on, or a stand-in of Debian's own packages where no registry is reached."""
    pulled = subprocess.run(["podman", "pull", "--quiet", PYTHON], check=False, capture_output=True, timeout=300)
    if not pulled.returncode:
        return PYTHON
    print("image-test: no registry is reached; images are built on Debian's Python 3.11 instead of 3.12", flush=True)
    wanted = ["amd64", *(debian for _, debian in EMULATED.values() if arm)]
    for debian in wanted:
        if subprocess.run(["podman", "image", "exists", f"{STAND_IN}:{debian}"], check=False).returncode:
            file = OUT / f"base-{debian}.tar"
            file.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["bash", str(HERE / "base_image.sh"), debian, str(file)], check=True)
            arch, *variant = ARCHITECTURES[debian]
            told = [f"--arch={arch}", *(f"--variant={name}" for name in variant)]
            subprocess.run(["podman", "import", "--quiet", *told, str(file), f"{STAND_IN}:{debian}"], check=True)
            file.unlink()
    subprocess.run(["buildah", "manifest", "rm", f"{STAND_IN}:latest"], check=False, capture_output=True)
    subprocess.run(["buildah", "manifest", "create", f"{STAND_IN}:latest"], check=True, capture_output=True)
    for debian in wanted:
        add = ["buildah", "manifest", "add", f"{STAND_IN}:latest", f"{STAND_IN}:{debian}"]
        subprocess.run(add, check=True, capture_output=True)
    return f"{STAND_IN}:latest"


def register_emulators() -> str:
    """Lets the kernel run ARM programs through QEMU; returns what is missing for that."""
    if not (BINFMT / "register").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT)], check=False, capture_output=True)
    if not (BINFMT / "register").exists():
        return "this machine cannot mount binfmt_misc"
    for emulator, _ in EMULATED.values():
        rule = Path(f"/usr/lib/binfmt.d/{emulator}.conf")
        if not (BINFMT / emulator).exists():
            if not rule.exists():
                return "it needs emulation: apt-get install qemu-user-static binfmt-support"
            (BINFMT / "register").write_text(rule.read_text())
    return ""


sys.exit(main())
