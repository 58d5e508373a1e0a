"""Building images: what each builder is told, and what is said when one or an emulation is missing."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tarfile
from pathlib import Path

import pytest

from deployment.__main__ import main
from iofog_sdk import __version__
from workspace.images.builders import (
    DOCKERFILE,
    PYTHON,
    ImageError,
    Images,
    bake,
    bill_of_materials,
    build_commands,
    check_emulation,
    choose_builder,
)
from workspace.images.measure import read_archive
from workspace.members import service_names

PROJECT = Path(__file__).parents[2]

BOTH = Images(["gps_receiver"], ["linux/arm64", "linux/arm/v7"], "registry.example.com/iofog", "1.2")


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)


def options(command: list[str], name: str) -> list[str]:
    return [word.partition("=")[2] for word in command if word.startswith(f"--{name}=")]


@pytest.mark.parametrize("builder", ["buildah", "podman"])
def test_one_image_for_each_architecture_and_a_list_of_them(builder: str) -> None:
    arm64, armv7, *lists = build_commands(BOTH, builder)
    assert options(arm64, "platform") == ["linux/arm64"]
    assert {"SERVICE=gps_receiver", "TARGETARCH=arm", "TARGETVARIANT=v7"} <= set(options(armv7, "build-arg"))
    assert arm64[-2] == "registry.example.com/iofog/gps_receiver:1.2-arm64"
    assert armv7[-2] == "registry.example.com/iofog/gps_receiver:1.2-armv7"
    assert [command[:3] for command in lists] == [
        ["-", builder, "manifest"],
        [builder, "manifest", "create"],
        [builder, "manifest", "add"],
        [builder, "manifest", "add"],
    ]


def test_the_base_is_named_by_its_digest_in_one_place() -> None:
    assert f"\nARG PYTHON={PYTHON}\n" in Path(DOCKERFILE).read_text()
    assert re.fullmatch(r"docker\.io/library/python:3\.13-slim-trixie@sha256:[0-9a-f]{64}", PYTHON)


def test_only_push_publishes() -> None:
    assert not any("push" in command for command in build_commands(BOTH, "buildah"))
    *_, last = build_commands(BOTH, "buildah", push=True)
    name = "registry.example.com/iofog/gps_receiver:1.2"
    assert last == ["buildah", "manifest", "push", "--all", name, f"docker://{name}"]


def test_docker_builds_all_from_one_bake_file() -> None:
    commands = list(build_commands(BOTH, "docker", push=True, bake_file=Path("x.json")))
    assert commands == [["docker", "buildx", "bake", "--file", "x.json", "--push"]]


def test_what_is_published_by_docker_tells_where_it_comes_from() -> None:
    target = json.loads(bake(BOTH, push=True))["target"]["gps_receiver"]
    assert target["platforms"] == ["linux/arm64", "linux/arm/v7"]
    assert target["attest"] == ["type=sbom", "type=provenance,mode=max"]
    assert target["args"]["SERVICE"] == "gps_receiver"


def test_one_platform_goes_to_dockers_store_and_several_to_archives() -> None:
    one = Images(["gps_receiver"], ["linux/amd64"], "r", "t")
    assert json.loads(bake(one))["target"]["gps_receiver"]["output"] == ["type=docker"]
    assert "dest=build/images/gps_receiver.tar" in json.loads(bake(BOTH))["target"]["gps_receiver"]["output"][0]


def test_certificates_of_ones_own_reach_the_build_as_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/ca.pem")
    first = next(build_commands(BOTH, "buildah"))
    assert options(first, "secret") == ["id=ca,src=/ca.pem"]
    assert json.loads(bake(BOTH))["target"]["gps_receiver"]["secret"] == ["id=ca,src=/ca.pem"]


def test_the_first_builder_that_works_is_taken() -> None:
    assert choose_builder(works=lambda command: True) == "docker"
    assert choose_builder(works=lambda command: command[0] != "docker") == "buildah"
    assert choose_builder(works=lambda command: command != ["docker", "buildx", "version"]) == "buildah"
    assert choose_builder("podman", works=lambda command: True) == "podman"


@pytest.mark.parametrize(
    ("wanted", "text"),
    [("", "apt-get install buildah"), ("podman", "podman does not work"), ("kaniko", "BUILDER=kaniko")],
)
def test_without_a_builder_the_remedy_is_said(wanted: str, text: str) -> None:
    with pytest.raises(ImageError, match=text):
        choose_builder(wanted, works=lambda command: False)


def test_without_emulation_the_remedy_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    check_emulation(["linux/amd64"], "buildah", tmp_path)
    with pytest.raises(ImageError, match=r"linux/arm64, linux/arm/v7.*qemu-user-static"):
        check_emulation(["linux/arm64", "linux/arm/v7"], "buildah", tmp_path)
    (tmp_path / "qemu-aarch64").touch()
    check_emulation(["linux/arm64"], "buildah", tmp_path)
    with pytest.raises(ImageError, match="PLATFORMS=linux/riscv64"):
        check_emulation(["linux/riscv64"], "buildah", tmp_path)


def test_an_unknown_service_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "gps", "--registry", "r", "--tag", "t"]) == 1
    assert "SERVICE=gps: there is no such service. There are climate_sensor" in capsys.readouterr().out


def write_archive(file: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(file, "w") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def test_an_image_of_several_platforms_is_read_from_the_archive_that_docker_makes(tmp_path: Path) -> None:
    blobs: dict[str, bytes] = {}

    def blob(data: bytes, **more: object) -> dict[str, object]:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        blobs["blobs/" + digest.replace(":", "/")] = data
        return {"digest": digest, "size": len(data)} | more

    def encoded(value: object) -> bytes:
        return json.dumps(value).encode()

    images = []
    for size, platform in (
        (1000, {"architecture": "arm64", "variant": "v8"}),
        (2000, {"architecture": "arm", "variant": "v7"}),
    ):
        config = blob(encoded({"rootfs": {"diff_ids": ["sha256:a"]}, "config": {"User": "10001"}}))
        layer = blob(gzip.compress(bytes(size)))
        images.append(blob(encoded({"config": config, "layers": [layer]}), platform={"os": "linux"} | platform))
    index = {"manifests": [blob(encoded({"manifests": images}))]}
    write_archive(tmp_path / "image.tar", blobs | {"index.json": encoded(index)})
    for size, name in ((1000, "linux/arm64"), (2000, "linux/arm/v7")):
        facts = read_archive(tmp_path / "image.tar", name)
        assert (facts.size, facts.user) == (size, "10001")
        assert 0 < facts.packed < 100
    with pytest.raises(ImageError, match="no image for linux/amd64"):
        read_archive(tmp_path / "image.tar", "linux/amd64")


def test_an_image_is_weighed_layer_by_layer(tmp_path: Path) -> None:
    layers = {"a.tar": bytes(1_000_000), "b.tar": bytes(range(256))}
    config = {"rootfs": {"diff_ids": ["sha256:a", "sha256:b"]}, "config": {"User": "10001:10001"}}
    manifest = [{"Config": "c.json", "Layers": list(layers)}]
    members = layers | {"c.json": json.dumps(config).encode(), "manifest.json": json.dumps(manifest).encode()}
    write_archive(tmp_path / "image.tar", members)
    facts = read_archive(tmp_path / "image.tar")
    assert facts.user == "10001:10001"
    assert [layer.digest for layer in facts.layers] == ["sha256:a", "sha256:b"]
    assert facts.size == 1_000_256
    assert facts.packed < 3_000


@pytest.mark.parametrize("service", service_names(PROJECT))
def test_the_bill_of_materials_has_versions_of_everything(monkeypatch, service):
    monkeypatch.chdir(PROJECT)
    bill = bill_of_materials(service)
    versions = {one["name"]: one["version"] for one in (bill["metadata"]["component"], *bill["components"])}
    assert versions[service.replace("_", "-")] == versions["iofog-sdk"] == __version__
    assert versions["msgspec"].startswith("0.22.")
