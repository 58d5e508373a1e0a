"""Settings by their old names: accepted, with a warning that says the new one."""

import json
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import pytest
from msgspec import Meta

from device_bridge import ServiceSettings, Settings, SettingsError
from device_bridge.settings import SettingsSources


class Unit(Settings, frozen=True, kw_only=True):
    renamed: ClassVar[Mapping[str, str]] = {"timeout_s": "timeout"}
    timeout: float = 1.0


class Poll(Unit, frozen=True, kw_only=True, tag_field="type", tag="poll"):
    pass


class Listen(Settings, frozen=True, kw_only=True, tag_field="type", tag="listen"):
    pass


class Bench(ServiceSettings, frozen=True, kw_only=True):
    renamed: ClassVar[Mapping[str, str]] = {**ServiceSettings.renamed, "hold": "node_timeout"}
    renamed_values: ClassVar[Mapping[str, Mapping[str, str]]] = {"mode": {"quick": "fast"}}
    node_timeout: float = 60.0
    mode: Literal["fast", "slow"] = "slow"
    units: Annotated[tuple[Unit, ...], Meta(description="some")] = ()
    by_name: dict[str, Unit] = {}
    how: Poll | Listen = Listen()
    maybe: Unit | None = None


def resolved(config, environment=None):
    return SettingsSources(Bench, file=None, environment=environment or {}).resolve(json.dumps(config))


@pytest.mark.parametrize(
    ("given", "value", "found"),
    [
        ({"hold": 5}, lambda s: s.node_timeout, 5.0),
        ({"silent_after": 7}, lambda s: s.stale_after, 7.0),
        ({"outbox": {"spill_after_s": 3}}, lambda s: s.outbox.spill_after, 3.0),
        ({"outbox": {"on_full": "block_device"}}, lambda s: s.outbox.on_full, "pause_reading"),
        ({"mode": "quick"}, lambda s: s.mode, "fast"),
        ({"units": [{"timeout_s": 2}, {"timeout": 3}]}, lambda s: [u.timeout for u in s.units], [2.0, 3.0]),
        ({"by_name": {"timeout_s": {"timeout_s": 2}}}, lambda s: s.by_name["timeout_s"].timeout, 2.0),
        ({"how": {"type": "poll", "timeout_s": 4}}, lambda s: s.how.timeout, 4.0),
        ({"maybe": {"timeout_s": 6}}, lambda s: s.maybe.timeout, 6.0),
    ],
)
def test_an_old_name_is_taken_and_the_new_one_said(caplog, given, value, found):
    assert value(resolved(given)) == found
    assert "is now" in caplog.text


def test_a_later_source_wins_by_either_name(caplog):
    assert resolved({"node_timeout": 5}, {"SETTING_HOLD": "9"}).node_timeout == 9.0
    assert resolved({"hold": 5}, {"SETTING_NODE_TIMEOUT": "9"}).node_timeout == 9.0


def test_both_names_in_one_source_mean_the_new_one():
    assert resolved({"hold": 5, "node_timeout": 6}).node_timeout == 6.0


def test_new_names_cost_no_warning_and_wrong_values_are_still_explained(caplog):
    resolved({"node_timeout": 5})
    assert not caplog.records
    with pytest.raises(SettingsError, match=r"setting node_timeout = 'x'"):
        resolved({"hold": "x"})
    with pytest.raises(SettingsError, match="unknown setting"):
        resolved({"timeout_s": 1})
