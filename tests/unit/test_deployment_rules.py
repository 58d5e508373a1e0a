"""Rules that look at more than one place: what is rendered, what clashes, types, devices, CDI files, templates."""

import pytest
import yaml

from .test_deployment_check import APPLICATION, CONTAINER, SERVICE, TEMPLATE, changed, findings, for_3_9

APP = "apiVersion: iofog.org/v3\nkind: Application\n"
MICROSERVICE = """\
apiVersion: iofog.org/v3
kind: Microservice
metadata: {name: bench/meter}
spec:
  agent: {name: pi-01}
  images: {x86: r/m:1, arm: r/m:1}
  container: {}
"""
EDGELET = """\
apiVersion: edgelet.iofog.org/v1
kind: Microservice
metadata: {name: NAME}
spec: {image: r/b:1, registry: 1, container: {ports: [{internal: 8080, external: 18080}]}}
"""
CDI = """\
cdiVersion: "0.6.0"
kind: iofog.local/serial
devices:
  - name: gps
    containerEdits:
      deviceNodes: [{path: /dev/gps, hostPath: /dev/ttyUSB0, permissions: rw}]
"""


def all_of(text, generation):
    return [str(finding) for finding in findings(text, generation)]


def must(text, generation):
    return [str(finding) for finding in findings(text, generation) if finding.is_error]


PORTS = [{"internal": 1, "external": 18081}, {"internal": 2, "external": 18081}]
VOLUME = {"hostDestination": "/a", "containerDestination": "/a", "accessMode": "rw"}
DEVICE = {"hostPath": "/dev/i2c-1", "containerPath": "/dev/i2c-1"}
WRONG = [
    ("3.0", (*CONTAINER, "ports", PORTS), "port 18081 of node pi-01 is taken by bench/bridge"),
    ("3.0", (*CONTAINER, "ports", [{"internal": 0, "external": 99_999}]), "ports.external = 99999"),
    ("3.0", (*CONTAINER, "ports", [{"internal": 1, "external": 2, "protocol": "icmp"}]), "ports.protocol = 'icmp'"),
    ("3.0", (*CONTAINER, "volumes", [VOLUME | {"accessMode": "readonly"}]), "accessMode = 'readonly'"),
    (
        "3.0",
        (*CONTAINER, "volumes", [VOLUME | {"accessMode": "ro"}]),
        "warning: the node software of 3.0 does not enforce ro",
    ),
    ("3.0", (*CONTAINER, "env", [{"key": "A", "value": 1}]), "warning: value 1 of a variable becomes text"),
    ("3.0", (*CONTAINER, "env", [{"key": "A", "value": None}]), "a variable has no value"),
    ("3.0", (*CONTAINER, "env", [{"key": "A", "value": [1]}]), "value [1] of a variable is not text"),
    ("3.0", (*CONTAINER, "env", [{"key": "A", "value": "1"}] * 2), "variable 'A' is used twice"),
    ("3.0", (*CONTAINER, "env", [{"key": "A", "valueFromSecret": "a/b"}]), "env of 3.0 has no 'valueFromSecret'"),
    ("3.7", (*CONTAINER, "env", [{"key": "A", "valueFromSecret": "ab"}]), "'ab' is not name/key"),
    ("3.9", (*CONTAINER, "env", [{"key": "EDGELET_ROLE", "value": "x"}]), "Edgelet sets these itself"),
    ("3.0", (*CONTAINER, "env", [{"key": "A", "value": "{{ x }}"}]), "variable 'x' is not declared"),
    ("3.0", (*CONTAINER, "commands", ["{{ x"]), "cannot be rendered"),
    ("3.0", (*CONTAINER, "commands", ["{{ 'a' | upcase }}"]), "warning: \"{{ 'a' | upcase }}\" is rendered"),
    ("3.0", (*CONTAINER, "commands", ["--port=/dev/ttyUSB0"]), "warning: /dev/ttyUSB0 has no way into the container"),
    ("3.7", (*CONTAINER, "capAdd", ["NOT_A_CAP"]), "'NOT_A_CAP' is not a capability"),
    ("3.7", (*CONTAINER, "capDrop", [5]), "capDrop holds 5, which is not text"),
    ("3.7", (*CONTAINER, "memoryLimit", -5), "memoryLimit = -5"),
    ("3.7", (*CONTAINER, "cdiDevices", ["gps"]), "cdiDevices holds 'gps'"),
    ("3.7", (*CONTAINER, "cdiDevices", ["a.b/c=d"]), "warning: cdiDevices, and no group"),
    ("3.7", (*CONTAINER, "healthCheck", {"test": []}), "healthCheck.test is empty"),
    (
        "3.9",
        (*CONTAINER, "devices", [DEVICE | {"hostPath": "/etc/passwd"}]),
        "hostPath '/etc/passwd' is not below /dev",
    ),
    ("3.9", (*CONTAINER, "devices", [DEVICE | {"permissions": "rx"}]), "permissions 'rx'"),
    ("3.0", (*SERVICE, "config", {'a"b': 1}), "a double quote in config"),
    ("3.0", (*SERVICE, "config", {"{{ a }}": 1}), "variable 'a' is not declared"),
    ("3.0", (*SERVICE, "config", {"{{ 'a' | upcase }}": 1}), "warning: \"{{ 'a' | upcase }}\" is rendered"),
    ("3.0", (*CONTAINER, "{{ a }}", 1), "'{{ a }}': keys are not rendered"),
    ("3.0", (*SERVICE, "config", [1]), "config = [1], which is not a mapping"),
    ("3.0", (*SERVICE, "images", "registry", "docker.io"), "images.registry 'docker.io'"),
    ("3.0", (*SERVICE, "images", "registry", 99), "warning: registry 99"),
    ("3.0", (*SERVICE, "images", "x86", 5), "image 5 is not a reference"),
    ("3.0", (*SERVICE, "images", {"catalogId": "x"}), "catalogId = 'x', which is not an integer"),
    ("3.9", (*SERVICE, "images", {"amd64": "r/b:1", "arm64": "r/b:1"}), "warning: no image for arm"),
    ("3.0", (*SERVICE, "agent", {"name": "Pi 01"}), "agent 'Pi 01' is not a name"),
    ("3.0", (*SERVICE, "agent", {"name": "pi-01", "nme": 1}), "an agent of 3.0 has no 'nme'"),
    ("3.0", (*SERVICE, "agent", {"name": "pi-01", "config": {}}), "warning: agent.config is ignored"),
    ("3.7", (*SERVICE, "schedule", 900), "schedule = 900"),
    ("3.7", (*SERVICE, "natsConfig", {"natsAcces": True}), "natsConfig of 3.7 has no 'natsAcces'"),
    ("3.7", ("spec", "natsConfig", [1]), "natsConfig = [1], which is not a mapping"),
    ("3.0", ("spec", "isActivated", "false"), "isActivated = 'false': the Controller stores true"),
    ("3.0", ("spec", "description", 5), "description = 5, which is not text"),
    ("3.0", ("spec", "routes", {"name": "r"}), "routes = {'name': 'r'}, which is not a list"),
    ("3.0", ("spec", "routes", [{"name": "r", "from": "bridge"}]), "a route without to"),
    ("3.0", ("spec", "routes", [{"name": name, "from": "bridge", "to": "sink"} for name in "ab"]), "a second route"),
    ("3.0", ("spec", "routes", [{"name": "r", "from": "bridge", "to": "sink"}] * 2), "'r' of a route is used twice"),
    (
        "3.0",
        ("spec", "routes", [{"name": "r", "from": "bridge", "to": "sink", "via": 1}]),
        "a route of 3.0 has no 'via'",
    ),
]


@pytest.mark.parametrize(("generation", "change", "words"), WRONG, ids=[words for _, _, words in WRONG])
def test_each_rule_is_found(generation, change, words):
    found = all_of(changed(for_3_9(APPLICATION) if generation == "3.9" else APPLICATION, change), generation)
    assert any(words in one for one in found), found


RIGHT = [
    ("3.0", ("spec", "routes", [{"from": "bridge", "to": "sink"}, {"from": "sink", "to": "bridge"}])),
    ("3.0", (*SERVICE, "config", {"topic": "plant/dev/line1/x", "url": "http://x/dev/abc"})),
    ("3.7", (*CONTAINER, "capDrop", ["ALL", "CAP_NET_RAW", "net_admin"])),
    ("3.7", (*CONTAINER, "env", [{"key": "A", "valueFromSecret": "mqtt/password"}])),
    ("3.9", (*SERVICE, "images", {"catalogId": 18})),
]


@pytest.mark.parametrize(("generation", "change"), RIGHT)
def test_what_is_right_passes(generation, change):
    assert not all_of(changed(for_3_9(APPLICATION) if generation == "3.9" else APPLICATION, change), generation)


@pytest.mark.parametrize(
    ("generation", "change"), [("3.0", ("spec", "")), ("3.9", (*SERVICE, "images", "registry.example.com/b:1"))]
)
def test_what_is_no_mapping_is_told_once(generation, change):
    (found,) = all_of(changed(for_3_9(APPLICATION) if generation == "3.9" else APPLICATION, change), generation)
    assert "is not a mapping" in found


def test_a_microservice_of_3_8_may_come_from_a_template_of_its_own():
    text = changed(for_3_9(APPLICATION), (*SERVICE, "images", None), (*SERVICE, "template", {"name": "bridge"}))
    assert not must(text, "3.9")


def with_ports(text, *, external=18080):
    return changed(text, ("spec", "container", {"ports": [{"internal": 1, "external": external}]}))


@pytest.mark.parametrize(
    ("text", "generation", "words"),
    [
        (f"{APPLICATION}---\n{APPLICATION}", "3.0", "Application 'bench' is in app.yaml:1 already"),
        (f"{APPLICATION}---\n{with_ports(MICROSERVICE)}", "3.0", "port 18080 of node pi-01 is taken by bench/bridge"),
        (
            f"{APPLICATION}---\n{MICROSERVICE.replace('meter', 'sink')}",
            "3.0",
            "microservice 'bench/sink' is in app.yaml:15 already",
        ),
        (
            f"{APPLICATION}---\n{APPLICATION.replace('bench', 'other')}",
            "3.0",
            "port 18080 of node pi-01 is taken by bench/bridge",
        ),
        (
            f"{EDGELET.replace('NAME', 'a')}---\n{EDGELET.replace('NAME', 'b')}",
            "edgelet-1.1",
            "port 18080 of node app.yaml is taken by a",
        ),
        (
            f"{EDGELET.replace('NAME', 'a')}---\n{EDGELET.replace('NAME', 'a')}",
            "edgelet-1.1",
            "microservice 'a' is in",
        ),
        (
            f"{APPLICATION}---\napiVersion: iofog.org/v3\nkind: Route\nmetadata: {{name: bench/r}}\n"
            "spec: {from: bridge, to: nobody}\n",
            "3.0",
            "warning: a route to 'nobody'",
        ),
    ],
)
def test_what_clashes_with_another_document_is_found(text, generation, words):
    found = all_of(text, generation)
    assert any(words in one for one in found), found


PORT_TEMPLATE = TEMPLATE.replace(
    "container:\n", "container:\n          ports: [{internal: 1, external: '{{ port }}'}]\n"
)
PORT_TEMPLATE = PORT_TEMPLATE.replace("- {key: agent}\n", "- {key: agent}\n    - {key: port}\n")


def used(*applications):
    made = [
        {
            "apiVersion": "iofog.org/v3",
            "kind": "Application",
            "metadata": {"name": name},
            "spec": {"template": {"name": "kit", "variables": [{"key": k, "value": v} for k, v in values.items()]}},
        }
        for name, values in applications
    ]
    return PORT_TEMPLATE.split("---")[0] + "---\n" + yaml.safe_dump_all(made, sort_keys=False)


@pytest.mark.parametrize(
    ("applications", "words"),
    [
        ([("a", {"agent": "pi-01", "port": 1})], ""),
        ([("a", {"agent": "pi-01", "port": 1}), ("b", {"agent": "pi-02", "port": 1})], ""),
        (
            [("a", {"agent": "pi-01", "port": 1}), ("b", {"agent": "pi-01", "port": 1})],
            "port 1 of node pi-01 is taken",
        ),
        ([("a", {"agent": "pi-01", "port": "high"})], "with these variables: ports.external = 'high'"),
        (
            [("a", {"agent": "pi-01", "port": 54321})],
            "with these variables: port 54321 is reserved for the node itself",
        ),
        ([("a", {"agent": "pi-01", "port": 1, "baud": 'x"y'})], "with these variables: a double quote in config"),
        ([("a", {"agent": "{{ x }}", "port": 1})], "with these variables: variable 'x' is not declared"),
    ],
)
def test_templates_are_judged_with_what_each_application_gives(applications, words):
    found = all_of(used(*applications), "3.0")
    assert any(words in one for one in found) if words else not found, found


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("{{ agent }}", ""),
        ("site-{{ agent }}", ""),
        ("{% assign a = agent | findAgent %}{{ a.host }}", ""),
        ("{{ agent | toSting }}", "there is no filter 'toSting'"),
        ("{{ agent | map: 'host' }}", "filter map gives a list"),
        ("{{ agent", "cannot be rendered"),
    ],
)
def test_what_a_template_may_say(config, words):
    assert 'baud: "{{ baud }}"' in TEMPLATE
    found = all_of(TEMPLATE.replace('baud: "{{ baud }}"', f'baud: "{config}"'), "3.0")
    assert any(words in one for one in found) if words else not found, found


def test_edge_resources_are_not_read_where_there_are_none():
    text = TEMPLATE.replace('{{ baud }}"}', '{{ agent | findEdgeResource }}"}')
    assert "status 500" in "".join(all_of(text, "3.7"))
    assert "3.9 has no edge resources" in "".join(all_of(text, "3.9"))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("", "", ""),
        ("/dev/ttyUSB0", "/dev/serial/by-id/x", "is a link, which CDI refuses"),
        ("/dev/ttyUSB0", "/etc/passwd", "is not below /dev"),
        ("permissions: rw", "permissions: rx", "permissions 'rx'"),
        ('"0.6.0"', "0.6", "cdiVersion 0.6 is not a version"),
        ("iofog.local/serial", "serial", "kind 'serial' is not vendor/class"),
        ("name: gps", "title: gps", "a device without name"),
        ("deviceNodes", "additionalGids: [20]\n      deviceNodes", "additionalGids exists from cdiVersion 0.7.0"),
    ],
)
def test_cdi_files(old, new, words):
    assert old in CDI
    found = all_of(CDI.replace(old, new), "3.7")
    assert any(words in one for one in found) if words else not found, found
    assert "has no cdiDevices" in all_of(CDI, "3.0")[0]
