"""Fleet files: what is written wrong is named with its line, before any manifest is made."""

import pytest

from deployment.__main__ import main
from deployment.fleets.model import FleetError
from deployment.fleets.reading import read_fleet
from deployment.fleets.rendering import render

from .test_deployment_render import EXAMPLE, fleet_file, manifests

GPS = {"name": "a", "service": "gps_receiver", "device": "/dev/x"}
NODE = {"name": "pi-01", "kit": "cold-room", "values": {"room": "north"}}


SERVICE = {"name": "gps", "service": "gps_receiver", "device": "/dev/ttyUSB0"}
PAGE = {"name": "page", "service": "live_dashboard", "page_port": 80}
CLIMATE = {"name": "climate", "service": "climate_sensor", "device": "/dev/i2c-1"}


def kit(*services, nodes=({"name": "n1", "kit": "k"},), **more):
    return {"kits": {"k": {"services": list(services)} | more}, "nodes": list(nodes)}


def configured(**config):
    return kit(SERVICE | {"config": config})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"nodes": []}, "nodes"),
        ({"nodes": [NODE, NODE]}, "node 'pi-01' is used twice"),
        ({"nodes": [NODE | {"name": "Pi_01"}]}, "name"),
        ({"nodes": [NODE | {"kit": "warm-room"}]}, "there is no kit 'warm-room'"),
        ({"nodes": [NODE | {"values": {}}]}, r"a value for \$room is missing"),
        ({"nodes": [NODE | {"values": {"room": "x", "rom": 1}}]}, "value 'rom' is not used"),
        ({"nodes": [NODE | {"values": {"room": 'the "cold" one'}}]}, "a double quote in config"),
        ({"nodes": [NODE | {"values": {"room": "{{ x }}"}}]}, "the Controller renders"),
        ({"groups": {"serial": 20}}, r"group of \w+ devices is missing"),
        ({"tagg": "1"}, "tagg"),
        ({"api_version": "iofog.org/v2"}, "api_version"),
        (
            {"kits": {"k": {"services": [GPS], "routes": [{"from": "a", "to": "b"}]}}},
            "a route names 'b'; there are a",
        ),
        ({"tag": "1 0"}, "tag"),
        (
            {"kits": {"k": {"services": [{"name": "a", "service": "json", "device": "/dev/x"}]}}},
            "none of this project's",
        ),
        (
            {"kits": {"k": {"services": [{"name": "a", "service": "gps_receiver", "device": "/dev/x"}] * 2}}},
            "is used twice",
        ),
        (
            kit(SERVICE | {"metrics_port": 18080}, CLIMATE | {"metrics_port": 18080}),
            "metrics_port '18080' is used twice",
        ),
        (kit(SERVICE | {"page_port": 8000}), "gps_receiver has no page"),
        (kit(PAGE, SERVICE | {"metrics_port": 80}), "page_port '80' is used twice"),
        (kit(SERVICE, SERVICE | {"name": "gps2"}), "is another service's already"),
        (kit(SERVICE | {"device": "/dev/../etc"}), "is not below /dev"),
        (
            kit(SERVICE, nodes=[{"name": "n1", "kit": "k", "values": {"agent": "n2"}}]),
            "value 'agent' is the manifests'",
        ),
        (kit(SERVICE, defaults={"gid-serial": 5}), "value 'gid-serial' is the manifests'"),
        (kit(SERVICE, defaults={"speed": 5}), "value 'speed' is not used by kit k"),
        (configured(intervall=5), "gps: setting intervall = 5"),
        (configured(stale_after="high"), "setting stale_after = 'high'"),
        (configured(serial="fast"), "config.serial = 'fast' is no mapping"),
        (configured(source="truck-$node"), r"\$node is replaced as a whole value only"),
        (configured(source="$Node"), r"\$node is replaced as a whole value only, in lower case"),
        (
            {
                "kits": {"a": {"services": [SERVICE]}, "a-b": {"services": [CLIMATE]}},
                "nodes": [{"name": "b-c", "kit": "a"}, {"name": "c", "kit": "a-b"}],
            },
            "application 'a-b-c' is used twice",
        ),
        (kit(SERVICE, nodes=[{"name": "n" * 63, "kit": "k"}]), "name"),
        ({"registry": "https://r.io/x"}, "registry"),
        ({"groups": {"spi": 4}}, "groups: Invalid enum value 'spi'"),
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


def test_the_line_is_named(tmp_path):
    file = tmp_path / "fleet.yaml"
    for old, new, line in (("kit: truck,", "kit: trucks,", 37), ("interval: 30", "intervall: 30", 9)):
        text = EXAMPLE.read_text()
        assert old in text
        file.write_text(text.replace(old, new))
        with pytest.raises(FleetError, match=rf"fleet.yaml:{line}: "):
            read_fleet(file)


def test_a_file_that_is_no_fleet_is_told(tmp_path):
    file = tmp_path / "fleet.yaml"
    for text, words in (
        ("", "nothing stands in it"),
        ("a: 1\n---\nb: 2", "2 documents"),
        ("kits: 1\nkits: 2", "fleet.yaml:2: 'kits' is used twice"),
    ):
        file.write_text(text)
        with pytest.raises(FleetError, match=words):
            read_fleet(file)


def test_node_is_the_name_of_each_node(tmp_path):
    fleet = read_fleet(fleet_file(tmp_path, **configured(source="$node")))
    (template,) = manifests(dict(render(fleet, "3.8"))["templates.yaml"])
    assert template["spec"]["application"]["microservices"][0]["config"]["source"] == "{{ agent }}"
    (edgelet,) = manifests(dict(render(fleet, "edgelet"))["nodes/n1.yaml"])
    assert {"key": "SETTING_SOURCE", "value": "n1"} in edgelet["spec"]["container"]["env"]


def test_a_private_registry_has_a_number(tmp_path):
    fleet = read_fleet(fleet_file(tmp_path, registry_id=7))
    (template, _) = manifests(dict(render(fleet, "3.8"))["templates.yaml"])
    assert template["spec"]["application"]["microservices"][0]["images"]["registry"] == 7
    assert manifests(dict(render(fleet, "edgelet"))["nodes/truck-7.yaml"])[0]["spec"]["registry"] == 7


def test_a_link_cannot_be_a_device_by_cdi(tmp_path, capsys):
    link = kit(SERVICE | {"device": "/dev/serial/by-id/usb-x"})
    file, out = fleet_file(tmp_path, **link), tmp_path / "out"
    assert main(["render", str(file), "--generation", "3.8", "--out", str(out)]) == 0
    assert main(["render", str(file), "--generation", "3.7", "--out", str(out)]) == 1
    assert "is a link, which CDI refuses" in capsys.readouterr().out


def test_a_tool_of_another_make_is_named(tmp_path):
    fleet = read_fleet(fleet_file(tmp_path, api_version="iofog.org/v3"))
    with pytest.raises(FleetError, match=r"api_version iofog.org/v3: 3.6 takes datasance.com/v3"):
        dict(render(fleet, "3.6"))
