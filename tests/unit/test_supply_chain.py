"""Where everything in an image comes from: base, tools, licences."""

import contextlib
import functools
import http.server
import json
import re
import shutil
import subprocess
import threading
import tomllib
from pathlib import Path

import pytest

from workspace.images import LICENCES, RegistryError, licences, renew_base
from workspace.images.base_image import DOCKERFILE, pinned_base
from workspace.members import service_names

PROJECT = Path(__file__).parents[2]
INDEX = "application/vnd.oci.image.index.v1+json"
DIGEST = "sha256:" + "ab" * 32
MAKE = shutil.which("make")


@contextlib.contextmanager
def registry(kind=INDEX, digest=DIGEST):
    """One that wants a token first, as Docker Hub does."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            body = json.dumps({"token": "t0ken"}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def do_HEAD(self):
            asked.append(self.path)
            if self.headers["Authorization"] != "Bearer t0ken":
                self.send_response(401)
                realm = f'Bearer realm="http://{self.headers["Host"]}/token",service="s",scope="repository:x:pull"'
                self.send_header("WWW-Authenticate", realm)
            else:
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Docker-Content-Digest", digest)
            self.end_headers()

        def log_message(self, *_):
            pass

    asked = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def project(tmp_path):
    file = tmp_path / DOCKERFILE
    file.parent.mkdir(parents=True)
    file.write_text((PROJECT / DOCKERFILE).read_text())
    return tmp_path


def test_the_base_is_renewed_in_the_dockerfile_alone(project):
    before = (project / DOCKERFILE).read_text()
    with registry() as (url, asked):
        was, now = renew_base(project, url)
    assert now == f"{was.partition('@')[0]}@{DIGEST}"
    assert pinned_base(project) == now
    assert (project / DOCKERFILE).read_text() == before.replace(was, now)
    assert asked[0] == asked[2] == "/v2/library/python/manifests/3.13-slim-trixie"
    assert asked[1] == "/token?service=s&scope=repository%3Ax%3Apull"


@pytest.mark.parametrize("told", [{"kind": "application/vnd.oci.image.manifest.v1+json"}, {"digest": "sha256:1"}])
def test_a_digest_of_one_architecture_or_none_is_refused(project, told):
    with registry(**told) as (url, _), pytest.raises(RegistryError, match="no index of images"):
        renew_base(project, url)
    assert pinned_base(project) == pinned_base()


def test_a_registry_that_is_not_reached_is_named(project):
    with pytest.raises(RegistryError, match=r"http://127\.0\.0\.1:1/v2/library/python"):
        renew_base(project, "http://127.0.0.1:1")


def test_everything_that_a_build_downloads_has_a_hash():
    dockerfile = (PROJECT / DOCKERFILE).read_text()
    assert re.findall(r"pip install (?!.*--require-hashes)", dockerfile) == []
    lines = (PROJECT / "deploy/images/tools.txt").read_text().replace("\\\n", "").splitlines()
    assert [line for line in lines if "--hash=sha256:" not in line] == []
    wanted = {"uv", "pyelftools", "setuptools", "setuptools-scm"}
    assert wanted <= {line.partition("==")[0] for line in lines}
    install = (PROJECT / "deploy/images/install.py").read_text()
    assert install.count("--require-hashes") == 2
    assert "--no-build-isolation" in install


@pytest.mark.skipif(not MAKE, reason="apt-get install make")
@pytest.mark.parametrize(("status", "is_done"), [(0, True), (1, True), (2, False)])
def test_an_audit_that_finds_something_or_could_not_be_made_fails(status, is_done, tmp_path):
    uv = tmp_path / "uv"
    uv.write_text(f'#!/bin/sh\necho "$@"\nexit {status}\n')
    uv.chmod(0o700)
    command = (MAKE, "--no-print-directory", "audit", f"UV={uv}", "STAMP=")
    run = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "audit --locked"
    assert (run.returncode == 0) == (status == 0)
    assert ("NOT DONE" not in run.stderr) == is_done


def test_the_licences_of_everything_in_images_are_listed(monkeypatch):
    monkeypatch.chdir(PROJECT)
    page = licences(service_names(PROJECT))
    assert LICENCES.read_text() == page, "run: make docs"
    assert "| msgspec | " in page
    assert re.findall(r"\| *\| (?:all|\w+)[^|]*\|$", page, re.MULTILINE) == [], "a package names no licence"


@functools.cache
def locked_packages():
    return tomllib.loads((PROJECT / "uv.lock").read_text())["package"]


@pytest.mark.parametrize("service", service_names(PROJECT))
def test_no_image_gets_what_images_must_not_have(service):
    packages = {one["name"]: one for one in locked_packages()}
    found, left = set(), [service.replace("_", "-")]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += [one["name"] for one in packages[name].get("dependencies", ())]
    assert not found & {"pip", "setuptools", "wheel"}
