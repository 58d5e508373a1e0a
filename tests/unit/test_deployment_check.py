"""Manifests: each rule is broken once, and the finding says where and what to write instead."""

from pathlib import Path

import pytest
import yaml

from deployment.__main__ import main
from deployment.documents import ManifestError, load, parse
from deployment.generations import GENERATIONS
from deployment.manifests import check_documents

APPLICATION = """\
apiVersion: iofog.org/v3
kind: Application
metadata: {name: bench}
spec:
  microservices:
    - name: bridge
      agent: {name: pi-01}
      images: {x86: r/b:1, arm: r/b:1}
      container:
        ports:
          - {internal: 8080, external: 18080}
        env:
          - {key: SETTING_INTERVAL, value: "5"}
      config: {interval: 5}
    - name: sink
      agent: {name: pi-01}
      images: {x86: r/s:1, arm: r/s:1}
      container: {}
      config: {}
"""
TEMPLATE = """\
apiVersion: iofog.org/v3
kind: ApplicationTemplate
metadata: {name: kit}
spec:
  variables:
    - {key: agent}
    - {key: baud, defaultValue: 9600}
  application:
    microservices:
      - name: bridge
        agent: {name: "{{ agent }}"}
        images: {x86: r/b:1, arm: r/b:1}
        container:
          env: [{key: BAUD, value: "{{ baud | toString }}"}]
        config: {baud: "{{ baud }}"}
---
apiVersion: iofog.org/v3
kind: Application
metadata: {name: kit-pi-01}
spec: {template: {name: kit, variables: [{key: agent, value: pi-01}]}}
"""
EDGELET = """\
apiVersion: edgelet.iofog.org/v1
kind: Microservice
metadata: {name: bridge}
spec:
  image: r/b:1
  registry: 1
  container:
    runAsUser: "10001"
    runAsGroup: "20"
    devices: [{hostPath: /dev/ttyUSB0, containerPath: /dev/bridge0, permissions: rw}]
    env: [{key: SETTING_SERIAL__PORT, value: /dev/bridge0}]
"""


def findings(text, generation="3.0"):
    return check_documents(parse(text, "app.yaml"), GENERATIONS[generation])


def changed(text, *changes):
    """The manifest with changes: a way to a place in its first document, and what to put there (None: nothing)."""
    documents = list(yaml.safe_load_all(text))
    for *way, last, value in changes:
        place = documents[0]
        for step in way:
            place = place[step]
        if value is None and isinstance(place, dict):
            place.pop(last, None)
        elif isinstance(place, list) and last == len(place):
            place.append(value)
        else:
            place[last] = value
    return yaml.safe_dump_all(documents, sort_keys=False)


def for_3_9(text):
    return text.replace("arm: r/b:1", "arm64: r/b:1, arm: r/b:1").replace("arm: r/s:1", "arm64: r/s:1, arm: r/s:1")


def test_good_manifests_have_nothing_to_mend():
    assert findings(APPLICATION) == findings(APPLICATION, "3.7") == []
    assert findings(TEMPLATE) == []
    assert findings(EDGELET, "edgelet-1.1") == []
    assert findings(for_3_9(APPLICATION), "3.9") == []
    assert findings(APPLICATION.replace("iofog.org/v3", "datasance.com/v3"), "3.6") == []


SERVICE = ("spec", "microservices", 0)
CONTAINER = (*SERVICE, "container")
DEVICES = [{"hostPath": "/dev/i2c-1", "containerPath": "/dev/i2c-1"}]

BROKEN = [
    ("3.0", ("apiVersion", "v1"), "apiVersion 'v1'"),
    ("3.0", ("kind", "Pod"), "kind 'Pod' does not exist"),
    ("3.0", ("spec", None), "a document without spec"),
    ("3.0", ("sepc", {}), "a document of 3.0 has no 'sepc'"),
    ("3.0", ("metadata", "labels", {}), "metadata of 3.0 has no 'labels': the command line tool refuses it"),
    ("3.0", ("metadata", "name", "Bench_1"), "name 'Bench_1' is refused"),
    ("3.0", ("metadata", None), "a document without metadata"),
    ("3.0", ("spec", "isActivated", False), "stores true for anything"),
    ("3.0", ("spec", "microservices", []), "no microservices"),
    ("3.0", (*SERVICE, "name", "sink"), "'bench/sink' is used twice"),
    ("3.0", (*SERVICE, "name", "Bridge"), "name 'Bridge' is refused"),
    ("3.0", (*SERVICE, "agent", None), "a microservice without agent"),
    ("3.0", (*SERVICE, "images", None), "no images"),
    ("3.0", (*SERVICE, "images", "arm64", "r/b:1"), "images of 3.0 has no 'arm64': it is ignored"),
    ("3.9", (*SERVICE, "images", "amd64", "r/b:1"), "x86 and amd64 are the same"),
    ("3.9", (*SERVICE, "images", {"arm": "r/b:1", "x86": "r/b:1"}), "no image for arm64"),
    ("3.0", (*SERVICE, "images", {"arm": "r/b:1"}), "warning: no image for x86"),
    ("3.0", (*SERVICE, "rebuild", True), "a microservice of 3.0 has no 'rebuild'"),
    ("3.0", (*CONTAINER, "privileged", True), "a container of 3.0 has no 'privileged'"),
    ("3.0", (*CONTAINER, "volume", []), "Did you mean volumes?"),
    (
        "3.7",
        (*CONTAINER, "devices", DEVICES),
        "has no 'devices': it would be dropped without a word. It exists in 3.9",
    ),
    ("3.7", (*CONTAINER, "rootHostAccess", True), "has no 'rootHostAccess'"),
    ("3.0", (*CONTAINER, "runAsUser", "1000"), "has no 'runAsUser'"),
    ("3.7", (*CONTAINER, "isPrivileged", "yes"), "isPrivileged = 'yes', which is not true or false"),
    ("3.7", (*CONTAINER, "memoryLimit", "128Mi"), "memoryLimit = '128Mi', which is not an integer"),
    ("3.7", (*CONTAINER, "runAsUser", "bridge"), "warning: runAsUser 'bridge' has to exist in the image"),
    ("3.7", (*CONTAINER, "runAsUser", "1000:dialout"), "the group has to be a number"),
    ("3.9", (*CONTAINER, "runAsGroup", "dialout"), "runAsGroup 'dialout'"),
    ("3.0", (*CONTAINER, "ports", 0, "internal", "8080"), "ports.internal = '8080', which is not an integer"),
    ("3.0", (*CONTAINER, "ports", 0, "external", 54321), "reserved for the node itself"),
    ("3.0", (*CONTAINER, "ports", 0, {"internal": 8080}), "ports without external"),
    ("3.0", (*CONTAINER, "env", 0, {"key": "A"}), "env without value"),
    ("3.0", (*CONTAINER, "env", 0, {"name": "A", "value": "1"}), "env of 3.0 has no 'name'"),
    ("3.0", (*CONTAINER, "env", {"A": "1"}), "env = {'A': '1'}, which is not a list"),
    ("3.0", (*CONTAINER, "env", 0, "A=1"), "env holds 'A=1', which is not a mapping"),
    ("3.0", (*CONTAINER, "commands", [1]), "commands holds 1, which is not text"),
    ("3.0", (*CONTAINER, "volumes", [{"hostDestination": "a", "containerDestination": "/a"}]), "without accessMode"),
    (
        "3.0",
        (
            *CONTAINER,
            "volumes",
            [dict.fromkeys(("hostDestination", "containerDestination", "accessMode"), "a") | {"type": "BIND"}],
        ),
        "volumes.type = 'BIND', which is refused. Write bind or volume",
    ),
    (
        "3.7",
        (*CONTAINER, "healthCheck", {"test": ["CMD"], "interval": "30s"}),
        "interval = '30s' is stored as nothing",
    ),
    ("3.7", (*CONTAINER, "healthCheck", {"test": "CMD x"}), "test = 'CMD x' is handed to the node as it is"),
    ("3.7", (*CONTAINER, "healthCheck", {"tests": []}), "healthCheck of 3.7 has no 'tests'"),
    ("3.0", (*SERVICE, "config", {"a": 'say "x"'}), "a double quote in config"),
    ("3.0", (*SERVICE, "config", {"a": ["{{ x }}"]}), "variable 'x' is not declared"),
    ("3.0", (*SERVICE, "config", {"port": "/dev/ttyUSB0"}), "warning: /dev/ttyUSB0 has no way into the container"),
    ("3.7", (*SERVICE, "config", {"port": "/dev/ttyUSB0"}), "Write cdiDevices, with a CDI file"),
    ("3.9", (*SERVICE, "config", {"port": "/dev/ttyUSB0"}), "Write devices:"),
    ("3.9", (*CONTAINER, "devices", DEVICES), "no group that may open them (EACCES)"),
    (
        "3.7",
        (
            *(*CONTAINER, "volumes"),
            [
                {
                    "hostDestination": "/dev/i2c-1",
                    "containerDestination": "/dev/i2c-1",
                    "accessMode": "rw",
                    "type": "bind",
                }
            ],
        ),
        "cannot be opened (EPERM, the device cgroup)",
    ),
    ("3.0", ("spec", "routes", [{"name": "r", "from": "bridge", "to": "sinc"}]), "a route to 'sinc'"),
    ("3.7", ("spec", "routes", [{"name": "r", "from": "bridge", "to": "sink"}]), "drops routes without a word"),
    ("3.7", (*SERVICE, "natsConfig", {"natsAccess": True}), "has natsAccess, its application has not"),
    (
        "3.0",
        ("spec", "microservices", 1, "container", {"ports": [{"internal": 80, "external": 18080}]}),
        "port 18080 of node pi-01 is taken by bench/bridge",
    ),
]


@pytest.mark.parametrize(("generation", "change", "words"), BROKEN, ids=[words for _, _, words in BROKEN])
def test_each_rule_is_found_where_it_is_broken(generation, change, words):
    base = for_3_9(APPLICATION) if generation == "3.9" else APPLICATION
    found = findings(changed(base, change), generation)
    assert any(words in str(finding) for finding in found), [str(finding) for finding in found]
    assert all(finding.line >= 1 and finding.remedy for finding in found)


def test_the_line_is_that_of_what_is_wrong():
    text = APPLICATION.replace("external: 18080", "external: high")
    (finding,) = findings(text)
    assert (finding.line, str(finding)) == (
        11,
        f"app.yaml:11: {finding.rule}. Write a free port, an integer from 1 to 65535.",
    )


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("{key: agent}", "{key: Agent}", "the key 'Agent' of a variable is refused"),
        ('baud: "{{ baud }}"', 'baud: "{{ rate }}"', "variable 'rate' is not declared"),
        ('baud: "{{ baud }}"', '"{{ agent }}": 1', "'{{ agent }}': keys are not rendered"),
        ("{{ baud | toString }}", "{{ baud }}", "'{{ baud }}' is a number or truth value, which is refused in env"),
        ("{key: agent, value: pi-01}", "{key: node, value: pi-01}", "variable 'agent' is not given"),
        ("{key: agent, value: pi-01}", "{key: agent, value: a}, {key: x, value: 1}", "variable 'x' is ignored"),
        ("{template: {name: kit,", "{template: {title: kit,", "template without name"),
        ("{template: {name: kit,", "{template: {name: x/kit,", "name 'x/kit' is refused"),
        ("  application:\n", "  app:\n", "a template without application"),
    ],
)
def test_templates(old, new, words):
    assert old in TEMPLATE
    found = findings(TEMPLATE.replace(old, new))
    assert any(words in str(finding) for finding in found), [str(finding) for finding in found]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("spec", "config", {"interval": 5}), "parses config and does not apply it"),
        (("spec", "image", None), "a microservice without image"),
        (("spec", "container", "devices", None), "/dev/bridge0 has no way into the container"),
        (("spec", "container", "runAsGroup", None), "no group that may open them"),
        (("metadata", "name", "app/bridge"), "name 'app/bridge' is refused"),
    ],
)
def test_edgelet_alone(change, words):
    found = findings(changed(EDGELET, change), "edgelet-1.1")
    assert any(words in str(finding) for finding in found), [str(finding) for finding in found]


ALIASES = "a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
)
MERGES = "a0: &a0 {}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 40))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "app.yaml:2: this is not YAML"),
        ("a: 1\na: 2", "app.yaml:2: 'a' is used twice"),
        ("a: !x 1", "not YAML"),
        ("a: \0", "not YAML"),
        ("a: {<<: 1}", "app.yaml:1: << takes mappings only"),
        ("[1, 2]: 3", "app.yaml:1: a list or mapping as a key"),
        (f"a: {'9' * 6000}", "app.yaml:1: 9{40}…: Exceeds"),
        ("a: &a [*a]", "an alias that holds itself"),
        ("[" * 1_000_000, "app.yaml:1: nested more than 100 levels deep"),
        (ALIASES, "more than 10000 values"),
        (MERGES, "more than 10000 values"),
    ],
)
def test_what_is_no_manifest_is_reported(text, words):
    with pytest.raises(ManifestError, match=words):
        parse(text, "app.yaml", max_values=10_000)


@pytest.mark.parametrize(
    "text", ["", "1", "[]", "kind: 1", "kind: Application\nspec: {microservices: [1, {}]}", "spec: x"]
)
def test_anything_is_checked_without_failing(text):
    for generation in GENERATIONS.values():
        check_documents(parse(text, "x"), generation)


REGISTRY = """\
apiVersion: iofog.org/v3
kind: Registry
spec: {url: r.io, private: false, username: p, password: s, email: a@b.cc}
"""
EDGELET_REGISTRY = """\
apiVersion: edgelet.iofog.org/v1
kind: Registry
metadata: {name: r}
spec: {id: 10, url: r.io, private: false}
"""
ITEM = """\
apiVersion: iofog.org/v3
kind: CatalogItem
metadata: {name: b}
spec: {x86: r/b:1, arm: r/b:1, registry: remote}
"""
ROUTE = "apiVersion: iofog.org/v3\nkind: Route\nmetadata: {name: app/a-to-b}\nspec: {from: a, to: b}\n"


@pytest.mark.parametrize(
    ("generation", "text"), [("3.0", REGISTRY), ("edgelet-1.1", EDGELET_REGISTRY), ("3.0", ITEM), ("3.0", ROUTE)]
)
def test_what_stands_beside_applications_passes(generation, text):
    assert not findings(text, generation)


@pytest.mark.parametrize(
    ("generation", "text", "old", "new", "words"),
    [
        ("3.0", REGISTRY, "email: a@b.cc", "", "a registry without email"),
        (
            "3.0",
            REGISTRY,
            "username: p, ",
            "",
            "a registry without username, which the Controller wants even for a public",
        ),
        ("3.0", REGISTRY, "private: false", "private: 'no'", "private = 'no', which is not true or false"),
        ("3.0", REGISTRY, "url: r.io", "url: https://r.io", "has a scheme"),
        ("3.0", REGISTRY, "url: r.io", "uri: r.io", "a registry of 3.0 has no 'uri'"),
        ("edgelet-1.1", EDGELET_REGISTRY, "id: 10", "id: 1", "keeps those below 4 for itself"),
        ("edgelet-1.1", EDGELET_REGISTRY, "private: false", "", "a registry without private"),
        ("edgelet-1.1", EDGELET_REGISTRY, "private: false", "private: true", "a private registry without username"),
        ("3.0", ITEM, "registry: remote", "registry: '10'", "takes remote and local only"),
        ("3.0", ITEM, "x86: r/b:1, arm: r/b:1, ", "", "without images"),
        ("3.0", ITEM, "arm: r/b:1", "arm64: r/b:1", "has no 'arm64': the command line tool refuses it"),
        ("3.0", ROUTE, "app/a-to-b", "a-to-b", "does not name an application"),
        ("3.0", ROUTE, "{from: a, to: b}", "{from: a}", "a route without to"),
        ("3.7", ROUTE, "{from: a, to: b}", "{from: a, to: b}", "kind 'Route' does not exist in 3.7"),
    ],
)
def test_registries_catalogue_items_and_routes(generation, text, old, new, words):
    assert old in text
    found = findings(text.replace(old, new), generation)
    assert any(words in str(finding) for finding in found), [str(finding) for finding in found]
    assert all(finding.remedy for finding in found)


@pytest.mark.parametrize(
    ("text", "generation"),
    [(APPLICATION, "3.7"), (TEMPLATE, "3.7"), (EDGELET, "edgelet-1.1"), (for_3_9(APPLICATION), "3.9")],
)
def test_without_a_generation_it_is_the_newest_that_fits(text, generation, tmp_path, capsys):
    file = tmp_path / "app.yaml"
    file.write_text(text)
    assert main(["check", str(file)]) == 0
    assert f"for {generation}, 0 to fix" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("invalid-app.yaml", "name 'Serial_Bridge' is refused"),
        ("v2-app.yaml", "ports.protocol = 'http', which is refused"),
    ],
)
def test_a_manifest_that_fits_no_generation_is_judged_by_the_one_it_is_meant_for(name, words, capsys):
    assert main(["check", str(MANIFESTS / name)]) == 1
    assert words in capsys.readouterr().out


@pytest.mark.parametrize("text", ["kind: []", "[]", "kind: {}\napiVersion: []"])
def test_a_file_of_no_kind_is_refused(text, tmp_path, capsys):
    file = tmp_path / "file.yaml"
    file.write_text(text)
    assert main(["check", str(file)]) == 1
    assert "to fix" in capsys.readouterr().out


def test_the_command_line(tmp_path, capsys):
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(APPLICATION)
    bad.write_text(APPLICATION.replace("kind: Application", "kind: Apple"))
    assert main(["check", str(good), "--generation", "3.0"]) == 0
    assert main(["check", str(good), str(bad), "--generation", "3.0"]) == 1
    assert main(["check", str(tmp_path / "none.yaml"), "--generation", "3.0"]) == 1
    out = capsys.readouterr().out
    assert f"{bad}:2: kind 'Apple' does not exist in 3.0" in out
    assert "No such file" in out


SAMPLES = {
    "v3.0-app-valid.yaml": "3.0",
    "v3.0-fleet.yaml": "3.0",
    "v3.0-microservice-and-route.yaml": "3.0",
    "v3.7-app-valid.yaml": "3.7",
    "v3.8plus-app.yaml": "3.9",
    "edgelet-microservice.yaml": "edgelet-1.1",
    "cdi-serial.yaml": "3.7",
}
MANIFESTS = Path(__file__).parents[1] / "vectors" / "manifests"
"""Each says in its first lines whether a Controller has taken it; the others follow Controllers' sources."""


@pytest.mark.parametrize("name", SAMPLES)
def test_manifests_that_controllers_took_pass(name):
    documents = load(MANIFESTS / name)
    found = check_documents(documents, GENERATIONS[SAMPLES[name]])
    assert not [str(finding) for finding in found if finding.is_error]


@pytest.mark.parametrize("name", ["invalid-app.yaml", "v2-app.yaml"])
def test_manifests_that_no_controller_of_today_takes_are_refused(name):
    documents = load(MANIFESTS / name)
    for generation in GENERATIONS.values():
        assert any(finding.is_error for finding in check_documents(documents, generation))
