"""Installs locked wheels for another architecture without running its code: install.py REQUIREMENTS TARGET ARCH.

ARCH is Docker's TARGETARCH and TARGETVARIANT in one: amd64, arm64, armv7. Wheels that nobody publishes for it are
compiled here, by a cross-compiler, against the target's headers under /target.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

MACHINES = {"amd64": "x86_64", "arm64": "aarch64", "arm64v8": "aarch64", "armv7": "armv7l"}
WITHOUT_WHEEL = {"armv7": ("msgspec",)}
"""Checked on PyPI in November 2026, for CPython 3.13."""
_GLIBC = range(41, 16, -1)  # trixie's, down to manylinux2014


def pip(*arguments: str, **environment: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True, env=os.environ | environment)


def platforms(machine: str) -> list[str]:
    tags = [f"manylinux_2_{minor}_{machine}" for minor in _GLIBC] + [f"manylinux2014_{machine}", f"linux_{machine}"]
    return [word for tag in tags for word in ("--platform", tag)]


def compiled(requirement: str, machine: str, folder: str) -> None:
    """Makes a wheel of a C package for 32-bit ARM."""
    if shutil.which("arm-linux-gnueabihf-gcc") is None:
        packages = ["gcc-arm-linux-gnueabihf", "libc6-dev-armhf-cross"]
        for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
            subprocess.run(["apt-get", *command], check=True)
    headers = sysconfig.get_path("include")
    version = f"{sys.version_info.major}{sys.version_info.minor}"
    tools = {
        "CC": "arm-linux-gnueabihf-gcc",
        "LDSHARED": "arm-linux-gnueabihf-gcc -shared -L/usr/arm-linux-gnueabihf/lib",
        "CFLAGS": f"-O2 -fPIC -I/target{headers} -idirafter /target/usr/include",
        "SETUPTOOLS_EXT_SUFFIX": f".cpython-{version}-arm-linux-gnueabihf.so",
        "_PYTHON_HOST_PLATFORM": f"linux-{machine}",
    }
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(requirement)
        file.flush()
        pip(
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-binary=:all:",
            "--no-build-isolation",  # with the tools of this image, which were installed by their hashes
            "--require-hashes",
            "--no-cache-dir",
            f"-w{folder}",
            "-r",
            file.name,
            **tools,
        )


def main() -> None:
    requirements, target, arch = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    Path(target).mkdir(parents=True, exist_ok=True)
    if arch not in MACHINES:
        sys.exit(f"platform {arch!r} is not supported; there are linux/amd64, linux/arm64 and linux/arm/v7")
    lines = requirements.read_text().splitlines()
    to_compile = [line for line in lines if line.split("==")[0] in WITHOUT_WHEEL.get(arch, ())]
    common = ["install", "--quiet", "--no-deps", "--no-compile", "--no-cache-dir", "--target", target, "--upgrade"]
    if to_compile:
        with tempfile.TemporaryDirectory() as folder:
            for line in to_compile:
                compiled(line, MACHINES[arch], folder)
            foreign = ["--only-binary=:all:", *platforms(MACHINES[arch])]
            pip(*common, *foreign, *map(str, Path(folder).glob("*.whl")))
    as_wheels = [line for line in lines if line not in to_compile]
    if as_wheels:
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write("\n".join(as_wheels))
            file.flush()
            pip(*common, "--require-hashes", "--only-binary=:all:", *platforms(MACHINES[arch]), "-r", file.name)
    for unused in ("bin", "*.dist-info/RECORD", "*/tests", "*/test"):
        for path in Path(target).glob(unused):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


if __name__ == "__main__":
    main()
