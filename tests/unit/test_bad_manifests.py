"""Bad manifests, each with all that the check says of it in its first lines."""

from pathlib import Path

import pytest

from deployment.__main__ import main
from deployment.generations import GENERATIONS

FILES = sorted((Path(__file__).parents[1] / "vectors" / "manifests" / "bad").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_everything_that_is_wrong_is_printed_with_line_and_remedy(file, capsys):
    head = [line[2:] for line in file.read_text().splitlines() if line.startswith("# ")]
    generation = head[0].removeprefix("For ").removesuffix(":")
    status = main(["check", str(file), "--generation", generation])
    printed = capsys.readouterr().out.splitlines()
    assert printed[:-1] == [f"{file}:{line}" for line in head[1:]]
    assert status == any("warning: " not in line for line in printed[:-1])


def test_every_generation_has_bad_manifests():
    assert len(FILES) > 36
    assert {file.read_text().splitlines()[0] for file in FILES} == {f"# For {name}:" for name in GENERATIONS}
