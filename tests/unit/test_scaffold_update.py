"""What is new in a template comes into services that were made from it, and what their authors wrote stays."""

import json
import shutil

import pytest

from scaffold import Answers, generate
from scaffold.__main__ import main
from scaffold.answers import TEMPLATES

SERVICE = "services/rain_gauge/service.py"
PROTOCOL = "services/rain_gauge/protocol.py"
README = "services/rain_gauge/README.md"

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="apt-get install git (merges are git's)")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a service made from a template that can then be changed."""
    templates = tmp_path / "templates"
    shutil.copytree(TEMPLATES, templates)
    monkeypatch.setattr("scaffold.rendering.TEMPLATES", templates)
    project = tmp_path / "project"
    project.mkdir()
    generate(Answers("rain_gauge", "serial", "stream", "a rain gauge"), project)
    monkeypatch.chdir(project)
    return project


@pytest.fixture
def template(project):
    return project.parent / "templates"


def change(file, before, after):
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


def update():
    return main(["update-service", "--name", "rain_gauge", "--unchecked"])


def test_an_update_merges_into_a_changed_service(project, template, capsys):
    change(
        project / PROTOCOL, 'Quantity("level", "m", (0, 10), "above the sensor")', 'Quantity("rain", "mm", (0, 9))'
    )
    change(project / README, "<!-- quantities -->\n", "<!-- quantities -->\n| `rain` |\n")
    change(template / "serial_stream/protocol.py", "self.malformed = 0", "self.malformed = self.seen = 0")
    change(
        template / "serial_stream/service.py",
        "class MyDeviceSettings",
        "LEVEL_NAME = LEVEL.name\n\n\nclass MyDeviceSettings",
    )
    change(template / "serial/README.md", "## Wiring", "## How it is wired")
    (template / "serial_stream/limits.py").write_text("MOST = 1  # of my_device\n")
    assert update() == 0
    protocol = (project / PROTOCOL).read_text()
    assert 'Quantity("rain", "mm", (0, 9))' in protocol
    assert "self.malformed = self.seen = 0" in protocol
    assert "class RainGaugeSettings" in (project / SERVICE).read_text().split("LEVEL_NAME = LEVEL.name")[1]
    assert "## How it is wired" in (project / README).read_text()
    assert (project / "services/rain_gauge/limits.py").read_text() == "MOST = 1  # of rain_gauge\n"
    assert f"{PROTOCOL} is merged\n" in capsys.readouterr().out
    assert update() == 0
    assert capsys.readouterr().out == "rain_gauge has what is in its template\n"


def test_a_conflict_is_marked_as_git_marks_it_and_the_next_update_waits(project, template, capsys):
    change(project / PROTOCOL, '"above the sensor"', '"in the funnel"')
    change(template / "serial_stream/protocol.py", '"above the sensor"', '"above the sea"')
    assert update() == 1
    text = (project / PROTOCOL).read_text()
    assert (
        text.index("<<<<<<< yours")
        < text.index("in the funnel")
        < text.index("=======")
        < text.index("above the sea")
    )
    assert f"{PROTOCOL} has 1 place to decide on" in capsys.readouterr().out
    assert update() == 2
    assert f"{PROTOCOL} has places marked <<<<<<< to be decided on; do that first" in capsys.readouterr().err
    (project / PROTOCOL).write_text("decided = True\n")
    assert update() == 0
    assert (project / PROTOCOL).read_text() == "decided = True\n"


def test_what_an_author_removed_stays_removed_and_what_the_template_lost_is_said(project, template, capsys):
    (project / PROTOCOL).unlink()
    change(template / "serial_stream/protocol.py", "self.malformed = 0", "self.malformed = 1")
    (template / "serial/world.py").unlink()
    (template / "serial_stream/world.py").unlink(missing_ok=True)
    (template / "all/__main__.py").unlink()
    assert update() == 0
    said = capsys.readouterr().out
    assert f"{PROTOCOL} was changed in the template; you have removed it" in said
    assert "services/rain_gauge/__main__.py is no longer in the template" in said
    assert (project / "services/rain_gauge/__main__.py").exists()
    assert not (project / PROTOCOL).exists()


def test_what_was_answered_is_remembered_with_the_version(project):
    record = json.loads((project / "services/rain_gauge/.scaffold.json").read_text())
    assert record["answers"] == {"name": "rain_gauge", "bus": "serial", "shape": "stream", "device": "a rain gauge"}
    assert record["version"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("gps_receiver", "services/gps_receiver/.scaffold.json is missing: only what `make new-service` made"),
        ("../x", "write the name of a service"),
    ],
)
def test_what_was_not_made_from_a_template_is_refused(project, capsys, name, reason):
    assert main(["update-service", "--name", name]) == 2
    assert reason in capsys.readouterr().err


def test_a_damaged_memory_is_refused_and_nothing_is_written(project, capsys):
    (project / "services/rain_gauge/.scaffold.json").write_text('{"files": {"a": "b"}}')
    assert update() == 2
    assert "cannot be read" in capsys.readouterr().err
