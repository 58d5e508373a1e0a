"""Whatever a YAML file holds is judged without failing, and each finding has a line and a remedy."""

import copy
from pathlib import Path

import yaml
from hypothesis import given
from hypothesis import strategies as st

from deployment.documents import parse
from deployment.fleets import FleetError, read_fleet
from deployment.generations import GENERATIONS
from deployment.manifests import check_documents

PROJECT = Path(__file__).parents[2]
MANIFESTS = [
    document
    for generation in GENERATIONS.values()
    for file in sorted((PROJECT / "deploy" / generation.folder).rglob("*.yaml"))
    if file.stem in ("gps_receiver", "route", "registry", "catalog", "mqtt_bridge")
    for document in yaml.safe_load_all(file.read_text())
]
MANIFESTS += yaml.safe_load_all((PROJECT / "tests/vectors/manifests/v3.0-fleet.yaml").read_text())
FLEET = yaml.safe_load((PROJECT / "deploy/fleet.example.yaml").read_text())
TEXTS = [
    "",
    "{{",
    "{{ x }}",
    "{{ agent | findAgent }}",
    "{% if %}",
    '"',
    "-",
    "a/b",
    "/dev/ttyUSB0",
    "$room",
    "shared",
]
OTHERS = [None, True, -1, 0, 54321, 1.5, 10**30, [], {}, [None], {"": None}, [[]], {"name": {}}, "x" * 200]
ODD = st.sampled_from([*TEXTS, *OTHERS])


def places(value, where=()):
    yield where
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in members:
        yield from places(inner, (*where, key))


@st.composite
def damaged(draw, documents):
    """A good document in which some values are replaced, removed or moved."""
    document = copy.deepcopy(draw(st.sampled_from(documents)))
    for _ in range(draw(st.integers(1, 4))):
        where = draw(st.sampled_from([each for each in places(document) if each]))
        holder = document
        for step in where[:-1]:
            holder = holder[step]
        if isinstance(holder, dict) and draw(st.booleans()):
            value = holder.pop(where[-1])
            if draw(st.booleans()):
                holder[draw(st.sampled_from(["nmae", "devices", "template", "", "cdiVersion"]))] = value
        else:
            holder[where[-1]] = copy.deepcopy(draw(ODD))  # an odd value may be damaged as well
    return document


@given(st.lists(damaged(MANIFESTS), min_size=1, max_size=3), st.sampled_from(list(GENERATIONS)))
def test_a_damaged_manifest_is_judged(documents, generation):
    text = yaml.safe_dump_all(documents, allow_unicode=True)
    for finding in check_documents(parse(text, "file"), GENERATIONS[generation]):
        assert finding.line >= 1
        assert finding.rule
        assert finding.remedy


@given(damaged([FLEET]))
def test_a_damaged_fleet_is_judged(tmp_path_factory, fleet):
    file = tmp_path_factory.getbasetemp() / "fleet.yaml"
    file.write_text(yaml.safe_dump(fleet, sort_keys=False, allow_unicode=True))
    problems = []
    try:
        read_fleet(file)
    except FleetError as error:
        problems += error.problems
    assert all(line.startswith(f"{file}:") for line in problems)
