"""The schemas of ioFog's generations: standard JSON Schemas that any validator can use, and what they say."""

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

import deployment.generations
from deployment.generations import GENERATIONS, generations_with

FOLDER = Path(deployment.generations.__file__).parent / "schemas"
SCHEMAS = {file.name: json.loads(file.read_text()) for file in FOLDER.glob("*.json")}
REGISTRY = Registry().with_resources((name, Resource.from_contents(schema)) for name, schema in SCHEMAS.items())
MANIFESTS = Path(__file__).parents[1] / "vectors" / "manifests"
DEPLOY = Path(__file__).parents[2] / "deploy"


def verdicts(schema, documents):
    validator = Draft202012Validator(schema, registry=REGISTRY)
    return [validator.is_valid(document) for document in documents]


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_file_is_a_json_schema(name):
    Draft202012Validator.check_schema(SCHEMAS[name])


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_validator_that_follows_references_judges_alike(generation):
    folder = GENERATIONS[generation].folder
    bad = [file for file in MANIFESTS.glob("bad/*.yaml") if file.read_text().startswith(f"# For {generation}:")]
    files = [*(DEPLOY / folder).glob("[g-r]*.yaml"), *MANIFESTS.glob("*.yaml"), *bad]
    documents = [document for file in files for document in yaml.safe_load_all(file.read_text())]
    found = verdicts(SCHEMAS[f"{folder}.json"], documents)
    assert found == verdicts(GENERATIONS[generation].schema, documents)
    assert set(found) == {True, False}


def test_devices_exist_where_edgelet_has_them():
    assert generations_with("a container", "devices") == ("3.9", "edgelet-1.1")
    assert [name for name, each in GENERATIONS.items() if each.has_cdi_only] == ["3.6", "3.7", "3.8", "edgelet-1.0"]
    assert generations_with("a container", "healthCheck") == ("3.6", "3.7", "3.8", "3.9", "edgelet-1.1")
