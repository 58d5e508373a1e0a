"""The pages in deploy/, followed by somebody who has never done it: their commands run as far as they can here."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from deployment.__main__ import main
from deployment.generations import GENERATIONS

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "deploy/README.md"
FOLDERS = [generation.folder for generation in GENERATIONS.values()]
MAKE = shutil.which("make")
TOOLS = ("iofogctl", "potctl", "edgelet")


def commands(page):
    """What is between backquotes or after a prompt."""
    text = page.read_text()
    found = re.findall(r"^\$ (.*?)(?:\s{2,}#.*)?$", text, re.MULTILINE)
    return found + [each.replace("\n", " ") for each in re.findall(r"`([^`]+)`", text)]


def commands_of(page, *programs):
    return sorted({one for one in commands(page) if one.split(" ")[0] in programs and "…" not in one})


@pytest.mark.skipif(not MAKE, reason="apt-get install make")
@pytest.mark.parametrize("command", [one for one in commands_of(PAGE, "make") if " " in one])
def test_every_make_command_of_the_page_is_one(command):
    words = [word for word in shlex.split(command)[1:] if not word.startswith("PLATFORMS")]
    run = subprocess.run(
        (MAKE, "--dry-run", *words), cwd=PROJECT, capture_output=True, text=True, check=False, env=os.environ
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("folder", ["", *FOLDERS])
def test_every_file_that_a_command_names_is_there_and_right(folder, capsys, monkeypatch):
    monkeypatch.chdir(PROJECT)
    page = PROJECT / "deploy" / folder / "README.md"
    deployed = [shlex.split(one) for one in commands_of(page, *TOOLS) if " -f " in one]
    files = [PROJECT / "deploy" / folder / words[-1] if folder else PROJECT / words[-1] for words in deployed]
    if not folder:
        files = [file for file in files if file.parent.parent == PROJECT / "deploy"]
    assert files
    for file in files:
        generation = next(each for each in GENERATIONS.values() if each.folder == file.parent.name)
        assert main(["check", str(file), "--generation", generation.name]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_says_of_each_of_its_files_when_it_is_deployed(folder):
    text = (PROJECT / "deploy" / folder / "README.md").read_text()
    services = {file.name for file in (PROJECT / "services").iterdir()}
    for file in sorted((PROJECT / "deploy" / folder).rglob("*.yaml")):
        service, dash, _ = file.stem.partition("-")
        name = f"SERVICE{dash and '-BUS'}" if service in services else file.stem
        shown = f"{'cdi/' if file.parent.name == 'cdi' else ''}{name}.yaml"
        assert f"`{shown}`" in text, f"{folder}/README.md says nothing of {shown}"
    assert f"deploy/{folder}/" in PAGE.read_text() or f"({folder}/README.md)" in PAGE.read_text()


def test_the_way_of_a_fleet_as_the_page_shows_it(tmp_path, capsys, monkeypatch):
    (tool := tmp_path / "bin/iofogctl").parent.mkdir()
    tool.write_text('#!/bin/sh\necho "$@" >>"$0.log"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    shown = {shlex.split(one)[1]: shlex.split(one)[2:] for one in commands_of(PAGE, "make") if "my-fleet" in one}
    given = dict(word.split("=", 1) for word in shown["new-fleet"])
    assert main(["new-fleet", given["FLEET"], *given["SERVICE"].split(), "--generation", given["GENERATION"]]) == 0
    assert main(["render", given["FLEET"]]) == 0
    assert "2 files in build/deploy/3.9, 0 to fix" in capsys.readouterr().out
    assert "2 files in build/deploy/3.9, 0 to fix" in PAGE.read_text()
    assert main(["diff", given["FLEET"]]) == 0
    assert main(["deploy", given["FLEET"], "--namespace", "north"]) == 0
    sent = Path(f"{tool}.log").read_text().splitlines()
    assert sent == [
        "deploy -f build/deploy/3.9/templates.yaml --namespace north",
        "deploy -f build/deploy/3.9/nodes/edge-01.yaml --namespace north",
    ]


def test_every_word_that_a_newcomer_meets_is_explained():
    table = PAGE.read_text().split("| word | means |")[1].split("\n\n")[0]
    words = {word.strip() for row in table.splitlines()[2:] for word in row.split("|")[1].split(",")}
    assert words >= {"node", "agent", "Controller", "manifest", "microservice", "route", "NATS", "PoT", "registry"}
    assert words >= {"group", "udev rule", "CDI", "generation", "fleet", "kit", "ring"}
