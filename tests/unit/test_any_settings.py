"""Any settings of any service from any source: usable, or a SettingsError; nothing else is raised."""

import copy
import functools
import json
import tomllib
import tracemalloc
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from device_bridge import SettingsError
from device_bridge.settings import LIMITS, SettingsSources, check_limits, limit, profile_names, read_profile
from workspace.members import service_names
from workspace.services import service_type_of

PROJECT = Path(__file__).parents[2]
SERVICES = service_names(PROJECT)
SOURCES = ["config", "file", "environment", "profile"]

HOSTILE = [
    None,
    True,
    "",
    " ",
    "a b",
    "x" * 20_000,
    "x" * 5000,
    "a\0b",
    "\ud800",
    "line\nfeed",
    "(",
    "(a+)+$",
    "(x)",
    "{value:1500000000}",
    "{value:.999999f}",
    "{value!r}",
    "{",
    "900000000s",
    "900000000B",
    ">99999999999999999999B",
    "a{99999999999999999999}",
    "\\x0",
    "\\x00",
    "€",
    "%s%n",
    "/",
    "../../etc",
    "mqtt://u:p@h?q",
    "socket://h:1",
    "socket://h:99999",
    "usb:0403:6001",
    "nan",
    "inf",
    "1_0",
    "٣",
    -1,
    0,
    1,
    8,
    255,
    256,
    65_536,
    2**31,
    2**53 + 1,
    2**63,
    2**64,
    10**400,
    -(10**30),
    0.0,
    -0.5,
    0.1,
    1e-300,
    1e300,
    1e308,
    float("inf"),
    float("-inf"),
    float("nan"),
    [],
    {},
    [[]],
    [0, 0],
    [1e308, -1e308],
    ["a", "a"],
    [None] * 1500,
    {"": ""},
    {"a": "b"},
    {"\ud800": 1},
    {"a\0": 1},
    {"true": 1, "1": 2},
    {str(n): n for n in range(1500)},
    json.loads("[" * 60 + "]" * 60),
    json.loads('{"a":' * 60 + "1" + "}" * 60),
]
hostile = st.one_of(
    st.sampled_from(HOSTILE), st.sampled_from(HOSTILE), st.text(max_size=12), st.integers(), st.floats()
)


@functools.cache
def valid_settings(service):
    """Complete settings: those of the manifest's example, and each profile's."""
    told = tomllib.loads((PROJECT / "services" / service / "deploy.toml").read_text())
    members = dict(told["example"].get("config", {}))
    if told.get("device_setting"):
        section, name = told["device_setting"].split(".")
        members[section] = {name: told["example"]["device"]}
    service_type = service_type_of(service)
    model = service_type.settings_type
    names = profile_names(model.profiles) if "profile" in model.__struct_fields__ else []
    chosen = [members, *(members | {"profile": name} for name in names)]
    found = []
    for each in chosen:
        found.append(each)
        with suppress(SettingsError):
            whole = SettingsSources(model, file=None, environment={}).resolve(json.dumps(each))
            found.append(msgspec.json.decode(msgspec.json.encode(whole)))
        if "profile" in each:
            found.append(each | read_profile(model.profiles, each["profile"]))
    return found


def places(members, path=()):
    """Paths of every value, those inside lists included."""
    items = members.items() if isinstance(members, dict) else enumerate(members)
    for name, value in items:
        yield (*path, name)
        if isinstance(value, dict | list):
            yield from places(value, (*path, name))


@functools.cache
def places_of(service):
    return [(at, path) for at, members in enumerate(valid_settings(service)) for path in places(members)]


def changed(service, place, value, name):
    """Valid settings with one value replaced, or with one more member beside it."""
    at, path = place
    members = copy.deepcopy(valid_settings(service)[at])
    target = members
    for part in path[:-1]:
        target = target[part]
    target[name if name is not None and isinstance(target, dict) else path[-1]] = value
    return members


def use(service_type, sources, config=None):
    """All that a service does with settings before it opens anything."""
    found = sources.resolve(config)
    service_type.check_settings(found)
    service_type.quantities_of(found)
    service_type.commands_of(found)
    msgspec.json.encode(found)
    return service_type(found)


def variables(members, prefix="SETTING_"):
    for name, value in members.items():
        if isinstance(value, dict) and value:
            yield from variables(value, f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}", value if isinstance(value, str) else json.dumps(value)


def use_from(source, service_type, members, tmp_path, monkeypatch):
    model = service_type.settings_type
    if source == "config":
        use(service_type, SettingsSources(model, file=None, environment={}), json.dumps(members))
    elif source == "file":
        (tmp_path / "s.json").write_text(json.dumps(members))
        use(service_type, SettingsSources(model, file=tmp_path / "s.json", environment={}))
    elif source == "environment":
        use(service_type, SettingsSources(model, file=None, environment=dict(variables(members))))
    else:
        with monkeypatch.context() as patched:
            patched.setattr("device_bridge.settings.sources.read_profile", lambda *_: members)
            use(service_type, SettingsSources(model, file=None, environment={}))


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("service", SERVICES)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=settings.default.max_examples // 4
)
@given(data=st.data(), value=hostile, name=st.one_of(st.none(), st.none(), st.text(max_size=6)))
def test_settings_are_usable_or_a_settings_error(data, value, name, service, source, tmp_path, monkeypatch):
    members = changed(service, data.draw(st.sampled_from(places_of(service))), value, name)
    with suppress(SettingsError):
        use_from(source, service_type_of(service), members, tmp_path, monkeypatch)


@pytest.mark.parametrize("kind", ["toml", "json", "config"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.sampled_from('[]{}"=.,:#\n\\ abfnrtu019e-+\ud800é'), max_size=60))
@example(text="\ufeff{}")
@example(text="a=1979-05-27")
@example(text="a=inf")
@example(text="a." * 100_000 + "b=1")
@example(text="[" + "a." * 100_000 + "b]")
@example(text="a=" + "[" * 50_000)
@example(text="a=" + "{b=" * 50_000)
@example(text='{"a":' * 50_000)
@example(text="9" * 5000)
@example(text='{"stale_after":' + "9" * 5000 + "}")
@example(text="stale_after=" + "9" * 5000)
@example(text="stale_after=0x" + "9" * 500_000)
def test_any_text_is_settings_or_a_settings_error(text, kind, tmp_path):
    service_type = service_type_of("gps_receiver")
    file = tmp_path / f"s.{kind}"
    file.write_bytes(text.encode(errors="surrogatepass"))
    with suppress(SettingsError):
        path, config = (None, text) if kind == "config" else (file, None)
        use(service_type, SettingsSources(service_type.settings_type, file=path, environment={}), config)


@given(st.dictionaries(st.text(st.sampled_from("SETING_AB\udcff\n"), max_size=20), st.text(max_size=10), max_size=4))
def test_any_variables_are_settings_or_a_settings_error(variables):
    service_type = service_type_of("gps_receiver")
    environment = {f"SETTING_{name}": value for name, value in variables.items()}
    with suppress(SettingsError):
        use(service_type, SettingsSources(service_type.settings_type, file=None, environment=environment))


SIZES = {
    "record": (
        "serial_instrument",
        {"record": {"type": "struct", "format": "{}"}, "fields": [{"name": "a", "key": 1}]},
    ),
    "pattern": ("serial_instrument", {"ignore": "{}"}),
    "template": ("serial_instrument", {"commands": {"set": {"send": "{}"}}}),
}


def filled(members, text):
    if isinstance(members, dict):
        return {name: filled(value, text) for name, value in members.items()}
    return text if members == "{}" else members


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("record", "900000000s"),
        ("record", "900000000B"),
        ("record", ">" + "60000d" * 30),
        ("record", "99999999999999999999B"),
        ("record", "ü"),
        ("pattern", "(?:a{999}){999}"),
        ("pattern", "a{99999999999999999999}"),
        ("pattern", "(){900000000}"),
        ("template", "{value:1500000000}"),
        ("template", "{value:.1500000000f}"),
        ("template", "{value:201}"),
    ],
)
def test_a_size_is_refused_before_memory_is_taken_for_it(place, text):
    service, members = SIZES[place]
    service_type = service_type_of(service)
    sources = SettingsSources(service_type.settings_type, file=None, environment={"SETTING_SERIAL__PORT": "/dev/x"})
    use(service_type, sources)
    tracemalloc.start()
    try:
        with pytest.raises(SettingsError, match=r"Write|See|Repeat"):
            use(service_type, sources, json.dumps(filled(members, text)))
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("name", "within", "beyond"),
    [
        (
            "depth",
            lambda n: json.loads("[" * (n - 1) + "]" * (n - 1)),
            lambda n: json.loads("[" * (n + 1) + "]" * (n + 1)),
        ),
        ("members", lambda n: [1] * n, lambda n: [1] * (n + 1)),
        (
            "members",
            lambda n: dict.fromkeys(map(str, range(n)), 1),
            lambda n: dict.fromkeys(map(str, range(n + 1)), 1),
        ),
        ("values", lambda n: [[1] * 499] * (n // 500 - 1), lambda n: [[1] * 499] * (n // 500 + 1)),
        ("text", lambda n: "x" * n, lambda n: "x" * (n + 1)),
        ("text", lambda n: {"x" * n: 1}, lambda n: {"x" * (n + 1): 1}),
    ],
)
def test_what_a_source_holds_has_limits(name, within, beyond):
    check_limits({"a": within(limit(name))}, "the test")
    with pytest.raises(SettingsError, match=str(limit(name))):
        check_limits({"a": beyond(limit(name))}, "the test")


def test_the_limits_are_documented():
    text = (PROJECT / "common/device_bridge/README.md").read_text()
    rows = [f"| {most:_} | {of} |".replace("_", " ") for most, of in LIMITS.values()]
    assert [row for row in rows if row not in text] == []
