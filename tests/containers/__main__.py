"""`python -m tests.containers [--arm]`: builds images, and runs the tests of this folder on them.

Without --arm: every service for this machine. With --arm: one service for each ARM platform, under emulation.
"""

import os
import subprocess
import sys

from .base import EMULATORS, HERE, NATIVE, OUT, PROJECT, base_image, require


def main() -> int:
    arm = "--arm" in sys.argv
    emulated = tuple(EMULATORS) if arm else ()
    target, services = ("image-test-arm", "gps_receiver") if arm else ("image-test", "all")
    require(target, "buildah", platforms=emulated)
    platforms = emulated or (NATIVE,)
    told = [f"SERVICE={services}", "TAG=test", "BUILDER=buildah", f"BASE={base_image(emulated)}"]
    make = ["make", "--no-print-directory", "-C", str(PROJECT), f"PLATFORMS={','.join(platforms)}", *told]
    OUT.mkdir(parents=True, exist_ok=True)
    with (OUT / "build.log").open("wb") as log:
        print(f"{target}: building {services} for {', '.join(platforms)}; see {log.name}", flush=True)
        if subprocess.run([*make, "build"], check=False, stdout=log, stderr=log).returncode:
            print((OUT / "build.log").read_text()[-3000:])
            return 1
    subprocess.run([*make, "image-report", "BUILDER=podman"], check=True)
    environment = os.environ | {"IMAGES": "localhost/iofog/{}:test", "PLATFORMS": ",".join(platforms)}
    words = [argument for argument in sys.argv[1:] if argument != "--arm"]
    tests = [sys.executable, "-m", "pytest", "-o", "timeout=180", "-rs", str(HERE), *words]
    status = subprocess.run(tests, check=False, env=environment).returncode
    print(f"{target}: ok" if not status else f"{target}: failed ({status})")
    return status


if __name__ == "__main__":
    sys.exit(main())
