"""Settings: sources, errors that help, generated documentation."""

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from device_bridge import Name, ServiceSettings, Settings, SettingsError
from device_bridge.settings.explain import json_schema
from device_bridge.settings.sources import SettingsSources
from workspace.members import service_names
from workspace.services import service_type_of

PROJECT = Path(__file__).parents[2]


class Probe(Settings, frozen=True, kw_only=True):
    port: Annotated[str, Meta(description="device path", examples=["/dev/x"])]
    baud: Annotated[int, Meta(ge=50)] = 9600
    ratio: float | None = None


class Example(ServiceSettings, frozen=True, kw_only=True):
    probe: Probe
    verbose: bool = False


def resolve(config=None, environment=None, file=None):
    return SettingsSources(Example, file=file, environment=environment or {}).resolve(
        config if config is None or isinstance(config, str) else json.dumps(config)
    )


GOOD = {"probe": {"port": "/dev/a"}}


def test_later_sources_win_member_by_member(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text('verbose = true\n[probe]\nbaud = 4800\nport = "/dev/file"\n')
    settings = resolve(
        {"probe": {"port": "/dev/config", "baud": 1200, "ratio": 0.5}}, {"SETTING_PROBE__PORT": "/dev/env"}, file
    )
    assert settings.probe == Probe(port="/dev/env", baud=4800, ratio=0.5)
    assert settings.verbose


def test_variables_take_the_type_of_their_setting():
    settings = resolve(GOOD, {"SETTING_PROBE__BAUD": "50", "SETTING_SOURCE": "123", "SETTING_VERBOSE": "true"})
    assert (settings.probe.baud, settings.source, settings.verbose) == (50, "123", True)


@pytest.mark.parametrize(
    ("config", "environment", "field", "rest"),
    [
        ({}, {}, "probe", "is required. Write an object with baud, port, ratio."),
        ({"probe": {}}, {}, "probe.port", 'is required. Write text (device path), for example "/dev/x".'),
        ({"probe": {"port": 5}}, {}, "probe.port", "expected `str`, got `int`"),
        ({"probe": {"port": "/x", "baud": 7}}, {}, "probe.baud", "expected `int` >= 50. Write integer, at least 50."),
        (
            {"probe": {"port": "/x", "bauds": 7}},
            {},
            "probe.bauds",
            "Did you mean baud? Known here: baud, port, ratio.",
        ),
        ({"prob": 1, **GOOD}, {}, "prob", "Did you mean probe?"),
        ({**GOOD, "log_level": "loud"}, {}, "log_level", "`debug` or `error` or `info` or `warning`"),
        ({**GOOD, "http": {"port": 70_000}}, {}, "http.port", "0 to 65535"),
        (GOOD, {"SETTING_PROBE__BAUD": "fast"}, "probe.baud", "(from environment)"),
        (GOOD, {"SETTING_PORBE": "x"}, "porbe", "Did you mean probe?"),
        (GOOD, {"SETTING_PROBE": "x", "SETTING_PROBE__BAUD": "50"}, "probe.baud", "goes below"),
        ("[", {}, "config", "is not JSON"),
        ("[1]", {}, "config", "is not a JSON object"),
    ],
)
def test_errors_name_field_value_rule_and_remedy(config, environment, field, rest):
    with pytest.raises(SettingsError) as caught:
        resolve(config, environment)
    assert caught.value.field == field
    assert rest in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("missing.json", None, "No such file"),
        ("broken.toml", "a = ", "cannot be parsed"),
        ("broken.json", "{", "cannot be parsed"),
        ("list.json", "[]", "holds no object"),
        ("huge.json", " " * 2_000_000, "larger than"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path, name, content, text):
    file = tmp_path / name
    if content is not None:
        file.write_text(content)
    with pytest.raises(SettingsError, match=text) as caught:
        resolve(GOOD, file=file)
    assert name in str(caught.value)


def test_an_error_in_a_file_says_so(tmp_path):
    file = tmp_path / "settings.json"
    file.write_text('{"probe": {"baud": true}}')
    with pytest.raises(SettingsError, match=r"\(from file .*settings.json\)"):
        resolve(GOOD, file=file)


def test_no_config_and_an_empty_one_are_the_defaults():
    assert resolve(None, {"SETTING_PROBE__PORT": "/x"}) == resolve("", {"SETTING_PROBE__PORT": "/x"})


def test_the_schema_knows_every_setting():
    text = json.dumps(json_schema(Example))
    for name in ("probe", "baud", "device path", "log_level", "on_full"):
        assert name in text


@pytest.mark.parametrize("service", service_names(PROJECT))
def test_the_settings_shown_in_the_readme_can_be_used(service, tmp_path):
    service_type = service_type_of(service)
    text = (PROJECT / "services" / service / "README.md").read_text()
    shown = [("toml", block) for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL)]
    shown += [
        ("json", block)
        for block in re.findall(r'```json\n(\{"(?:profile|serial|bus|sensors|address)".*?)```', text, re.DOTALL)
    ]
    for kind, block in shown:
        file = tmp_path / f"shown.{kind}"
        file.write_text(block)
        model = service_type.settings_type
        environment = {"SETTING_SERIAL__PORT": "/dev/ttyUSB0"} if "serial" in model.__struct_fields__ else {}
        sources = SettingsSources(model, file=file, environment=environment)
        service_type.check_settings(sources.resolve(None))


class Lamp(Settings, frozen=True, kw_only=True, tag_field="kind", tag="lamp"):
    line: Annotated[str, Meta(description="where it is")]
    watts: Annotated[float, Meta(ge=0, le=60)] = 5.0


class Horn(Settings, frozen=True, kw_only=True, tag_field="kind", tag="horn"):
    steps: tuple[Probe, ...] = ()


class Listed(ServiceSettings, frozen=True, kw_only=True):
    parts: tuple[Lamp | Horn, ...] = ()
    probes: tuple[Probe, ...] = ()


@pytest.mark.parametrize(
    ("config", "field", "text"),
    [
        ({"parts": [{"kind": "lamp", "line": "a", "watts": 99}]}, "parts[0].watts", "= 99 (from ioFog config): "),
        ({"parts": [{"kind": "lamp", "line": "a", "watts": 99}]}, "parts[0].watts", "Write number, 0 to 60."),
        ({"parts": [{"kind": "lamp"}]}, "parts[0].line", "is required. Write text (where it is)."),
        ({"parts": [{"kind": "lamp", "lin": "a"}]}, "parts[0].lin", "Did you mean line? Known here: line, watts."),
        ({"parts": [{"kind": "lmp"}]}, "parts[0].kind", "Did you mean lamp? Known here: horn, lamp."),
        ({"parts": [{}]}, "parts[0].kind", "is required. Known here: horn, lamp."),
        ({"parts": [{"kind": "horn", "steps": [{"port": 5}]}]}, "parts[0].steps[0].port", "Write text (device path)"),
        ({"probes": [{"port": "a"}, {"port": "b", "baud": 9}]}, "probes[1].baud", "Write integer, at least 50."),
        ({"probes": [7]}, "probes[0]", "expected `object`"),
    ],
)
def test_errors_inside_lists_name_value_and_remedy_as_others_do(config, field, text):
    with pytest.raises(SettingsError) as caught:
        SettingsSources(Listed, file=None, environment={}).resolve(json.dumps(config))
    assert caught.value.field == field
    assert text in str(caught.value)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=8,
)
names = st.sampled_from(["probe", "http", "outbox", "source", "log_level", "verbose", "x", "port", "baud", ""])


@given(
    st.one_of(
        st.text(max_size=50), st.dictionaries(names, st.one_of(json_values, st.dictionaries(names, json_values)))
    )
)
def test_arbitrary_configs_give_settings_or_the_named_error(config):
    with suppress(SettingsError):
        msgspec.json.encode(resolve(config))


@given(st.lists(st.dictionaries(st.sampled_from(["kind", "line", "watts", "steps", "x"]), json_values), max_size=2))
def test_arbitrary_lists_give_settings_or_the_named_error(parts):
    with suppress(SettingsError):
        SettingsSources(Listed, file=None, environment={}).resolve(json.dumps({"parts": parts}))


@given(st.dictionaries(st.from_regex(r"SETTING_[A-Z_]{0,20}", fullmatch=True), st.text(max_size=10), max_size=4))
def test_arbitrary_variables_give_settings_or_the_named_error(environment):
    with suppress(SettingsError):
        resolve(GOOD, environment)


def test_an_error_about_a_name_that_users_choose_says_where_it_is():
    class Named(Settings, frozen=True, kw_only=True):
        limits: dict[Name, int] = {}

    with pytest.raises(SettingsError, match=r"setting limits = .*: expected `str` matching regex '\^\[A-Z"):
        SettingsSources(Named, file=None, environment={}).resolve('{"limits": {"": 1}}')
