"""Secrets are never shown, wherever they were written."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_bridge import ServiceSettings, Settings, SettingsError
from device_bridge.secrets import may_be_secret, shown, without_url_secrets
from device_bridge.settings import SettingsSources

SECRET = "hunter2-marked"  # noqa: S105 - what the test looks for


class Broker(Settings, frozen=True, kw_only=True):
    host: str = "x"
    password: str = ""


class BenchSettings(ServiceSettings, frozen=True, kw_only=True):
    broker: Broker = Broker()
    port: str = "a"


def refusal(config="{}", environment=None, file=None):
    with pytest.raises(SettingsError) as refused:
        SettingsSources(BenchSettings, file=file, environment=environment or {}).resolve(config)
    return str(refused.value)


@pytest.mark.parametrize(
    "members",
    [
        {"password": SECRET},
        {"broker": {"passwrd": SECRET, "pasword": SECRET}},
        {"broker": {"api_key": SECRET}},
        {"broker": {"password": [SECRET]}},
        {"broker": {"password": {"a": SECRET}}},
        {"broker": [{"password": SECRET}]},
        {"stale_after": {"token": SECRET}},
        {"stale_after": [f"mqtt://user:{SECRET}@host/x"]},
        {"stale_after": "x", "unknown": f"nats://{SECRET}@host"},
        {"unknown": f"nats://host?password={SECRET}"},
        {"credentials": {"deep": {"deeper": SECRET}}},
        {"auth": SECRET},
        {"broker": {"apiKey": SECRET, "wifi-psk": SECRET, "Authorization": f"Basic {SECRET}"}},
        {"stale_after": {"connectionString": SECRET, "passCode": SECRET}},
        {"stale_after": f"password={SECRET}"},
        {"stale_after": f"host x; api-key: {SECRET}"},
    ],
)
@pytest.mark.parametrize("source", ["config", "file", "environment"])
def test_a_secret_in_the_wrong_place_is_not_repeated(members, source, tmp_path):
    if source == "config":
        text = refusal(json.dumps(members))
    elif source == "file":
        (tmp_path / "s.json").write_text(json.dumps(members))
        text = refusal(file=tmp_path / "s.json")
    else:
        text = refusal(environment={f"SETTING_{name.upper()}": json.dumps(value) for name, value in members.items()})
    assert SECRET not in text


def test_a_config_that_is_no_json_is_not_repeated():
    assert SECRET not in refusal(f'{{"password": "{SECRET}"')


@pytest.mark.parametrize(
    "config", ["[" * 100_000, '{"port": ' * 5000, '{"port": "\ud800"}', "\ud800", '{"a":' * 900 + "1" + "}" * 900]
)
def test_any_text_is_settings_or_the_named_error(config):
    refusal(config)


def test_what_is_shown_is_short():
    assert len(shown("x" * 100_000)) <= 62
    assert shown(10**5000) == "a number of very many digits"
    assert shown(9600, "serial.baud") == "9600"
    assert (
        without_url_secrets("see http://a:b@c/d?e=f and mqtt://g") == "see http://(hidden)@c/d?(hidden) and mqtt://g"
    )


@pytest.mark.parametrize(
    "name",
    [
        *("password", "broker.password", "passWord", "api_key", "key", "token", "nats.credentials", "psk_key"),
        *("apikey", "apiKey", "APIKey", "APIKEY", "api-key", "api key", "accessKey", "sshkey", "encryption-key"),
        *("keyfile", "psk", "wifi_psk", "pwd", "mqtt_pw", "passcode", "Authorization", "connection_string"),
        *("connectionString", "bearer", "cookie", "cred", "creds", "auth-token", "authKey1", "broker.apiKey.x"),
    ],
)
def test_names_of_secrets(name):
    assert may_be_secret(name)


@pytest.mark.parametrize(
    "name", ["serial.port", "keyboard", "broker.keep_alive", "passes", "pins", "hotkey", "bypass_window", "author"]
)
def test_names_of_other_things(name):
    assert may_be_secret(name) is (name == "pins")


@given(
    st.recursive(
        st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_anything_can_be_shown(value):
    assert len(shown(value, "port")) <= 62
