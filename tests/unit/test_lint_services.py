"""The quality scale: this project's services and new ones are gold, and each rule finds what is against it."""

from pathlib import Path

import pytest

from climate_sensor.service import ClimateSensor
from device_bridge import DeviceService, Quantity, ServiceSettings, every
from scaffold.__main__ import main
from scaffold.rules import LEVELS, RULES, level_of, lint, page, target_of, write_badge
from scaffold.rules.running import emulator
from workspace.members import service_names

PROJECT = Path(__file__).parents[2]
NOT_YET: dict[str, set[str]] = {}
"""Services that are not gold, and the rules they are against."""


@pytest.mark.parametrize("service", service_names(PROJECT))
def test_services_of_this_project_are_gold(service):
    findings = lint(target_of(PROJECT, service), runs=False)
    assert {finding.rule.id for finding in findings} == NOT_YET.get(service, set()), findings


def test_the_page_is_that_of_the_rules():
    assert (PROJECT / "common/scaffold/QUALITY.md").read_text() == page(), "run: python -m scaffold quality"
    assert len({rule.id for rule in RULES}) == len(RULES)


class Odd(DeviceService[ServiceSettings]):
    quantities = (Quantity("heat", "degC"), Quantity("depth", "m"), Quantity("edges", "count", description="counted"))

    @every("stale_after")
    async def sample(self):
        return []


@pytest.fixture
def odd(tmp_path):
    """A service against which there is much to say."""
    folder = tmp_path / "services/odd"
    folder.mkdir(parents=True)
    (tmp_path / "tests/fault_campaign").mkdir(parents=True)
    (folder / "pyproject.toml").write_text('[project]\nname = "odd"\n')
    (folder / "service.py").write_text("x = 1\n" * 121)
    (folder / "protocol.py").write_text("import asyncio\nfrom socket import socket\n")
    (folder / "helper.py").write_text("import rich\n")
    (folder / "README.md").write_text("# odd\n\nThat.\n")
    wheel = "https://example.com/odd-1-cp313-cp313-manylinux_2_17_x86_64.whl"
    (tmp_path / "uv.lock").write_text(f'[[package]]\nname = "odd"\nwheels = [{{ url = "{wheel}" }}]\n')
    (folder / "deploy.toml").write_text('[example]\nname = "odd"\n')
    target = target_of(tmp_path, "odd")
    target.__dict__["service_type"] = Odd
    target.__dict__["needs"] = target_of(PROJECT, "gps_receiver").needs
    return target


def test_everything_is_found_at_once(odd):
    found = lint(odd, runs=False)
    texts = [finding.text for finding in found]
    for rule, text in [
        ("complete", "services/odd has no emulator.py"),
        ("units", "quantity heat: 'degC' is not in the SenML registry"),
        ("contract", "Odd has no docstring"),
        ("tested", "no test names it"),
        ("current", "README.md has no table of settings"),
        ("current", "README.md has no table of quantities"),
        ("example", "deploy.toml: its example cannot be used: setting serial"),
        ("manifests", "odd.yaml is missing. Run: make docs"),
        ("ranges", "quantity depth has no range"),
        ("described", "quantity depth has no description"),
        ("pure", "services/odd/protocol.py:2: imports socket"),
        ("random", "no world of faults; write tests/fault_campaign/world_odd.py"),
        ("image", "services/odd/helper.py:1: rich is not in its image"),
        ("image", "odd has no wheel for armv7l, CPython 3.13"),
        ("badge", "README.md does not say which level it reaches. Run: make docs"),
        ("size", "services/odd/service.py has 121 lines"),
    ]:
        assert any(each.rule.id == rule and text in each.text for each in found), (rule, text, texts)
    assert not any("edges" in text or "asyncio" in text for text in texts)
    assert level_of(found) == ""
    assert [level_of([each for each in found if each.rule.level == level]) for level in LEVELS] == [
        "",
        "bronze",
        "silver",
    ]
    assert level_of([]) == "gold"


def test_a_readme_says_the_level_and_says_it_anew(odd):
    write_badge(odd)
    assert odd.text("README.md").startswith(
        "# odd\n\n<!-- quality -->\nQuality: not bronze yet\n<!-- end -->\n\nThat.\n"
    )
    assert "badge" not in {finding.rule.id for finding in lint(odd, runs=False)}
    text = odd.text("README.md").replace("not bronze yet", "gold")
    (odd.folder / "README.md").write_text(text)
    assert "badge" in {finding.rule.id for finding in lint(odd, runs=False)}
    write_badge(odd)
    assert "Quality: not bronze yet\n<!-- end -->" in odd.text("README.md")


def test_an_emulator_that_lacks_a_quantity_or_a_fault_is_found(monkeypatch):
    class Wider(ClimateSensor):
        @classmethod
        def quantities_of(cls, settings):
            return (*super().quantities_of(settings), Quantity("altitude", "m", (0, 9000), "of the sensor"))

    monkeypatch.setattr("scaffold.rules.running._READ_S", 5.0)
    target = target_of(PROJECT, "climate_sensor")
    readme = target.text("README.md").replace("set temperature", "melt chip\nset temperature")
    target.__dict__["service_type"] = Wider
    monkeypatch.setattr(type(target), "text", lambda _, name: readme)
    found = list(emulator(target))
    assert found[0].startswith("README.md: its emulator refuses `melt chip`: unknown: 'melt'; known are ")
    assert found[1:] == ["quantity altitude never comes from its emulator"]


def test_a_service_that_is_not_there_gets_the_nearest_offered(monkeypatch, capsys):
    monkeypatch.chdir(PROJECT)
    assert main(["lint-services", "--service", "gps_reciever"]) == 2
    assert "Did you mean gps_receiver?" in capsys.readouterr().err


def test_what_is_found_is_reported_with_its_level_and_its_paragraph(monkeypatch, capsys, odd):
    monkeypatch.chdir(PROJECT)
    assert main(["lint-services", "--no-run", "--service", "gps_receiver"]) == 0
    assert capsys.readouterr().out == "gps_receiver: gold\n"
    monkeypatch.setattr("scaffold.__main__.target_of", lambda _, __: odd)
    assert main(["lint-services", "--no-run", "--service", "gps_receiver"]) == 1
    assert "common/scaffold/QUALITY.md#size" in capsys.readouterr().out
