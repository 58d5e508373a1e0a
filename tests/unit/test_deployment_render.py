"""Fleets: manifests that pass the check, say what was written, and are the same each time."""

import importlib
import json
from pathlib import Path

import pytest
import yaml

from deployment.__main__ import main
from deployment.check import check_documents
from deployment.documents import parse
from deployment.fleet import FleetError, needs_of, read_fleet
from deployment.generations import GENERATIONS
from deployment.render import render
from device_bridge.settings import SettingsSources

PROJECT = Path(__file__).parents[2]
EXAMPLE = PROJECT / "deploy" / "fleet.example.yaml"
SERVICES = sorted(path.parent.name for path in (PROJECT / "services").glob("*/service.py"))


def fleet_file(folder, **changes):
    fleet = yaml.safe_load(EXAMPLE.read_text()) | changes
    file = folder / "fleet.yaml"
    file.write_text(yaml.safe_dump(fleet, sort_keys=False))
    return file


def manifests(text):
    return list(yaml.safe_load_all(text))


@pytest.mark.parametrize("generation", GENERATIONS)
def test_the_example_passes_the_check_in_every_generation(generation):
    files = dict(render(read_fleet(EXAMPLE), generation))
    documents = [doc for name, text in files.items() if not name.startswith("cdi/") for doc in parse(text, name)]
    assert not [str(finding) for finding in check_documents(documents, GENERATIONS[generation])]
    assert {name for name in files if name.startswith("nodes/")} == {
        f"nodes/{node}.yaml" for node in ("pi-01", "pi-02", "truck-7")
    }


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_says_what_it_needs(service):
    needs = needs_of(service)
    model = importlib.import_module(f"{service}.service")
    settings_type = next(
        value.settings_type
        for value in vars(model).values()
        if isinstance(value, type) and hasattr(value, "settings_type") and value.__module__ == model.__name__
    )
    if needs.device_setting:
        assert needs.device_setting.split(".")[0] in settings_type.__struct_fields__


def settings_type_of(service):
    module = importlib.import_module(f"{service}.service")
    for value in vars(module).values():
        if isinstance(value, type) and value.__module__ == module.__name__ and hasattr(value, "settings_type"):
            return value.settings_type
    raise AssertionError(service)


def filled(value, variables):
    """A template's value as a Controller renders it."""
    if isinstance(value, str) and value.startswith("{{ "):
        return variables[value[3:-3]]
    if isinstance(value, dict):
        return {key: filled(inner, variables) for key, inner in value.items()}
    return [filled(inner, variables) for inner in value] if isinstance(value, list) else value


def settings_from_controller(files, node):
    """Each microservice's settings as its service reads them, and its container."""
    templates = {t["metadata"]["name"]: t["spec"] for t in manifests(files["templates.yaml"])}
    use = manifests(files[f"nodes/{node}.yaml"])[0]["spec"]["template"]
    template = templates[use["name"]]
    values = {v["key"]: v["defaultValue"] for v in template["variables"] if "defaultValue" in v}
    values |= {v["key"]: v["value"] for v in use["variables"]}
    for written in template["application"]["microservices"]:
        service = filled(written, values)
        name = service["images"]["arm"].rsplit("/", 1)[1].split(":")[0]
        sources = SettingsSources(settings_type_of(name), file=None, environment={})
        yield service["name"], sources.resolve(json.dumps(service["config"])), service


@pytest.mark.parametrize("generation", ["3.0", "3.7", "3.8"])
def test_services_understand_what_they_are_told(generation):
    files = dict(render(read_fleet(EXAMPLE), generation))
    told = {name: (settings, service) for name, settings, service in settings_from_controller(files, "pi-02")}
    climate, service = told["climate"]
    assert (climate.interval, climate.source, climate.bus.path) == (60, "south", "/dev/i2c-1")
    assert service["agent"]["name"] == "pi-02"
    assert told["door"][0].inputs[0].line == "GPIO17"
    (gps,) = [settings for _, settings, _ in settings_from_controller(files, "truck-7")]
    assert gps.serial.port == ("/dev/ttyGPS" if generation == "3.0" else "/dev/gps")


def test_edgelet_alone_is_told_the_same_by_variables():
    files = dict(render(read_fleet(EXAMPLE), "edgelet"))
    for document in manifests(files["nodes/pi-02.yaml"]):
        environment = {variable["key"]: variable["value"] for variable in document["spec"]["container"]["env"]}
        name = document["spec"]["image"].rsplit("/", 1)[1].split(":")[0]
        settings = SettingsSources(settings_type_of(name), file=None, environment=environment).resolve(None)
        assert settings.source == "south"
        if name == "climate_sensor":
            assert (settings.interval, settings.bus.path) == (60, "/dev/i2c-1")
        else:
            assert settings.inputs[0].debounce == 0.02


def test_devices_and_groups_by_generation():
    files = {generation: dict(render(read_fleet(EXAMPLE), generation)) for generation in GENERATIONS}
    *_, (_, _, old) = settings_from_controller(files["3.0"], "truck-7")
    assert old["container"]["rootHostAccess"] is True
    *_, (_, _, java) = settings_from_controller(files["3.7"], "truck-7")
    assert java["container"]["cdiDevices"] == ["iofog.local/serial=gps"]
    assert java["container"]["runAsUser"] == "10001:20"
    (cdi,) = manifests(files["3.7"]["cdi/truck-7/iofog-serial.yaml"])
    assert cdi["devices"][0]["containerEdits"]["deviceNodes"][0] == {
        "path": "/dev/gps",
        "hostPath": "/dev/ttyGPS",
        "permissions": "rw",
    }
    (_, _, new), _ = settings_from_controller(files["3.8"], "pi-02")
    assert new["container"]["runAsGroup"] == "994"
    assert new["container"]["readOnlyRootFilesystem"] is True


def test_the_same_fleet_gives_the_same_text_and_only_what_changed_changes(tmp_path):
    first = dict(render(read_fleet(EXAMPLE), "3.8"))
    assert first == dict(render(read_fleet(EXAMPLE), "3.8"))
    nodes = yaml.safe_load(EXAMPLE.read_text())["nodes"]
    nodes[0]["values"]["room"] = "west"
    second = dict(render(read_fleet(fleet_file(tmp_path, nodes=nodes)), "3.8"))
    assert {name for name in first if first[name] != second[name]} == {"nodes/pi-01.yaml"}


@pytest.mark.parametrize("generation", ["3.7", "3.8"])
def test_two_thousand_nodes_are_rendered_and_checked(generation, tmp_path):
    nodes = [{"name": f"pi-{n}", "kit": "cold-room", "values": {"room": f"r{n}"}} for n in range(2000)]
    file = fleet_file(tmp_path, nodes=nodes)
    assert main(["render", str(file), "--generation", generation, "--out", str(tmp_path / "out")]) == 0
    assert len(list((tmp_path / "out" / "nodes").iterdir())) == 2000


def test_files_of_nodes_that_are_gone_are_removed(tmp_path, capsys):
    nodes = yaml.safe_load(EXAMPLE.read_text())["nodes"]
    out = tmp_path / "out"
    assert main(["render", str(fleet_file(tmp_path)), "--generation", "3.8", "--out", str(out)]) == 0
    assert main(["render", str(fleet_file(tmp_path, nodes=nodes[:1])), "--generation", "3.8", "--out", str(out)]) == 0
    assert [file.name for file in (out / "nodes").iterdir()] == ["pi-01.yaml"]
    assert "2 files in" in capsys.readouterr().out


GPS = {"name": "a", "service": "gps_receiver", "device": "/dev/x"}
NODE = {"name": "pi-01", "kit": "cold-room", "values": {"room": "north"}}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"nodes": []}, "nodes"),
        ({"nodes": [NODE, NODE]}, "node 'pi-01' stands twice"),
        ({"nodes": [NODE | {"name": "Pi_01"}]}, "name"),
        ({"nodes": [NODE | {"kit": "warm-room"}]}, "there is no kit 'warm-room'"),
        ({"nodes": [NODE | {"values": {}}]}, r"a value for \$room is missing"),
        ({"nodes": [NODE | {"values": {"room": "x", "rom": 1}}]}, "value 'rom' is not used"),
        ({"nodes": [NODE | {"values": {"room": 'the "cold" one'}}]}, "a double quote in config"),
        ({"nodes": [NODE | {"values": {"room": "{{ x }}"}}]}, "the Controller renders"),
        ({"groups": {"serial": 20}}, r"group of \w+ devices is missing"),
        ({"tagg": "1"}, "tagg"),
        ({"tag": "1 0"}, "tag"),
        (
            {"kits": {"k": {"services": [{"name": "a", "service": "json", "device": "/dev/x"}]}}},
            "none of this project's",
        ),
        (
            {"kits": {"k": {"services": [{"name": "a", "service": "gps_receiver", "device": "/dev/x"}] * 2}}},
            "stands twice",
        ),
    ],
)
def test_a_fleet_that_cannot_be_is_refused_with_the_reason(changes, words, tmp_path, capsys):
    file = fleet_file(tmp_path, **changes)
    with pytest.raises(FleetError, match=words):
        read_fleet(file)
    assert main(["render", str(file), "--generation", "3.8", "--out", str(tmp_path / "out")]) == 1


def test_a_device_has_to_be_one(tmp_path):
    nodes = [{"name": "t", "kit": "truck", "values": {"plate": "x", "receiver": "COM3"}}]
    with pytest.raises(FleetError, match="is not below /dev"):
        read_fleet(fleet_file(tmp_path, nodes=nodes))
