"""`python -m tests.containers [--arm=SERVICE]`: builds images, and runs the tests of this folder on them.

Without --arm: every service for this machine, and those of a project outside. With --arm: one service for each ARM
platform, under emulation.
"""

import os
import shutil
import subprocess
import sys

from .base import EMULATORS, HERE, NATIVE, OUT, OUTSIDE, OUTSIDE_SERVICES, PROJECT, base_image, require


def main() -> int:
    arm = next((each.partition("=")[2] for each in sys.argv if each.startswith("--arm=")), "")
    emulated = tuple(EMULATORS) if arm else ()
    target, services = ("image-test-arm", arm) if arm else ("image-test", "all")
    require(target, "buildah", platforms=emulated)
    platforms = emulated or (NATIVE,)
    told = [f"SERVICE={services}", "TAG=test", "BUILDER=buildah", f"BASE={base_image(emulated)}"]
    make = ["make", "--no-print-directory", "-C", str(PROJECT), f"PLATFORMS={','.join(platforms)}", *told]
    builds = [[*make, "build"]] if arm else [[*make, "build"], *_outside(told)]
    OUT.mkdir(parents=True, exist_ok=True)
    with (OUT / "build.log").open("wb") as log:
        print(f"{target}: building {services} for {', '.join(platforms)}; see {log.name}", flush=True)
        for command in builds:
            if subprocess.run(command, cwd=PROJECT, check=False, stdout=log, stderr=log).returncode:
                print((OUT / "build.log").read_text()[-3000:])
                return 1
    subprocess.run([*make, "image-report", "BUILDER=podman"], check=True)
    environment = os.environ | {"IMAGES": "localhost/iofog/{}:test", "PLATFORMS": ",".join(platforms), "ON_ARM": arm}
    words = [argument for argument in sys.argv[1:] if not argument.startswith("--arm=")]
    tests = [sys.executable, "-m", "pytest", "-o", "timeout=180", "-rs", str(HERE), *words]
    status = subprocess.run(tests, check=False, env=environment).returncode
    print(f"{target}: ok" if not status else f"{target}: failed ({status})")
    return status


def _outside(told: list[str]) -> list[list[str]]:
    """Makes a project outside with a service of each bus and shape, and their images."""
    shutil.rmtree(OUTSIDE, ignore_errors=True)
    first, *others = OUTSIDE_SERVICES
    make = ["make", "--no-print-directory", "-C", str(OUTSIDE)]
    return [
        [sys.executable, "-m", "scaffold", "new-project", f"--dir={OUTSIDE}", "--unchecked", *_answers(first)],
        *(
            [
                "env",
                "-C",
                str(OUTSIDE),
                sys.executable,
                "-m",
                "scaffold",
                "new-service",
                "--unchecked",
                *_answers(name),
            ]
            for name in others
        ),
        [*make, "lock"],
        [*make, *told, "build", "SERVICE=all"],
    ]


def _answers(name: str) -> list[str]:
    bus, shape = OUTSIDE_SERVICES[name]
    return [f"--name={name}", f"--bus={bus}", f"--shape={shape}"]


if __name__ == "__main__":
    sys.exit(main())
