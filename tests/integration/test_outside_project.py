"""Projects of somebody else's, with the packages' wheels and nothing else of this one: one by hand, one made."""

import json
import os
import shutil
import site
import subprocess
import sys
from pathlib import Path

import pytest

from scaffold import Answers, new_project

PROJECT = Path(__file__).parents[2]
LIBRARIES = {
    "iofog_sdk": "iofog_sdk",
    "iofog_sdk_compat": "iofog",
    "device_bridge": "device_bridge",
    "simulated_devices": "simulated_devices",
}
"""Folders, and what is imported from their wheels."""
pytestmark = pytest.mark.timeout(300)  # mypy reads everything once: 4 s of processor time, more on a busy machine
ENVIRONMENT = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}


def mypy(python, *arguments, cwd):
    """Of this environment, judging by the packages of another interpreter."""
    cache = PROJECT / ".cache/mypy-outside"  # of what does not change: other projects' packages
    command = (sys.executable, "-m", "mypy", "--python-executable", python, "--cache-dir", cache, *arguments)
    return subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, check=False).stdout


def run(*command, cwd, **variables):
    done = subprocess.run(command, cwd=cwd, env=ENVIRONMENT | variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def projects(tmp_path_factory):
    """Both projects' folder, and an interpreter with the wheels; third parties' packages are this environment's."""
    folder = tmp_path_factory.mktemp("outside")
    new_project(folder / "made", Answers("rain_gauge", "serial", "stream", "a rain gauge"), PROJECT)
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    python = folder / "venv/bin/python"
    wheels = sorted((folder / "made/wheels").glob("*.whl"))
    uv = Path(sys.executable).with_name("uv")
    run(uv, "pip", "install", "--offline", "--no-cache", "--no-deps", "--python", python, *wheels, cwd=folder)
    (packages,) = (folder / "venv/lib").glob("python*/site-packages")
    (packages / "third_parties.pth").write_text("".join(f"{path}\n" for path in site.getsitepackages()))
    shutil.copytree(PROJECT / "tests/outside", folder / "project")
    return folder, python


@pytest.fixture(scope="module")
def outside(projects):
    folder, python = projects
    return folder / "project", python


def test_a_project_that_was_made_is_green_and_has_a_manifest(projects):
    folder, python = projects[0] / "made", projects[1]
    (folder / ".venv/bin").mkdir(parents=True)
    tell = {"cwd": folder, "PYTHONPATH": str(folder / "services")}
    assert "3 passed" in run(python, "-m", "pytest", **tell)
    assert mypy(python, cwd=folder) == "Success: no issues found in 5 source files\n"
    run(python, "-m", "deployment", "new-fleet", "fleet.yaml", "rain_gauge", **tell)
    rendered = run(python, "-m", "deployment", "render", "fleet.yaml", **tell)
    assert rendered == "2 files in build/deploy/3.9, 0 to fix\n"
    (manifest,) = (folder / "build/deploy/3.9").glob("*.yaml")
    assert "registry.example.com/iofog/rain_gauge:1.0" in manifest.read_text()


def test_the_libraries_are_the_wheels(outside):
    folder, python = outside
    names = ", ".join(LIBRARIES.values())
    found = run(python, "-c", f"import {names}; print(*(each.__file__ for each in ({names})))", cwd=folder)
    assert [file for file in found.split() if not Path(file).is_relative_to(python.parents[1])] == []


def test_strict_types_hold_without_an_ignore(outside):
    folder, python = outside
    assert "ignore" not in "".join(file.read_text() for file in folder.rglob("*.py"))
    assert mypy(python, cwd=folder) == "Success: no issues found in 6 source files\n"


def test_a_wrong_type_is_found_through_the_wheels(outside, tmp_path):
    _, python = outside
    (tmp_path / "wrong.py").write_text("from device_bridge import Reading\n\nReading(1, 2.0)\n")
    found = mypy(python, "--strict", "wrong.py", cwd=tmp_path)
    assert 'Argument 1 to "Reading" has incompatible type "int"; expected "str"' in found


def test_its_service_runs_on_its_emulator(outside):
    folder, python = outside
    with subprocess.Popen(
        (python, "-m", "luxmeter.emulator"),
        cwd=folder,
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as emulator:
        settings = folder / "settings.json"
        settings.write_text(json.dumps(json.loads(emulator.stdout.readline())["settings"]))
        with subprocess.Popen(
            (python, "-m", "luxmeter", "--settings", settings),
            cwd=folder,
            env=ENVIRONMENT | {"IOFOG_LINK": "console:"},
            stdout=subprocess.PIPE,
        ) as service:
            message = json.loads(service.stdout.readline())
            service.terminate()
        emulator.terminate()
    (record,) = message["content"]
    assert (record["bn"], record["n"], record["u"], record["v"]) == ("luxmeter:", "illuminance", "lx", 320)
    assert service.returncode == 0
