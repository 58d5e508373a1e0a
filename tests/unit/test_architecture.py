"""The structure of the libraries: who may import whom, and what each package offers."""

import importlib
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import device_bridge
import iofog_sdk

ROOT = Path(__file__).parents[2]
PUBLIC_MODULES = {"device_bridge.messages.senml"}
LIBRARIES = (device_bridge, iofog_sdk)


def modules() -> list[tuple[str, bool]]:
    return [
        (module.name, module.ispkg)
        for library in LIBRARIES
        for module in pkgutil.walk_packages(library.__path__, f"{library.__name__}.")
    ]


def test_no_import_goes_upwards_and_none_in_a_circle() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run(
        [linter, str(ROOT / "pyproject.toml"), "--no-cache"],
        cwd=ROOT / "common",
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout


def test_the_page_on_architecture_shows_the_floors_as_they_are() -> None:
    text = (ROOT / "common/README.md").read_text()
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    for contract in contracts:
        for library in contract.get("containers", ()):
            table = text.split(f"| `{library}` | holds |\n|---|---|\n")[1].split("\n\n")[0]
            shown = [sorted(re.findall(r"`(\w+)`", row.split("|")[1])) for row in table.splitlines()]
            floors = [sorted(re.findall(r"\w+", layer)) for layer in contract["layers"]]
            names = [name for floor in shown for name in floor]
            assert names == [name for floor in floors for name in floor], "write them into common/README.md, Floors"


def test_every_module_behind_a_package_is_banned_for_services() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    banned = set(settings["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"])
    assert banned == {name for name, is_package in modules() if not is_package} - PUBLIC_MODULES


@pytest.mark.parametrize(
    "package", [library.__name__ for library in LIBRARIES] + [n for n, is_p in modules() if is_p]
)
def test_a_package_offers_what_it_lists(package: str) -> None:
    module = importlib.import_module(package)
    for name in getattr(module, "__all__", ()):
        assert getattr(module, name) is not None


def test_an_unknown_name_of_a_package_is_an_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = iofog_sdk.Nothing  # type: ignore[attr-defined]
