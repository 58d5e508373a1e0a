"""Fleet files: what is written wrong is named with its line, before any manifest is made."""

import re

import pytest

from deployment.__main__ import main
from deployment.fleets import FleetError, read_fleet, render
from deployment.generations import GENERATIONS

from .test_deployment_render import EXAMPLE, SERVICES, fleet_file, manifests

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
            "there is no microservice 'b'; there are a",
        ),
        ({"tag": "1 0"}, "tag"),
        (
            {"kits": {"k": {"services": [{"name": "a", "service": "json", "device": "/dev/x"}]}}},
            "there is no service 'json'; there are climate_sensor",
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
            "value 'agent' is reserved for manifests",
        ),
        (kit(SERVICE, defaults={"gid-serial": 5}), "value 'gid-serial' is reserved for manifests"),
        (kit(SERVICE, defaults={"speed": 5}), "value 'speed' is not used by kit k"),
        (configured(intervall=5), "gps: setting intervall = 5"),
        (configured(stale_after="high"), "setting stale_after = 'high'"),
        (configured(serial="fast"), "config.serial = 'fast' is not a mapping"),
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
        ({"groups": {"spi": 4}}, "there is no bus 'spi'"),
    ],
)
def test_a_fleet_that_cannot_be_is_refused_with_the_reason(changes, words, tmp_path, capsys):
    file = fleet_file(tmp_path, **changes)
    with pytest.raises(FleetError, match=words):
        read_fleet(file)
    assert main(["render", str(file), "--generation", "3.9", "--out", str(tmp_path / "out")]) == 1


def test_a_device_has_to_be_one(tmp_path):
    nodes = [{"name": "t", "kit": "truck", "values": {"plate": "x", "receiver": "COM3"}}]
    with pytest.raises(FleetError, match="is not below /dev"):
        read_fleet(fleet_file(tmp_path, nodes=nodes))


def test_the_line_is_named(tmp_path):
    file = tmp_path / "fleet.yaml"
    for old, new, line in (("kit: truck,", "kit: trucks,", 39), ("interval: 30", "intervall: 30", 11)):
        text = EXAMPLE.read_text()
        assert old in text
        file.write_text(text.replace(old, new))
        with pytest.raises(FleetError, match=rf"fleet.yaml:{line}: "):
            read_fleet(file)


def test_a_file_that_is_no_fleet_is_reported(tmp_path):
    file = tmp_path / "fleet.yaml"
    for text, words in (
        ("", "it is empty"),
        ("a: 1\n---\nb: 2", "2 documents"),
        ("kits: 1\nkits: 2", "fleet.yaml:2: 'kits' is used twice"),
    ):
        file.write_text(text)
        with pytest.raises(FleetError, match=words):
            read_fleet(file)


def test_node_is_the_name_of_each_node(tmp_path):
    fleet = read_fleet(fleet_file(tmp_path, **configured(source="$node")))
    (template,) = manifests(dict(render(fleet, "3.9"))["templates.yaml"])
    assert template["spec"]["application"]["microservices"][0]["config"]["source"] == "{{ agent }}"
    (edgelet,) = manifests(dict(render(fleet, "edgelet-1.1"))["nodes/n1.yaml"])
    assert {"key": "SETTING_SOURCE", "value": "n1"} in edgelet["spec"]["container"]["env"]


def test_a_private_registry_has_a_number(tmp_path):
    fleet = read_fleet(fleet_file(tmp_path, registry_id=7))
    (template, _) = manifests(dict(render(fleet, "3.9"))["templates.yaml"])
    assert template["spec"]["application"]["microservices"][0]["images"]["registry"] == 7
    assert manifests(dict(render(fleet, "edgelet-1.1"))["nodes/truck-7.yaml"])[0]["spec"]["registry"] == 7


def test_a_link_cannot_be_a_device_by_cdi(tmp_path, capsys):
    link = kit(SERVICE | {"device": "/dev/serial/by-id/usb-x"})
    file, out = fleet_file(tmp_path, **link), tmp_path / "out"
    assert main(["render", str(file), "--generation", "3.9", "--out", str(out)]) == 0
    assert main(["render", str(file), "--generation", "3.7", "--out", str(out)]) == 1
    assert "is a link, which CDI refuses" in capsys.readouterr().out


def test_a_tool_of_another_make_is_named(tmp_path):
    fleet = read_fleet(fleet_file(tmp_path, api_version="iofog.org/v3"))
    with pytest.raises(FleetError, match=r"api_version iofog.org/v3: 3.6 takes datasance.com/v3"):
        dict(render(fleet, "3.6"))


MISTAKES = """\
generation: 3.9
registry: registry.example.com/iofog
tag: "1.0"
groups: {serial: 20, gpio: 997}
kits:
  truck:
    defaults: {rate: 9600}
    services:
      - name: gps
        service: gps_receiver
        device: $receiver
        config:
          source: $plate
          intervall: 5
          serial: {baud: $rate}
      - {name: door, service: digital_input, device: /dev/ttyUSB1}
      - {name: relay, service: digital_outputs, device: /dev/ttyUSB2, config: {outputs: [{name: r, line: GPIO1}]}}
nodes:
  - {name: a, kit: truk}
  - {name: b, kit: truck, values: {plate: x, reciever: /dev/ttyUSB0}}
  - {name: c, kit: truck, values: {plate: x, receiver: COM3}}
  - {name: d, kit: truck, values: {plate: x, receiver: /dev/i2c-1, rate: fast}}
"""


def mistakes(folder, text):
    file = folder / "fleet.yaml"
    file.write_text(text)
    with pytest.raises(FleetError) as raised:
        read_fleet(file)
    return [line.removeprefix(f"{file}:") for line in raised.value.problems]


def test_every_mistake_is_at_its_own_line_all_at_once_with_a_suggestion(tmp_path):
    found = mistakes(tmp_path, MISTAKES)
    assert [line.split(":")[0] for line in found] == ["16", "19", "20", "20"]
    assert "there is no service 'digital_input'" in found[0]
    assert found[0].endswith("Did you mean digital_inputs?")
    assert found[1].endswith("there is no kit 'truk'; there are truck. Did you mean truck?")
    assert "a value for $receiver is missing" in found[2]
    assert "value 'reciever' is not used by kit truck. Did you mean receiver?" in found[3]
    text = MISTAKES.replace("digital_input,", "digital_inputs,").replace("truk}", "truck, values: {plate: x}}")
    found = mistakes(tmp_path, text.replace("reciever", "receiver"))
    by_line = {line.split(":")[0]: line for line in found if "setting inputs" not in line}
    assert "gps: setting intervall = 5" in by_line["14"], "of the kit, once for all nodes"
    assert "device /dev/ttyUSB1 of door is not a gpio device, which digital_inputs needs" in by_line["16"]
    assert "device /dev/ttyUSB2 of relay is not a gpio device, which digital_outputs needs" in by_line["17"]
    assert "device 'COM3' of gps is not below /dev" in by_line["21"], "the node's own value"
    assert sorted(line.partition(": ")[2][:20] for line in found if line.startswith("22:")) == [
        "device /dev/i2c-1 of",
        "gps: setting serial.",
    ]
    assert len(found) == len(set(found))


def test_mistakes_of_form_are_reported_all_at_once(tmp_path):
    wrong = MISTAKES.replace("tag:", "tagg:").replace("{name: c,", "{nmae: C,").replace("name: gps", "name: GPS_1")
    found = mistakes(tmp_path, wrong.replace("serial: 20", "spi: twenty"))
    assert any("tagg" in line and "Did you mean tag?" in line for line in found)
    assert any(line.startswith("4: there is no bus 'spi'. Write serial, i2c or gpio") for line in found)
    assert any(line.startswith("4: groups.spi = 'twenty', which is not an integer") for line in found)
    assert any(line.startswith("9: ") and "'GPS_1'" in line for line in found)
    assert any(line.startswith("21: ") and "'nmae'. Did you mean name?" in line for line in found)


def test_the_generation_may_be_in_the_file_or_has_to_be_given(tmp_path, capsys):
    file, out = fleet_file(tmp_path), tmp_path / "out"
    assert main(["render", str(file), "--out", str(out)]) == 0
    assert "runAsGroup" in (out / "templates.yaml").read_text(), "as in the file: 3.9"
    assert main(["render", str(file), "--generation", "3.8", "--out", str(out)]) == 0
    assert "runAsGroup" not in (out / "templates.yaml").read_text()
    assert main(["render", str(fleet_file(tmp_path, generation="")), "--out", str(out)]) == 1
    assert 'Write, for example, generation: "3.9" into the file' in capsys.readouterr().out
    with pytest.raises(FleetError, match=r"there is no generation '3\.10'"):
        read_fleet(fleet_file(tmp_path, generation="3.10"))


def test_edgelet_alone_needs_a_link(tmp_path, capsys):
    file = fleet_file(tmp_path, link="")
    assert main(["render", str(file), "--generation", "edgelet-1.1", "--out", str(tmp_path / "out")]) == 1
    assert "Write link: mqtt://broker.example.com" in capsys.readouterr().out


def test_state_survives_where_volumes_are_shared(tmp_path):
    for generation in ("3.9", "edgelet-1.1"):
        files = dict(render(read_fleet(fleet_file(tmp_path)), generation))
        text = files["templates.yaml" if generation == "3.9" else "nodes/truck-7.yaml"]
        assert "hostDestination: truck-gps-state" in text
        assert "scope: shared" in text
    assert "scope" not in dict(render(read_fleet(fleet_file(tmp_path)), "3.8"))["templates.yaml"]


def test_what_rendering_again_would_change_is_shown(tmp_path, capsys):
    out = ["--out", str(tmp_path / "out")]
    assert main(["render", str(fleet_file(tmp_path)), *out]) == 0
    assert main(["diff", str(fleet_file(tmp_path)), *out]) == 0
    assert "nothing would change" in capsys.readouterr().out
    nodes = [{"name": "pi-01", "kit": "cold-room", "values": {"room": "west"}}]
    before = {file: file.read_text() for file in (tmp_path / "out").rglob("*.yaml")}
    assert main(["diff", str(fleet_file(tmp_path, nodes=nodes)), *out]) == 0
    shown = capsys.readouterr().out
    assert "--- before/nodes/pi-01.yaml\n+++ now/nodes/pi-01.yaml" in shown
    assert re.search(r"^- +value: north\n\+ +value: west$", shown, re.MULTILINE)
    assert "-  name: cold-room-pi-02" in shown, "a node that is gone"
    assert "4 files of" in shown
    assert before == {file: file.read_text() for file in (tmp_path / "out").rglob("*.yaml")}


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_new_fleet_can_be_rendered_as_it_is(generation, tmp_path, capsys):
    file = tmp_path / "fleet.yaml"
    assert main(["new-fleet", str(file), *SERVICES, "--generation", generation]) == 0
    assert main(["render", str(file), "--out", str(tmp_path / "out")]) == 0
    assert ", 0 to fix" in capsys.readouterr().out
    assert main(["new-fleet", str(file), "gps_receiver"]) == 1, "it is not overwritten"
    assert main(["new-fleet", str(tmp_path / "x"), "gps_reciever"]) == 1
    assert "Did you mean gps_receiver?" in capsys.readouterr().out
