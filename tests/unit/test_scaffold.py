"""New services: what is written keeps the rules of the house, what cannot be a service is refused with the reason."""

import compileall
import io
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from iofog_sdk import __version__
from scaffold import SHAPES, AnswerError, Answers, generate, new_project
from scaffold.__main__ import main
from scaffold.answers import TEMPLATES
from workspace.members import notes, problems

PROJECT = Path(__file__).parents[2]
RUFF = Path(sys.executable).with_name("ruff")
KINDS = [(bus, shape) for bus, shapes in SHAPES.items() for shape in shapes]


@pytest.fixture
def project(tmp_path):
    """A project with one service, as far as its checks look."""
    shutil.copytree(PROJECT / "services/gps_receiver", tmp_path / "services/gps_receiver")
    (tmp_path / "tests/services").mkdir(parents=True)
    (tmp_path / "tests/services/test_gps_receiver.py").write_text("import gps_receiver\n")
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(("bus", "shape"), KINDS)
def test_a_new_service_is_complete_and_keeps_the_rules_of_the_house(project, bus, shape):
    files = generate(Answers("rain_gauge", bus, shape, "a rain gauge (tipping bucket)"), project)
    assert list(problems(project, locked=False)) == []
    assert list(notes(project)) == []
    text = "".join(file.read_text() for file in files)
    assert not re.search("my_device|my-device|MyDevice|DEVICE", text)
    assert "class RainGauge(DeviceService[RainGaugeSettings])" in text
    python = [file for file in files if file.suffix == ".py"]
    assert sum(1 for file in python for line in file.read_text().splitlines() if line.strip()) <= 120
    subprocess.run([RUFF, "check", "--quiet", "--fix", "--no-cache", *python], cwd=project, check=True)


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        (("Tide-Gauge", "serial"), "for example tide_gauge"),
        (("2nd", "serial"), "a letter first, for example nd"),
        (("", "serial"), "a letter first"),
        (("../x", "serial"), "for example x"),
        (("a" * 31, "serial"), "is 31 characters long; write at most 30"),
        (("class", "serial"), "is a word of Python"),
        (("match", "serial"), "is a word of Python"),
        (("gps_receiver", "serial"), "services/gps_receiver exists"),
        (("json", "serial"), "a Python package of that name is installed"),
        (("device_bridge", "serial"), "a Python package of that name is installed"),
        (("my_device", "serial"), "what templates call theirs"),
        (("tide_gauge", "usb"), "BUS=usb: write serial or i2c or gpio"),
        (("tide_gauge", "serial", "push"), "SHAPE=push: for serial write stream (it sends by itself)"),
        (("tide_gauge", "serial", "", 'a "tide" gauge'), "DEVICE="),
        (("tide_gauge", "serial", "", "a tide\ngauge"), "DEVICE="),
    ],
)
def test_what_cannot_be_a_service_is_refused_with_the_reason_and_nothing_is_written(project, answers, reason):
    before = sorted(project.rglob("*"))
    with pytest.raises(AnswerError) as refused:
        generate(Answers(*answers), project)
    assert reason in str(refused.value)
    assert sorted(project.rglob("*")) == before


@pytest.mark.parametrize(
    ("folder", "reason"),
    [("full", "is not empty; write the name"), ("full/file", "is not empty"), ("rain-gauge", "than its service's")],
)
def test_a_project_is_made_in_a_folder_of_its_own_with_a_name_of_its_own(tmp_path, folder, reason):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(AnswerError) as refused:
        new_project(tmp_path / folder, Answers("rain_gauge", "serial"), PROJECT)
    assert reason in str(refused.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_project_holds_nothing_that_python_has_compiled_beside_its_template(tmp_path, monkeypatch):
    copied = shutil.copytree(TEMPLATES, tmp_path / "templates", ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(copied / "project", quiet=2)
    assert list(copied.rglob("*.pyc"))
    monkeypatch.setattr("scaffold.project.TEMPLATES", copied)
    new_project(tmp_path / "devices", Answers("rain_gauge", "serial"), PROJECT, "https://packages.example.com/simple")
    assert not list((tmp_path / "devices").rglob("*.pyc"))


def test_a_project_has_the_same_targets_and_takes_its_packages_from_an_index(tmp_path):
    index = "https://packages.example.com/simple"
    files = new_project(tmp_path / "devices", Answers("rain_gauge", "serial"), PROJECT, index)
    makefile = (tmp_path / "devices/Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert {"demo", "run", "test", "check", "lock", "build-arm", "deploy-render", "update-service"} <= targets
    assert not {"hil", "bench", "new-project", "image-test"} & targets
    assert "common/deployment" not in makefile
    assert "python -m demo $(SERVICE) $(if $(PROFILE)" in makefile
    assert targets == set(re.search(r"^\.PHONY: (.*)", makefile, re.MULTILINE)[1].split())
    ours = (PROJECT / "Makefile").read_text()
    assert all(
        paragraph in ours for paragraph in makefile.split("\n\n") if paragraph.startswith(("run", "build", "deploy"))
    )
    project = tomllib.loads((tmp_path / "devices/pyproject.toml").read_text())
    assert project["tool"]["uv"]["index"] == [{"name": "iofog-device-services", "url": index}]
    assert project["project"]["dependencies"] == [f"device-bridge=={__version__}"]
    assert "uv.sources" not in (tmp_path / "devices/services/rain_gauge/pyproject.toml").read_text()
    assert not (tmp_path / "devices/wheels").exists()
    assert all(file.exists() for file in files)


def test_what_is_missing_is_said_with_an_example(project, monkeypatch, capsys):
    monkeypatch.chdir(project)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert main(["new-service", "--name", "tide_gauge"]) == 2
    assert 'make new-service NAME=tide_gauge BUS=serial DEVICE="a tide gauge"' in capsys.readouterr().err


def test_on_a_terminal_it_asks(project, monkeypatch, capsys):
    class Terminal:
        def isatty(self):
            return True

    answers = iter(["tide_gauge", "serial", "a tide gauge"])
    monkeypatch.chdir(project)
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr("builtins.input", lambda _: next(answers))
    assert main(["new-service", "--unchecked"]) == 0
    assert "Bridges a tide gauge on a serial port" in (project / "services/tide_gauge/README.md").read_text()
    assert "tests/services/test_tide_gauge.py" in capsys.readouterr().out
