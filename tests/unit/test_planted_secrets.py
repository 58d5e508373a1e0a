"""A secret, written at every place of every setting, is looked for in everything that a service says."""

import asyncio
import copy
import json
import logging

import msgspec
import pytest

from device_bridge import (
    CommandedSettings,
    CommandSpec,
    DeviceError,
    DeviceErrorKind,
    DeviceService,
    Quantity,
    Result,
    SettingsError,
)
from device_bridge.cli import run
from device_bridge.runtime import Runtime
from device_bridge.secrets import without_secrets
from device_bridge.settings import SettingsSources
from device_bridge.telemetry import logs
from iofog_sdk import NodeNotFound, connect
from pytest_simulated_devices import MemoryLink
from workspace.members import service_names
from workspace.services import service_type_of

from ..campaign import budget
from .test_any_settings import PROJECT, places_of, valid_settings, variables
from .test_process import get, until

SECRET = "Hunter2-marked"  # noqa: S105 - what the tests look for
MOST_PLACES = 100
URLS = [
    f"mqtt://user:{SECRET}@host/x",
    f"nats://{SECRET}@host:4222?x=1",
    f"mqtts://host?password={SECRET}",
    f"socket://u:a/{SECRET}@h",
    f"https://h/x#access_token={SECRET}",
    f"odd+scheme://{SECRET}:p@h",
]
SHAPES = [
    ("password", SECRET),
    ("api_key", SECRET),
    ("tokens", [SECRET, SECRET]),
    ("credentials", {"deep": {"deeper": SECRET}}),
    ("secret", {SECRET: 1}),
    ("private", {"a": {SECRET: {"b": 1}}}),
    ("passwrd", SECRET),
    ("Auth", [{"a": SECRET}]),
    *[("unknown", url) for url in URLS],
    *[(url, 1) for url in URLS],
    ("unknown", [{"x": URLS[0]}]),
    ("apiKey", SECRET),
    ("wifi-psk", SECRET),
    ("Authorization", f"Basic {SECRET}"),
    ("unknown", f"password={SECRET}"),
]
NAMED_BY_USERS = ("secret", {SECRET: 1})
"""At each place, for members whose names users choose: errors name what is in them by another way."""


def variants(service):
    """Valid settings with the secret beside, or in place of, some of their values; a few shapes for each place.

    `make fuzz` tries all shapes at all places.
    """
    found = {
        tuple("*" if isinstance(part, int) else part for part in path): (at, path) for at, path in places_of(service)
    }
    chosen = list(found.values())[:: budget(1 + len(found) // MOST_PLACES, 1)]
    for number, (at, path) in enumerate(chosen):
        some = [SHAPES[(2 * number + turn) % len(SHAPES)] for turn in range(2)]
        for name, value in budget([*some, NAMED_BY_USERS], SHAPES):
            is_url = isinstance(value, str) and "://" in value
            for kind in ("beside", "inside", *(["instead"] if is_url else [])):
                members = copy.deepcopy(valid_settings(service)[at])
                target = members
                for part in path[:-1]:
                    target = target[part]
                if kind == "beside" and isinstance(target, dict):
                    target[name] = value
                else:
                    target[path[-1]] = value if kind == "instead" else {name: value}
                yield members


def check_said(members, service_type, tmp_path, source):
    """What is said of these settings: refused, or printed."""
    model = service_type.settings_type
    try:
        if source == "config":
            found = SettingsSources(model, file=None, environment={}).resolve(json.dumps(members))
        elif source == "environment":
            found = SettingsSources(model, file=None, environment=dict(variables(members))).resolve(None)
        else:
            (tmp_path / "s.json").write_text(json.dumps(members))
            found = SettingsSources(model, file=tmp_path / "s.json", environment={}).resolve(None)
        service_type.check_settings(found)
    except SettingsError as error:
        return str(error)
    return json.dumps(without_secrets(msgspec.to_builtins(found)))


@pytest.mark.parametrize("service", service_names(PROJECT))
def test_no_setting_of_a_service_repeats_a_secret(service, tmp_path):
    service_type = service_type_of(service)
    count, said = 0, []
    for members in variants(service):
        count += 1
        source = ("config", "environment", "file")[count % 3]
        text = check_said(members, service_type, tmp_path, source)
        if SECRET.lower() in text.lower():
            said.append((text, json.dumps(members)[:300]))
    assert count > 100
    assert said[:3] == [], len(said)


class BenchSettings(CommandedSettings, frozen=True, kw_only=True):
    port: str = "a"
    password: str = ""
    labels: dict[str, str] = {}


class Bench(DeviceService[BenchSettings]):
    quantities = (Quantity("level", "m"),)
    commands = (CommandSpec("x"),)

    async def open(self):
        if "mqtt" in self.settings.port:
            raise DeviceError(DeviceErrorKind.NOT_FOUND, self.settings.port, f"{self.settings.port} is not there")

    async def stream(self):
        yield [self.quantities[0].good(1.5)]
        await asyncio.Event().wait()

    async def execute(self, command):
        return Result(ok=True)


class ConfiguredLink(MemoryLink):
    def __init__(self, config):
        super().__init__()
        self.config = config


class Written:
    """What has come out of a process at a descriptor."""

    def __init__(self, file, handler):
        self._file, self._handler = file, handler

    def getvalue(self):
        self._handler.flush()
        return self._file.read_text()


@pytest.fixture
def stderr(tmp_path):
    file = tmp_path / "stderr"
    with file.open("wb") as stream:
        handler = logs.configure("debug", stream.fileno())
        yield Written(file, handler)
        logging.getLogger().removeHandler(handler)
        handler.close()


async def test_a_running_service_repeats_no_secret_anywhere(stderr):
    link = ConfiguredLink(json.dumps({"http": {"port": 0}, "password": SECRET}))
    runtime = Runtime(Bench, SettingsSources(BenchSettings, file=None, environment={}), link)
    running = asyncio.ensure_future(runtime.run())
    pages = []
    try:
        await until(lambda: "health and metrics at" in stderr.getvalue() or running.done())
        port = int(stderr.getvalue().partition("http://127.0.0.1:")[2].split('"')[0])
        for name, value in [*SHAPES, *(("port", url) for url in URLS)]:
            for members in ({name: value}, {"labels": {name: value}}, {"http": {"port": 0, name: value}}):
                told = len(link.lines)
                link.on_config(json.dumps({"http": {"port": 0}, **members}))
                await asyncio.sleep(0)
                pages += [await get(port, page) for page in ("/", "/readyz", "/metrics", "/readings")]
                assert len(link.lines) >= told
        link.command(command="x", id="1", password={"a": SECRET})
        link.command(command="x", id="2", token=[SECRET])
        await until(lambda: len(link.results) == 2)
    finally:
        runtime.stop()
        await running
    said = "\n".join([stderr.getvalue(), *pages, *link.lines, *(m.contentdata.decode() for m in link.sent)])
    assert "settings refused" in said
    assert "unknown setting" in said
    assert SECRET.lower() not in said.lower()


async def test_settings_refused_at_the_start_are_reported_to_the_node():
    link = ConfiguredLink(json.dumps({"password": 5, "prot": SECRET[:0] + "x"}))
    with pytest.raises(SettingsError) as refused:
        await Runtime(Bench, SettingsSources(BenchSettings, file=None, environment={}), link).run()
    assert link.lines == [f"settings refused, the service ends: {refused.value}"]


@pytest.mark.parametrize("name", ["IOFOG_LINK", "NATS_SERVER_URL", "IOFOG_AGENT", "EDGELET_API", "SELFNAME"])
@pytest.mark.parametrize(
    "value",
    [
        *URLS,
        f"user:{SECRET}@host",
        f"mqtt:{SECRET}@host",
        f"mqtt://h?password_file=x%00{SECRET}",
        f"nats://h?credentials=%0A{SECRET}",
        f"nats://h?{SECRET}",
        f"agent://h?token={SECRET}",
        f"agent://{SECRET}@h",
    ],
)
def test_no_variable_of_a_link_is_repeated_with_a_secret(name, value):
    environment = {"SELFNAME": "x", name: value}
    if name == "EDGELET_API":
        environment["EDGELET_MICROSERVICE_UID"] = "x"
    try:
        text = connect(environment).description
    except NodeNotFound as error:
        text = str(error)
    assert SECRET not in text


def test_what_is_checked_at_a_prompt_is_printed_without_secrets(tmp_path, capsys):
    file = tmp_path / "s.json"
    file.write_text(json.dumps({"password": SECRET, "port": URLS[0], "labels": {"token": SECRET}}))
    with pytest.raises(SystemExit):
        run(Bench, ["--settings", str(file), "--check"])
    out = capsys.readouterr()
    assert '"password": "(hidden)"' in out.out
    assert SECRET not in out.out + out.err
