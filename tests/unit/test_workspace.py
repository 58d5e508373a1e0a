"""The project's services: found by themselves, and what one lacks is said by its name."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from deployment.generated import outdated, write_generated
from workspace.members import notes, problems, service_names

PROJECT = Path(__file__).parents[2]
MAKE = shutil.which("make")


@pytest.fixture
def project(tmp_path):
    """A project with two services, complete and up to date."""
    for service in ("gps_receiver", "climate_sensor"):
        shutil.copytree(PROJECT / "services" / service, tmp_path / "services" / service)
    (tmp_path / "README.md").write_text("# Top\n\n<!-- services -->\n<!-- end -->\n")
    (tmp_path / "tests/services").mkdir(parents=True)
    (tmp_path / "tests/services/test_both.py").write_text("import climate_sensor, gps_receiver\n")
    lock(tmp_path)
    write_generated(tmp_path)
    return tmp_path


def lock(project):
    members = ", ".join(f'"{name.replace("_", "-")}"' for name in service_names(project))
    (project / "uv.lock").write_text(f"[manifest]\nmembers = [{members}]\n")


def copy(project, name, *, renamed=True):
    """A copy of gps_receiver."""
    shutil.copytree(project / "services/gps_receiver", project / "services" / name)
    file = project / "services" / name / "pyproject.toml"
    if renamed:
        dashed = name.replace("_", "-")
        file.write_text(file.read_text().replace("gps_receiver", name).replace("gps-receiver", dashed))


def test_the_services_of_this_project_are_complete_and_up_to_date():
    assert list(problems(PROJECT)) == []
    assert [str(file) for file in outdated(PROJECT)] == [], "run: make docs"


def test_a_complete_project_has_no_problems(project):
    assert (list(problems(project)), list(notes(project)), list(outdated(project))) == ([], [], [])
    assert "| [gps_receiver](services/gps_receiver/README.md) |" in (project / "README.md").read_text()


def test_each_name_that_a_copy_kept_is_reported(project):
    copy(project, "my_sensor", renamed=False)
    place = "services/my_sensor/pyproject.toml"
    assert list(problems(project)) == [
        f'{place}: name = "gps-receiver" is not that of its folder. Write name = "my-sensor"',
        f'{place}: [project.scripts] is not that of its folder. Write my-sensor = "my_sensor.service:main"',
        f'{place}: sources of the wheel are not those of its folder. Write sources = {{ "" = "my_sensor" }}',
        f'{place}: name = "gps-receiver" is already the name of services/gps_receiver/pyproject.toml. Write another',
    ]


def test_a_renamed_copy_wants_a_lock_and_nothing_else(project):
    copy(project, "my_sensor")
    assert list(problems(project)) == ["uv.lock does not have my-sensor. Run: make lock"]
    assert list(problems(project, locked=False)) == []
    lock(project)
    assert list(problems(project)) == []


def test_what_a_copy_still_has_of_its_model_is_noted(project):
    copy(project, "my_sensor")
    found = "\n".join(notes(project))
    assert "services/my_sensor: no test names it. Write tests/services/test_my_sensor.py" in found
    assert re.search(r"services/my_sensor/emulator.py:\d+: names gps_receiver, another service", found)
    assert "services/my_sensor/README.md: its title is '# gps_receiver'" in found
    assert "services/my_sensor/pyproject.toml: its description is that of gps_receiver" in found
    assert "services/my_sensor/deploy.toml: its example's name is that of gps_receiver" in found


@pytest.mark.parametrize(
    "file", ["README.md", "deploy.toml", "__init__.py", "__main__.py", "service.py", "emulator.py", "pyproject.toml"]
)
def test_a_missing_file_is_named(project, file):
    (project / "services/gps_receiver" / file).unlink()
    (problem,) = problems(project, locked=False)
    assert problem.startswith(f"services/gps_receiver has no {file}. ")


def test_a_folder_that_is_no_package_gets_a_better_name(project):
    copy(project, "my-sensor")
    assert list(problems(project, locked=False)) == [
        "services/my-sensor is not a name for a Python package. Rename the folder, for example to my_sensor"
    ]


def test_a_broken_file_is_named_with_its_line(project):
    (project / "services/gps_receiver/pyproject.toml").write_text("[project\n")
    assert "services/gps_receiver/pyproject.toml: " in next(problems(project))


def test_a_service_that_is_gone_leaves_a_lock_and_manifests_behind(project):
    shutil.rmtree(project / "services/climate_sensor")
    assert list(problems(project)) == ["uv.lock still has climate-sensor. Run: make lock"]
    assert project / "deploy/edgelet-1.1/climate_sensor.yaml" in list(outdated(project))
    write_generated(project)
    assert list(outdated(project)) == []
    assert not (project / "deploy/edgelet-1.1/climate_sensor.yaml").exists()


def test_it_is_said_before_anything_is_installed(project):
    copy(project, "my_sensor")
    script = PROJECT / "common/workspace/members.py"
    run = subprocess.run(
        [sys.executable, "-I", "-S", script], cwd=project, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (1, "uv.lock does not have my-sensor. Run: make lock\n")


def test_every_package_reads_the_version_from_one_place():
    for file in [*PROJECT.glob("common/*/pyproject.toml"), *PROJECT.glob("services/*/pyproject.toml")]:
        settings = tomllib.loads(file.read_text())
        assert settings["project"]["dynamic"] == ["version"]
        source = (file.parent / settings["tool"]["hatch"]["version"]["path"]).resolve()
        assert source == PROJECT / "common/iofog_sdk/__init__.py"


@pytest.mark.skipif(not MAKE, reason="apt-get install make")
def test_the_list_of_targets_fits_a_terminal():
    shown = subprocess.run([MAKE, "help"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^  make ([a-z-]+)", shown, re.MULTILINE)) > {"demo", "lock", "check"}
    assert [line for line in shown.splitlines() if len(line) > 80] == []
