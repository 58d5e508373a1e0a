"""What tools tell people who write settings, fleets and services: examples, schemas, lists, names that were meant."""

import json
import tomllib
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from rich.console import Console

from demo.parts import summarise
from demo.viewer import View
from deployment.__main__ import main as deployment
from device_bridge import SettingsError
from device_bridge.cli.command_line import _handle
from device_bridge.cli.example import example_settings
from device_bridge.settings import SettingsSources, profile_names
from iofog_sdk import IoMessage, NodeNotFound, connect
from local_agent.__main__ import main as local_agent
from workspace.members import service_names
from workspace.services import ServiceError, needs_of, service_type_of

PROJECT = Path(__file__).parents[2]
SERVICES = service_names(PROJECT)


def printed(capsys, act, *arguments):
    with pytest.raises(SystemExit) as ended:
        raise SystemExit(act(*arguments))
    assert not ended.value.code
    return capsys.readouterr().out


@pytest.mark.parametrize("service", SERVICES)
def test_an_example_is_taken_as_it_stands_and_shows_every_setting(service, tmp_path):
    kind = service_type_of(service)
    file = tmp_path / "example.toml"
    file.write_text(example_settings(kind))
    settings = SettingsSources(kind.settings_type, file=file, environment={}).resolve(None)
    kind.check_settings(settings)
    lines = file.read_text().splitlines()
    assert any(line.startswith("#stale_after = ") for line in lines)
    assert max(map(len, (line for line in lines if line.startswith("# ")))) <= 118


def test_an_example_leaves_out_what_is_optional(capsys):
    text = printed(capsys, _handle, service_type_of("gps_receiver"), ["--example"])
    assert "\n[serial]\n# path, " in text
    assert '\nport = "/dev/ttyUSB0"\n' in text
    assert "\n#[serial.rs485]\n" in text
    assert tomllib.loads(text) == {"serial": {"port": "/dev/ttyUSB0"}}


@pytest.mark.parametrize(
    ("act", "arguments", "title"),
    [
        (_handle, (service_type_of("gps_receiver"), ["--schema"]), "gps_receiver: settings"),
        (_handle, (service_type_of("register_sensor"), ["--schema", "profile"]), "register_sensor: profile"),
        (deployment, (["schema", "fleet"],), "a fleet file"),
        (deployment, (["schema", "deploy"],), "deploy.toml of a service"),
        (local_agent, (["--schema"],), "agent.yaml"),
    ],
)
def test_schemas_name_their_dialect_and_what_they_are_for(capsys, act, arguments, title):
    schema = json.loads(printed(capsys, act, *arguments))
    Draft202012Validator.check_schema(schema)
    assert (schema["$schema"], schema["title"]) == ("https://json-schema.org/draft/2020-12/schema", title)


def test_profiles_and_deploy_files_fit_their_schemas(capsys):
    for service in ("kernel_sensor", "modbus_meter", "register_sensor", "serial_instrument"):
        schema = json.loads(printed(capsys, _handle, service_type_of(service), ["--schema", "profile"]))
        for name in profile_names(service):
            file = PROJECT / "services" / service / "profiles" / f"{name}.toml"
            Draft202012Validator(schema).validate(tomllib.loads(file.read_text()))
    schema = json.loads(printed(capsys, deployment, ["schema", "deploy"]))
    for service in SERVICES:
        Draft202012Validator(schema).validate(
            tomllib.loads((PROJECT / "services" / service / "deploy.toml").read_text())
        )


def test_what_there_is_is_listed_a_line_each(capsys, monkeypatch):
    monkeypatch.chdir(PROJECT)
    lines = printed(capsys, deployment, ["list"]).splitlines()
    assert any(line.startswith("gps_receiver ") for line in lines)
    assert any(line.split()[:2] == ["profile", "sdm120"] and "Eastron" in line for line in lines)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('bus = "spi"\n[example]\nname = "x"\n', "x_service/deploy.toml:1: bus: is none of the values"),
        ('[example]\nname = "X 1"\n', "x_service/deploy.toml:2: example.name: expected `str` matching regex"),
        ('[example]\nname = "x"\ndevise = "/dev/x"\n', ":3: example.devise: unknown setting. Did you mean device?"),
        ('bus = "serial"\n', ":1: example: is required. Write an object with config, device"),
        ("bus = serial\n", "x_service/deploy.toml: Invalid value (at line 1, column 7)"),
    ],
)
def test_a_wrong_deploy_file_is_reported_with_its_line_and_a_remedy(tmp_path, monkeypatch, text, told):
    (tmp_path / "x_service").mkdir()
    (tmp_path / "x_service/deploy.toml").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ServiceError) as refused:
        needs_of.__wrapped__("x_service")
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("service", "variables", "told"),
    [
        (
            "gps_receiver",
            {"SETTING_SERIAL_PORT": "/dev/x"},
            "Write SETTING_SERIAL__PORT, with two underscores. Known",
        ),
        ("serial_instrument", {"SETTING_PROFILE": "bench_scal"}, "Did you mean bench_scale? Write one of "),
    ],
)
def test_a_name_that_was_meant_is_said(service, variables, told):
    sources = SettingsSources(service_type_of(service).settings_type, file=None, environment=variables)
    with pytest.raises(SettingsError) as refused:
        sources.resolve(None)
    assert told in str(refused.value)


def test_a_kind_of_link_that_was_meant_is_said():
    with pytest.raises(NodeNotFound, match=r"IOFOG_LINK=agnet://.*Did you mean agent\?"):
        connect({"IOFOG_LINK": "agnet://10.0.0.1"})


def test_a_service_that_was_meant_is_said(capsys, monkeypatch):
    monkeypatch.chdir(PROJECT)
    for arguments in (["unknown", "gps_reciever"], ["build", "gps_reciever", "--registry=r", "--tag=t"]):
        assert deployment(arguments) == 1
        assert "SERVICE=gps_reciever: there is no such service. Did you mean gps_receiver?" in capsys.readouterr().out


def test_settings_can_be_yaml_without_anchors(tmp_path):
    model = service_type_of("gps_receiver").settings_type
    file = tmp_path / "gps.yaml"
    file.write_text("serial:\n  port: /dev/ttyUSB0\n  baud: 4800\n")
    assert SettingsSources(model, file=file, environment={}).resolve(None).serial.baud == 4800
    for text, told in (("serial: &s\n  port: /dev/x\n", "has an anchor"), ("serial: [", "cannot be parsed")):
        file.write_text(text)
        with pytest.raises(SettingsError, match=told):
            SettingsSources(model, file=file, environment={})


def test_a_demo_says_whether_its_command_was_done(capsys):
    sent, seen = {"messages": 1, "read": 1}, {"received": 1, "good": 1}
    assert summarise(sent, seen | {"done": 1}, commanded=True) == 0
    assert summarise(sent, seen | {"refused": 1}, commanded=True) == 1
    assert "FAILED: the command was refused" in capsys.readouterr().out
    assert summarise(sent, seen, commanded=True) == 1
    assert "FAILED: the command was not answered" in capsys.readouterr().out
    view = View("title")
    for number, ok in enumerate((True, False, False), 1):
        content = json.dumps({"command": "tare", "ok": ok}).encode()
        view.take(IoMessage(id=f"{number}", infotype="application/json", contentdata=content))
    assert (view.outcomes[True], view.outcomes[False]) == (1, 2)


@pytest.mark.parametrize(("quantities", "height"), [(3, 24), (40, 24), (40, 10)])
def test_a_table_keeps_its_last_lines_in_a_low_window(quantities, height):
    view = View("title")
    pack = [{"n": f"a:q{number:02}", "v": 1} for number in range(quantities)]
    view.take(IoMessage(infotype="application/senml+json", contentdata=json.dumps(pack).encode()))
    console = Console(width=100, height=height)
    with console.capture() as captured:
        console.print(view.table(height))
    lines = captured.get().splitlines()
    assert len(lines) < height
    assert lines[-1] == "Ctrl-C ends"
    assert f"{quantities} readings" in lines[-2]
    assert any("more, in a higher window" in line for line in lines) is (quantities > height)
