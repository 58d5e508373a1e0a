"""Fleets: manifests that pass the check, say what was written, and are the same each time."""

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from deployment.__main__ import main
from deployment.documents import parse
from deployment.fleets import FleetError, read_fleet, render
from deployment.generations import GENERATIONS
from deployment.manifests import check_documents
from device_bridge.gateway import check_entries
from device_bridge.settings.sources import SettingsSources
from edge_gateway.emulator import SITE
from workspace.members import service_names
from workspace.services import needs_of, service_type_of

PROJECT = Path(__file__).parents[2]
BUSES = ("-serial", "-i2c", "-gpio")
EXAMPLE = PROJECT / "deploy" / "fleet.example.yaml"
SERVICES = service_names(PROJECT)


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
    documents = [doc for name, text in files.items() for doc in parse(text, name)]
    assert not [str(finding) for finding in check_documents(documents, GENERATIONS[generation])]
    assert {name for name in files if name.startswith("nodes/")} == {
        f"nodes/{node}.yaml" for node in ("pi-01", "pi-02", "truck-7")
    }


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_service_that_reports_the_position_gets_the_role_for_it_where_there_are_tokens(tmp_path, generation):
    def rendered(**config):
        gps = {"name": "gps", "service": "gps_receiver", "device": "/dev/ttyUSB0", "config": config}
        file = fleet_file(tmp_path, kits={"k": {"services": [gps]}}, nodes=[{"name": "n1", "kit": "k"}])
        files = dict(render(read_fleet(file), generation))
        documents = [doc for name, text in files.items() for doc in parse(text, name)]
        assert not [str(finding) for finding in check_documents(documents, GENERATIONS[generation])]
        return "".join(files.values())

    assert "node-position" not in rendered()
    assert "node-position" not in rendered(node_position=0)
    text = rendered(node_position=60)
    if generation not in ("3.8", "3.9"):
        assert "node-position" not in text
        return
    role, template = manifests(text)[:2]
    assert (role["kind"], role["metadata"]) == ("Role", {"name": "node-position"})
    assert {"apiGroups": ["edgelet.iofog.org/v1"], "resources": ["system/gps"], "verbs": ["create"]} in role["rules"]
    (service,) = template["spec"]["application"]["microservices"]
    assert service["serviceAccount"] == {"roleRef": {"kind": "Role", "name": "node-position"}}


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_says_what_it_needs(service):
    needs = needs_of(service)
    for setting in filter(None, (needs.device_setting, needs.position_setting)):
        assert setting.split(".")[0] in service_type_of(service).settings_type.__struct_fields__


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
        sources = SettingsSources(service_type_of(name).settings_type, file=None, environment={})
        yield service["name"], sources.resolve(json.dumps(service["config"])), service


@pytest.mark.parametrize("generation", ["3.0", "3.6", "3.7", "3.8", "3.9"])
def test_services_understand_the_settings_they_get(generation):
    files = dict(render(read_fleet(EXAMPLE), generation))
    told = {name: (settings, service) for name, settings, service in settings_from_controller(files, "pi-02")}
    climate, service = told["climate"]
    assert (climate.interval, climate.source, climate.bus.path) == (60, "south", "/dev/i2c-1")
    assert service["agent"]["name"] == "pi-02"
    assert told["door"][0].inputs[0].line == "GPIO17"
    (gps,) = [settings for _, settings, _ in settings_from_controller(files, "truck-7")]
    assert gps.serial.port == ("/dev/ttyGPS" if generation == "3.0" else "/dev/gps")


def test_edgelet_alone_gets_the_same_by_variables():
    files = dict(render(read_fleet(EXAMPLE), "edgelet-1.1"))
    for document in manifests(files["nodes/pi-02.yaml"]):
        environment = {variable["key"]: variable["value"] for variable in document["spec"]["container"]["env"]}
        name = document["spec"]["image"].rsplit("/", 1)[1].split(":")[0]
        settings = SettingsSources(service_type_of(name).settings_type, file=None, environment=environment).resolve(
            None
        )
        if name == "climate_sensor":
            assert (settings.source, settings.interval, settings.bus.path) == ("south", 60, "/dev/i2c-1")
        elif name == "digital_inputs":
            assert (settings.source, settings.inputs[0].debounce) == ("south", 0.02)
        else:
            assert settings.to_mqtt[0].topic == "rooms/{source}/{quantity}"


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
    new = {name: service["container"] for name, _, service in settings_from_controller(files["3.9"], "pi-02")}
    assert new["climate"]["runAsGroup"] == "994"
    assert new["climate"]["readOnlyRootFilesystem"] is True


def test_a_service_without_a_device_gets_none_and_hears_its_application(tmp_path):
    kits = yaml.safe_load(EXAMPLE.read_text())["kits"]
    bridge = kits["cold-room"]["services"][-1]
    files = {name: dict(render(read_fleet(EXAMPLE), name)) for name in GENERATIONS}
    for generation in ("3.0", "3.6", "3.7", "3.8", "3.9"):
        told = {name: service for name, _, service in settings_from_controller(files[generation], "pi-01")}
        container = told["mqtt"]["container"]
        assert not {"devices", "cdiDevices"} & set(container)
        assert [v["containerDestination"] for v in container["volumes"]] == ["/var/lib/bridge"]
        variables = {variable["key"]: variable["value"] for variable in container.get("env", ())}
        assert ("IOFOG_RECEIVE" in variables) == (generation in ("3.7", "3.8", "3.9"))
    assert container["runAsGroup"] == "10001"
    bridge["secrets"] = {"BROKER_PASSWORD": "mqtt/password"}
    fleet = read_fleet(fleet_file(tmp_path, kits=kits))
    (template, *_) = manifests(dict(render(fleet, "3.9"))["templates.yaml"])
    variables = template["spec"]["application"]["microservices"][-1]["container"]["env"]
    assert {"key": "BROKER_PASSWORD", "valueFromSecret": "mqtt/password"} in variables
    for generation in ("3.0", "edgelet-1.0", "edgelet-1.1"):
        with pytest.raises(FleetError, match="cannot fill variables from secrets"):
            dict(render(fleet, generation))
    bridge["device"] = "/dev/ttyUSB0"
    with pytest.raises(FleetError, match="mqtt has no device; mqtt_bridge needs none"):
        read_fleet(fleet_file(tmp_path, kits=kits))


def test_the_same_fleet_gives_the_same_text_and_only_what_changed_changes(tmp_path):
    first = dict(render(read_fleet(EXAMPLE), "3.9"))
    assert first == dict(render(read_fleet(EXAMPLE), "3.9"))
    nodes = yaml.safe_load(EXAMPLE.read_text())["nodes"]
    nodes[0]["values"]["room"] = "west"
    second = dict(render(read_fleet(fleet_file(tmp_path, nodes=nodes)), "3.9"))
    assert {name for name in first if first[name] != second[name]} == {"nodes/pi-01.yaml"}


@pytest.mark.parametrize("generation", ["3.7", "3.9"])
def test_hundreds_of_nodes_are_rendered_and_checked(generation, tmp_path):
    nodes = [{"name": f"pi-{n}", "kit": "cold-room", "values": {"room": f"r{n}"}} for n in range(200)]
    file = fleet_file(tmp_path, nodes=nodes)
    assert main(["render", str(file), "--generation", generation, "--out", str(tmp_path / "out")]) == 0
    assert len(list((tmp_path / "out" / "nodes").iterdir())) == 200


def test_files_of_nodes_that_are_gone_are_removed(tmp_path, capsys):
    nodes = yaml.safe_load(EXAMPLE.read_text())["nodes"]
    out = tmp_path / "out"
    assert main(["render", str(fleet_file(tmp_path)), "--generation", "3.9", "--out", str(out)]) == 0
    assert main(["render", str(fleet_file(tmp_path, nodes=nodes[:1])), "--generation", "3.9", "--out", str(out)]) == 0
    assert [file.name for file in (out / "nodes").iterdir()] == ["pi-01.yaml"]
    assert "2 files in" in capsys.readouterr().out


def test_routes_are_rendered_where_there_are_some(tmp_path, capsys):
    kits = yaml.safe_load(EXAMPLE.read_text())["kits"]
    kits["cold-room"]["routes"] = [{"from": "climate", "to": "door"}]
    file = fleet_file(tmp_path, kits=kits)
    (template, _) = manifests(dict(render(read_fleet(file), "3.0"))["templates.yaml"])
    assert manifests(dict(render(read_fleet(file), "3.6"))["templates.yaml"])[0]["spec"]["application"]["routes"]
    routes = template["spec"]["application"]["routes"]
    assert routes == [{"name": "climate-to-door", "from": "climate", "to": "door"}]
    assert main(["render", str(file), "--generation", "3.9", "--out", str(tmp_path / "out")]) == 0
    assert "routes are left out: 3.9 does not have any" in capsys.readouterr().out


@pytest.mark.parametrize("generation", ["3.0", "3.6", "3.7", "3.8", "3.9"])
def test_metrics_are_published_where_a_port_is_given(generation, tmp_path):
    kits = yaml.safe_load(EXAMPLE.read_text())["kits"]
    kits["truck"]["services"][0]["metrics_port"] = 18080
    files = dict(render(read_fleet(fleet_file(tmp_path, kits=kits)), generation))
    ((_, settings, service),) = settings_from_controller(files, "truck-7")
    assert settings.http.host != "127.0.0.1"
    assert settings.http.port == 8080
    assert service["container"]["ports"] == [{"internal": 8080, "external": 18080, "protocol": "tcp"}]


@pytest.mark.parametrize("generation", ["3.0", "3.6", "3.7", "3.8"])
def test_a_page_is_published_where_a_port_is_given(generation, tmp_path):
    kits = yaml.safe_load(EXAMPLE.read_text())["kits"]
    kits["truck"]["services"].append(
        {"name": "page", "service": "live_dashboard", "page_port": 80, "metrics_port": 90}
    )
    files = dict(render(read_fleet(fleet_file(tmp_path, kits=kits)), generation))
    (_, (_, settings, service)) = settings_from_controller(files, "truck-7")
    assert (settings.page.host, settings.page.port, settings.http.port) == ("0.0.0.0", 8000, 8080)  # noqa: S104
    assert [(one["internal"], one["external"]) for one in service["container"]["ports"]] == [(8080, 90), (8000, 80)]


def test_pot_has_an_api_version_of_its_own(tmp_path):
    files = dict(render(read_fleet(fleet_file(tmp_path, api_version="datasance.com/v3")), "3.7"))
    written = [doc for name, text in files.items() if not name.startswith("cdi/") for doc in manifests(text)]
    assert {doc["apiVersion"] for doc in written} == {"datasance.com/v3"}


@pytest.mark.parametrize("generation", GENERATIONS)
def test_the_files_of_a_folder_can_be_deployed_in_the_order_of_its_readme(generation):
    folder = PROJECT / "deploy" / GENERATIONS[generation].folder
    text = (folder / "README.md").read_text()
    order = dict.fromkeys(re.findall(r"^[0-9]+\. `([\w/]+\.yaml)`", text, re.MULTILINE))
    files = [name.replace("SERVICE", each + bus) for name in order for each in SERVICES for bus in ("", *BUSES)]
    files = [name for name in dict.fromkeys(files) if (folder / name).exists()]
    assert set(files) == {str(file.relative_to(folder)) for file in folder.rglob("*.yaml")}
    documents = []
    for name in files:
        documents += parse((folder / name).read_text(), name)
        assert not [str(finding) for finding in check_documents(documents, GENERATIONS[generation])]
    assert f"Not enforced: {GENERATIONS[generation].not_enforced}" in text
    assert f"State: {GENERATIONS[generation].state}" in text


@pytest.mark.parametrize("service", SERVICES)
def test_services_understand_their_manifests_in_deploy(service):
    for generation, folder in ((name, each.folder) for name, each in GENERATIONS.items()):
        (manifest,) = manifests((PROJECT / "deploy" / folder / f"{service}.yaml").read_text())
        environment, config = {}, None
        if GENERATIONS[generation].is_edgelet_alone:
            environment = {one["key"]: one["value"] for one in manifest["spec"]["container"]["env"]}
        else:
            config = json.dumps(manifest["spec"]["microservices"][0]["config"])
        sources = SettingsSources(service_type_of(service).settings_type, file=None, environment=environment)
        assert sources.resolve(config)


def test_compose_gives_a_service_its_device_and_no_more():
    compose = yaml.safe_load((PROJECT / "deploy" / "compose.yaml").read_text())
    alone = {name: each for name, each in compose["services"].items() if each["profiles"] != ["site"]}
    assert sorted(alone) == SERVICES
    for name, service in alone.items():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "privileged" not in service
        environment = {key: value for key, value in service["environment"].items() if key.startswith("SETTING_")}
        assert SettingsSources(service_type_of(name).settings_type, file=None, environment=environment).resolve(None)
        folder = needs_of(name).folder
        bound = [volume for volume in service["volumes"] if volume.split(":")[0] not in compose["volumes"]]
        assert bound == ([f"{folder}:{folder}:ro"] if folder else [])


def test_the_site_of_compose_is_consistent():
    compose = yaml.safe_load((PROJECT / "deploy" / "compose.yaml").read_text())
    site = {name: each for name, each in compose["services"].items() if each["profiles"] == ["site"]}
    assert site.keys() == {"site-broker", "site-gateway", "site-page"}
    for name, service in site.items():
        assert (service["read_only"], service["cap_drop"], service["user"].split(":")[0]) == (
            True,
            ["ALL"],
            "1883" if name == "site-broker" else "10001",
        )
        assert all(volume.split(":")[0] in compose["volumes"] for volume in service.get("volumes", ()))
        assert set(service.get("depends_on", ())) <= site.keys()
    environment = site["site-gateway"]["environment"]
    gateway = service_type_of("edge_gateway")
    settings = SettingsSources(gateway.settings_type, file=None, environment=environment).resolve(None)
    gateway.check_settings(settings)
    bridges = check_entries(settings)
    assert sorted(each.name() for each, _ in bridges.values()) == sorted(SITE.values())
    given = {device.split(":")[1] for device in site["site-gateway"]["devices"]}
    paths = {getattr(getattr(each, "serial", None), "port", None) for _, each in bridges.values()}
    paths |= {getattr(getattr(each, "bus", None), "path", None) for _, each in bridges.values()}
    assert paths - {None} <= given
    assert "/dev/gpiochip0" in given
    page = site["site-page"]["environment"]
    hosts = {urlsplit(each["IOFOG_LINK"]).hostname for each in (environment, page)}
    assert hosts == {"site-broker"}
    assert page["IOFOG_RECEIVE"] == "iofog/{application}/+/readings,iofog/{application}/+/results"
    assert page["IOFOG_APPLICATION"] == environment["IOFOG_APPLICATION"]


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """An `iofogctl` that writes down what it is asked for, and refuses files named in REFUSED."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "iofogctl"
    script.write_text(
        '#!/bin/sh\necho "$@" >> "$CALLS"\ncase "$3" in *"$REFUSED"*) echo "refused: $3" >&2; exit 1;; esac\n'
    )
    script.chmod(0o755)
    calls = tmp_path / "calls"
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("CALLS", str(calls))
    monkeypatch.setenv("REFUSED", "none-of-them")
    return lambda: calls.read_text().splitlines() if calls.exists() else []


def deployed(folder, *more, generation="3.9", fleet=EXAMPLE):
    return main(["deploy", str(fleet), "--generation", generation, "--out", str(folder / "out"), *more])


def test_templates_are_deployed_first_then_every_node(tool, tmp_path, capsys):
    assert deployed(tmp_path, "--namespace", "north") == 0
    out = tmp_path / "out"
    names = ["templates", "nodes/pi-01", "nodes/pi-02", "nodes/truck-7"]
    assert tool() == [f"deploy -f {out}/{name}.yaml --namespace north" for name in names]
    assert "3 of 3 nodes deployed" in capsys.readouterr().out


def test_a_node_that_fails_does_not_keep_the_others(tool, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("REFUSED", "pi-01")
    assert deployed(tmp_path) == 1
    assert len(tool()) == 4
    out = capsys.readouterr().out
    assert "2 of 3 nodes deployed" in out
    assert "NODES='pi-01'" in out
    assert deployed(tmp_path, "--nodes", "pi-02") == 0
    assert tool()[-1].endswith("nodes/pi-02.yaml")


def test_templates_that_are_refused_stop_it(tool, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("REFUSED", "templates")
    assert deployed(tmp_path) == 1
    assert len(tool()) == 1
    assert "no node was changed" in capsys.readouterr().out


def test_a_fleet_that_is_not_right_is_not_deployed(tool, tmp_path):
    assert deployed(tmp_path, fleet=fleet_file(tmp_path, groups={})) == 1
    assert not tool()


def test_what_to_install_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", "/nowhere")
    assert deployed(tmp_path) == 1
    assert "neither iofogctl nor potctl is on the path" in capsys.readouterr().out
    assert deployed(tmp_path, generation="edgelet-1.1") == 1
    assert "edgelet deploy -f NAME.yaml" in capsys.readouterr().out


def test_an_unknown_node_is_named(tool, tmp_path, capsys):
    assert deployed(tmp_path, "--nodes", "pi-9") == 1
    assert "the fleet has no node 'pi-9'; there are pi-01, pi-02, truck-7" in capsys.readouterr().out


def test_a_ring_is_deployed_by_itself(tool, tmp_path, capsys):
    nodes = yaml.safe_load(EXAMPLE.read_text())["nodes"]
    nodes[1]["ring"] = "canary"
    file = fleet_file(tmp_path, nodes=nodes)
    assert deployed(tmp_path, "--ring", "canary", fleet=file) == 0
    assert [call.split()[2].rsplit("/", 2)[1:] for call in tool()] == [
        ["out", "templates.yaml"],
        ["nodes", "pi-02.yaml"],
    ]
    assert "1 of 1 nodes deployed" in capsys.readouterr().out
    rings = {name: manifests((tmp_path / "out/rings" / f"{name}.yaml").read_text()) for name in ("canary", "main")}
    names = {ring: [document["metadata"]["name"] for document in documents] for ring, documents in rings.items()}
    assert names == {"canary": ["cold-room-pi-02"], "main": ["cold-room-pi-01", "truck-truck-7"]}
    assert deployed(tmp_path, "--ring", "canry", fleet=file) == 1
    assert "the fleet has no ring 'canry'; there are main, canary" in capsys.readouterr().out
    assert deployed(tmp_path, fleet=EXAMPLE) == 0
    assert not list((tmp_path / "out").glob("rings/*")), "no rings, no files of rings"


GATEWAY = {
    "name": "gateway",
    "service": "edge_gateway",
    "devices": ["$receiver", "/dev/i2c-1"],
    "config": {
        "bridges": {
            "Gps-1": {"service": "gps_receiver", "settings": {"serial": {"port": "$receiver"}, "source": "12"}},
            "climate": {"service": "climate_sensor", "settings": {"bus": {"path": "/dev/i2c-1"}}},
        }
    },
}


def gateway_fleet(tmp_path, service=GATEWAY, **values):
    kits = {"site": {"services": [service]}}
    nodes = [{"name": "pi-01", "kit": "site", "values": {"receiver": "/dev/ttyUSB0"} | values}]
    return read_fleet(fleet_file(tmp_path, kits=kits, nodes=nodes))


@pytest.mark.parametrize("generation", ["3.0", "3.6", "3.7", "3.8", "3.9", "edgelet-1.0", "edgelet-1.1"])
def test_one_container_has_several_devices(tmp_path, generation):
    files = dict(render(gateway_fleet(tmp_path), generation))
    if generation.startswith("edgelet"):
        (document,) = manifests(files["nodes/pi-01.yaml"])
        container = document["spec"]["container"]
        environment = {variable["key"]: variable["value"] for variable in container["env"]}
        sources = SettingsSources(service_type_of("edge_gateway").settings_type, file=None, environment=environment)
        settings = sources.resolve(None)
    else:
        ((_, settings, service),) = settings_from_controller(files, "pi-01")
        container = service["container"]
    assert settings.bridges["Gps-1"]["settings"] == {"serial": {"port": "/dev/ttyUSB0"}, "source": "12"}
    if generation == "3.0":
        assert container["rootHostAccess"] is True
    elif "devices" in container:
        assert [each["containerPath"] for each in container["devices"]] == ["/dev/ttyUSB0", "/dev/i2c-1"]
        assert container["runAsGroup"] == container["runAsUser"] == "10001"
    else:
        assert container["cdiDevices"] == ["iofog.local/serial=gateway-1", "iofog.local/i2c=gateway-2"]
        cdi = [manifests(files[f"cdi/pi-01/iofog-{bus}.yaml"])[0]["devices"][0] for bus in ("serial", "i2c")]
        paths = [each["containerEdits"]["deviceNodes"][0]["path"] for each in cdi]
        assert paths == ["/dev/ttyUSB0", "/dev/i2c-1"]


def test_what_is_wrong_with_a_gateway_is_said_before_it_is_deployed(tmp_path):
    bridges = GATEWAY["config"]["bridges"]
    twice = {"service": "gps_receiver", "settings": {"serial": {"port": "$receiver"}}}
    meter = GATEWAY | {"config": {"bridges": bridges | {"meter": twice}}}
    with pytest.raises(FleetError, match=r"bridges\.meter\.settings\.serial\.port.*is opened by bridge Gps-1"):
        gateway_fleet(tmp_path, meter)
    wrong = GATEWAY | {
        "config": {"bridges": bridges | {"climate": {"service": "climate_sensor", "settings": {"a": 1}}}}
    }
    with pytest.raises(FleetError, match=r"bridges\.climate\.settings\.a"):
        gateway_fleet(tmp_path, wrong)
    with pytest.raises(FleetError, match="is not below /dev"):
        gateway_fleet(tmp_path, receiver="ttyUSB0")
    with pytest.raises(FleetError, match="takes no list of devices"):
        gateway_fleet(tmp_path, GATEWAY | {"service": "gps_receiver", "config": {}, "devices": ["$receiver"]})
