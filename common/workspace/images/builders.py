"""Builds the services' images with what this machine has, Docker's buildx, buildah or podman, by the same Dockerfile.

Docker builds a service for several architectures at once from a bake file. buildah and podman build an image for each
and join them in a manifest list under the same name.
"""

from __future__ import annotations

import json
import os
import platform as machine
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .base_image import DOCKERFILE, pinned_base
from .bill import bill_of_materials

PYTHON = pinned_base()
OUT = Path("build/images")
BUILDERS = ("docker", "buildah", "podman")

Command = list[str]
"""A command; one that starts with "-" may fail, as in a Makefile."""
_EMULATORS = {"linux/arm64": "qemu-aarch64", "linux/arm/v7": "qemu-arm", "linux/amd64": "qemu-x86_64"}
_NATIVE = {
    "x86_64": ("linux/amd64",),
    "aarch64": ("linux/arm64", "linux/arm/v7"),  # nearly all of these processors run 32-bit code too
    "armv7l": ("linux/arm/v7",),
}
_BINFMT = Path("/proc/sys/fs/binfmt_misc")
_CA_BUNDLE = "SSL_CERT_FILE"


class ImageError(Exception):
    """Images cannot be built here; the text has the remedy."""


@dataclass(frozen=True)
class Images:
    """Images to build.

    Parameters:
        services: their names.
        platforms: `linux/amd64`, `linux/arm64`, `linux/arm/v7`.
        registry: with its folder.
        tag: of all of them.
        python: image that interpreter and libraries are taken from.
        labels: build arguments VERSION, REVISION and SOURCE.
    """

    services: Sequence[str]
    platforms: Sequence[str]
    registry: str
    tag: str
    python: str = PYTHON
    labels: dict[str, str] = field(default_factory=dict)

    def name(self, service: str) -> str:
        """The whole name of an image."""
        return f"{self.registry}/{service}:{self.tag}"

    def arguments(self, service: str) -> dict[str, str]:
        """Build arguments."""
        return {"SERVICE": service, "PYTHON": self.python} | self.labels


def native_platform() -> str:
    """That of this machine. Raises ImageError."""
    try:
        return _NATIVE[machine.machine()][0]
    except KeyError:
        raise ImageError(
            f"images are not made for {machine.machine()}; set PLATFORMS=linux/arm64 or another"
        ) from None


def architecture(platform: str) -> str:
    """`arm64` of `linux/arm64`, `armv7` of `linux/arm/v7`: what tags of single images end with."""
    return platform.removeprefix("linux/").replace("/", "")


def run_options(platform: str) -> list[str]:
    """Options of docker and podman for a container of a platform, emulated where necessary.

    Programs of trixie for arm64 use pointer authentication, which QEMU by default computes in software: Python starts
    four times as slowly. No processor up to the Raspberry Pi 5's has it, so the one that is emulated has not either.
    """
    cpu = ["--env=QEMU_CPU=cortex-a72"] if platform == "linux/arm64" else []
    return [f"--platform={platform}", *cpu]


def choose_builder(wanted: str = "", works: Callable[[Command], bool] | None = None) -> str:
    """A name of BUILDERS that works here. Raises ImageError.

    Parameters:
        wanted: only this one.
        works: whether a command succeeds; by default it is run.
    """
    works = works or _works
    if wanted not in ("", *BUILDERS):
        raise ImageError(f"BUILDER={wanted}: there are {', '.join(BUILDERS)}")
    tries: dict[str, list[Command]] = {
        "docker": [["docker", "info"], ["docker", "buildx", "version"]],
        "buildah": [["buildah", "--version"]],
        "podman": [["podman", "--version"]],
    }
    for name, commands in tries.items():
        if wanted in ("", name) and all(works(command) for command in commands):
            return name
    missing = f"{wanted} does not work here" if wanted else "no builder of images was found"
    raise ImageError(
        f"{missing}. Start Docker, with its buildx plugin; or, on Debian and Ubuntu: apt-get install buildah"
    )


def build_commands(
    images: Images, builder: str, *, push: bool = False, bake_file: Path = OUT / "bake.json"
) -> Iterator[Command]:
    """The commands to run, in order. For docker, `bake_file` has to hold `bake(images)`.

    Parameters:
        builder: a name of BUILDERS.
        push: to the registry as well, for docker in the same step.
    """
    if builder == "docker":
        yield ["docker", "buildx", "bake", "--file", str(bake_file), *(["--push"] if push else [])]
        return
    for service in images.services:
        name = images.name(service)
        for platform in images.platforms:
            yield [*_single(images, builder, service, platform), "--tag", f"{name}-{architecture(platform)}", "."]
    for service in images.services:
        name = images.name(service)
        yield ["-", builder, "manifest", "rm", name]
        yield [builder, "manifest", "create", name]
        for platform in images.platforms:
            yield [builder, "manifest", "add", name, f"containers-storage:{name}-{architecture(platform)}"]
        if push:
            yield [builder, "manifest", "push", "--all", name, f"docker://{name}"]


def _single(images: Images, builder: str, service: str, platform: str) -> Command:
    _, arch, variant = (*platform.split("/"), "")[:3]
    arguments = images.arguments(service) | {
        # Docker knows these by itself; buildah before 1.30 does not.
        "BUILDPLATFORM": native_platform(),
        "TARGETPLATFORM": platform,
        "TARGETARCH": arch,
        "TARGETVARIANT": variant,
    }
    # Layers, so that services share the first; fixed times, so that the same content makes the same layer.
    command = [
        builder,
        "build",
        "--layers",
        "--timestamp=0",
        "--format=docker",
        "--pull=false",
        f"--platform={platform}",
    ]
    command += [f"--build-arg={key}={value}" for key, value in arguments.items()]
    if os.environ.get("PIP_INDEX_URL"):
        command.append("--build-arg=PIP_INDEX_URL=" + os.environ["PIP_INDEX_URL"])
    if ca := os.environ.get(_CA_BUNDLE):
        command.append(f"--secret=id=ca,src={ca}")
    return [*command, f"--file={DOCKERFILE}"]


def bake(images: Images, *, push: bool = False) -> str:
    """A bake file. Without push, one platform goes to Docker's own store, several go to OCI archives in OUT."""
    targets = {}
    for service in images.services:
        if push:
            output = ["type=registry,rewrite-timestamp=true"]
        elif len(images.platforms) == 1:
            output = ["type=docker"]
        else:
            output = [f"type=oci,dest={archive_of(service)},rewrite-timestamp=true"]
        target = {
            "context": ".",
            "dockerfile": DOCKERFILE,
            "args": images.arguments(service) | {"SOURCE_DATE_EPOCH": "0"},
            "platforms": list(images.platforms),
            "tags": [images.name(service)],
            "output": output,
        }
        if ca := os.environ.get(_CA_BUNDLE):
            target["secret"] = [f"id=ca,src={ca}"]
        if index := os.environ.get("PIP_INDEX_URL"):
            target["args"]["PIP_INDEX_URL"] = index  # type: ignore[index]
        if push:
            target["attest"] = ["type=sbom", "type=provenance,mode=max"]
        targets[service] = target
    return json.dumps({"group": {"default": {"targets": list(targets)}}, "target": targets}, indent=2) + "\n"


def archive_of(service: str) -> Path:
    """The archive of an image of several platforms, which Docker's own store cannot hold."""
    return OUT / f"{service}.tar"


def check_emulation(platforms: Sequence[str], builder: str, binfmt: Path = _BINFMT) -> None:
    """Whether this machine can run the code of these platforms, if only for the last check. Raises ImageError."""
    unknown = [platform for platform in platforms if platform not in _EMULATORS]
    if unknown:
        raise ImageError(f"PLATFORMS={unknown[0]}: images are made for {', '.join(_EMULATORS)}")
    foreign = [platform for platform in platforms if platform not in _NATIVE.get(machine.machine(), ())]
    if builder == "docker":
        known = _output(["docker", "buildx", "inspect", "--bootstrap"])
        missing = [platform for platform in foreign if platform not in known]
        remedy = "docker run --privileged --rm tonistiigi/binfmt --install arm64,arm"
    else:
        missing = [platform for platform in foreign if not (binfmt / _EMULATORS[platform]).exists()]
        remedy = (
            "apt-get install qemu-user-static binfmt-support (on Debian and Ubuntu), then, if it is still not there: "
        )
        remedy += "mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc && update-binfmts --enable"
    if missing:
        raise ImageError(
            f"this machine cannot run code for {', '.join(missing)}: emulation is missing. Try: {remedy}"
        )


def build(images: Images, builder: str, *, push: bool = False) -> None:
    """Builds, and publishes. Raises ImageError."""
    check_emulation(images.platforms, builder)
    OUT.mkdir(parents=True, exist_ok=True)
    if builder == "docker":
        (OUT / "bake.json").write_text(bake(images, push=push))
    for service in images.services:
        (OUT / f"{service}.cdx.json").write_text(json.dumps(bill_of_materials(service), indent=2) + "\n")
    # Without it, buildx from 0.19 asks on a terminal whether the certificates outside this folder may be read.
    environment = os.environ | {"BUILDX_BAKE_ENTITLEMENTS_FS": "0"}
    for command in build_commands(images, builder, push=push):
        if command[0] == "-":
            subprocess.run(command[1:], check=False, capture_output=True)
        elif subprocess.run(command, check=False, env=environment).returncode:
            raise ImageError(f"failed, see above: {' '.join(command)}")


def _works(command: Command) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _output(command: Command) -> str:
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    if done.returncode:
        raise ImageError(f"failed: {' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
