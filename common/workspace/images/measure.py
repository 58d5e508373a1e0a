"""Sizes, layers, users and import times of built images, read from the images themselves."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from .builders import ImageError, Images, architecture, archive_of, native_platform, run_options

_MB = 1_000_000
_IMPORT = "import time; t = time.perf_counter(); import {0}.service; print(time.perf_counter() - t)"


@dataclass(frozen=True)
class Layer:
    """One layer.

    Parameters:
        digest: of its content.
        size: in bytes, on a node's disk.
        packed: in bytes, when transferred, packed by gzip.
    """

    digest: str
    size: int
    packed: int


@dataclass(frozen=True)
class ImageFacts:
    """One image of one architecture.

    Parameters:
        layers: from the lowest.
        user: that it runs as.
    """

    layers: tuple[Layer, ...]
    user: str

    @property
    def size(self) -> int:
        """Unpacked, in bytes."""
        return sum(layer.size for layer in self.layers)

    @property
    def packed(self) -> int:
        """Packed, in bytes."""
        return sum(layer.packed for layer in self.layers)


def read_archive(file: Path, platform: str = "") -> ImageFacts:
    """Facts of an image in an archive. Raises ImageError.

    Parameters:
        file: as `docker save` or `podman save` has written it, or of the OCI form, which buildx makes for several
            platforms.
        platform: of an image in the OCI form.
    """
    with tarfile.open(file) as archive:

        def member(name: str) -> IO[bytes]:
            try:
                stream = archive.extractfile(name)
            except KeyError:
                stream = None
            if stream is None:
                raise ImageError(f"{file} has no {name}")
            return stream

        def blob(descriptor: dict[str, Any]) -> IO[bytes]:
            return member("blobs/" + descriptor["digest"].replace(":", "/"))

        if "manifest.json" in archive.getnames():
            manifest = json.load(member("manifest.json"))[0]
            config = json.load(member(manifest["Config"]))
            weights = [_weighed(member(name)) for name in manifest["Layers"]]
        else:
            manifest = _of_platform(json.load(member("index.json")), platform, blob)
            config = json.load(blob(manifest["config"]))
            weights = [(_unpacked(blob(layer)), layer["size"]) for layer in manifest["layers"]]
    layers = tuple(Layer(*each) for each in _named(config["rootfs"]["diff_ids"], weights))
    return ImageFacts(layers, config["config"].get("User", "") or "root")


def _of_platform(index: dict[str, Any], platform: str, blob: Callable[[dict[str, Any]], IO[bytes]]) -> dict[str, Any]:
    for descriptor in index["manifests"]:
        content: dict[str, Any] = json.load(blob(descriptor))
        if "manifests" in content:
            return _of_platform(content, platform, blob)
        there = descriptor.get("platform", {})
        names = ("linux", there.get("architecture", ""), there.get("variant", ""))
        if architecture("/".join(filter(None, names))) in (architecture(platform), architecture(platform) + "v8"):
            return content
    raise ImageError(f"there is no image for {platform}: make build PLATFORMS={platform} first")


def _named(digests: list[str], weights: list[tuple[int, int]]) -> list[tuple[str, int, int]]:
    return [(digest, size, packed) for digest, (size, packed) in zip(digests, weights, strict=True)]


def _unpacked(stream: IO[bytes]) -> int:
    size = 0
    with gzip.open(stream) as content:
        while block := content.read(1 << 20):
            size += len(block)
    return size


def _weighed(stream: IO[bytes]) -> tuple[int, int]:
    packer, size, packed = zlib.compressobj(6, wbits=31), 0, 0
    while block := stream.read(1 << 20):
        size += len(block)
        packed += len(packer.compress(block))
    return size, packed + len(packer.flush())


def report(images: Images, engine: str = "") -> str:
    """A table of images that have been built here. Raises ImageError.

    Parameters:
        engine: docker, podman or buildah, whose images podman reads; by default the first there is.
    """
    program = {"docker": "docker", "podman": "podman", "buildah": "podman"}.get(engine)
    program = program or ("docker" if _has_running_docker() else "podman")
    if shutil.which(program) is None:
        raise ImageError("a report needs docker or podman to read and run images. Try: apt-get install podman")
    lines: list[tuple[str, ...]] = [
        ("service", "platform", "packed MB", "unpacked MB", "own layer MB", "layers", "user", "import ms")
    ]
    for service in images.services:
        for platform in images.platforms:
            name = images.name(service)
            if program == "podman":
                name += f"-{architecture(platform)}"
            archive = archive_of(service)
            in_archive = program == "docker" and platform != native_platform() and archive.exists()
            facts = read_archive(archive, platform) if in_archive else facts_of(program, name)
            own = facts.layers[-1]
            weights = (f"{n / _MB:.1f}" for n in (facts.packed, facts.size, own.size))
            lines.append(
                (
                    service,
                    platform,
                    *weights,
                    str(len(facts.layers)),
                    facts.user,
                    "not run here" if in_archive else _import_time(program, name, service, platform),
                )
            )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "".join("  ".join(map(str.ljust, line, widths)).rstrip() + "\n" for line in lines)


def facts_of(program: str, name: str) -> ImageFacts:
    """Facts of an image in the store of docker or podman. Raises ImageError."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "image.tar"
        style = ["--format=docker-archive"] if program == "podman" else []
        done = subprocess.run(
            [program, "save", *style, "-o", file, name], capture_output=True, check=False, text=True
        )
        if done.returncode:
            raise ImageError(f"{name} was not found: make build first ({done.stderr.strip().splitlines()[-1]})")
        return read_archive(file)


def _import_time(program: str, name: str, service: str, platform: str) -> str:
    command = [program, "run", "--rm", "--network=none", "--no-healthcheck", "--entrypoint=python3"]
    command += [
        *run_options(platform),
        "--env=PYTHONPATH=/app/lib:/app/service",
        name,
        "-c",
        _IMPORT.format(service),
    ]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    if done.returncode:
        return "not run here"
    emulated = "" if platform == native_platform() else " emulated"
    return f"{float(done.stdout) * 1000:.0f}{emulated}"


def _has_running_docker() -> bool:
    return (
        bool(shutil.which("docker"))
        and not subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    )
