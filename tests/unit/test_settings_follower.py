"""Settings over all changes: the first, good ones, refused ones, the same again."""

import asyncio
import json

import pytest

from device_bridge import CommandedSettings, DeviceService, SettingsError
from device_bridge.runtime import settings_follower as module
from device_bridge.runtime.settings_follower import SettingsFollower
from device_bridge.settings import SettingsSources


class BenchSettings(CommandedSettings, frozen=True, kw_only=True):
    port: str


class Bench(DeviceService[BenchSettings]):
    @classmethod
    def check_settings(cls, settings):
        if settings.port == "nowhere":
            raise SettingsError("port", "nowhere", "is no port", "Write a port.")


class Followed:
    def __init__(self, file=None):
        self.reports, self.proposed = [], []
        sources = SettingsSources(BenchSettings, file=file, environment={})
        self.follower = SettingsFollower(Bench, sources, self.reports.append)
        self.follower.on_settings = self.proposed.append
        self.status = self.follower.status

    def give(self, **members):
        self.follower.take_config(json.dumps(members))

    async def begin(self, **members):
        self.give(**members)
        first = await self.follower.first("the node")
        self.follower.adopt(first)
        return first


async def test_the_first_settings_are_the_nodes():
    followed = Followed()
    assert (await followed.begin(port="a")).port == "a"
    assert followed.proposed == [], "they are given by `first`"
    assert followed.status.in_force.port == "a"


async def test_without_an_answer_of_the_node_local_settings_are_taken_if_they_are_enough(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_CONFIG_WAIT_S", 0.0)
    file = tmp_path / "settings.json"
    file.write_text('{"port": "local"}')
    assert (await Followed(file).follower.first("the node")).port == "local"
    waiting = Followed()
    first = asyncio.ensure_future(waiting.follower.first("the node"))
    await asyncio.sleep(0.01)
    assert not first.done()
    waiting.give(port="late")
    assert (await first).port == "late"


async def test_the_first_settings_of_the_node_must_be_good():
    with pytest.raises(SettingsError, match="is no port"):
        await Followed().begin(port="nowhere")


async def test_a_change_is_proposed_once_and_in_force_once_adopted():
    followed = Followed()
    await followed.begin(port="a")
    since = followed.status.since
    followed.give(port="b")
    followed.give(port="b")
    (changed,) = followed.proposed
    assert followed.status.in_force.port == "a"
    followed.follower.adopt(changed)
    assert (followed.status.in_force.port, followed.status.since > since) == ("b", True)


async def test_a_refusal_is_reported_once_and_stands_until_good_ones_come(caplog):
    followed = Followed()
    first = await followed.begin(port="a")
    for _ in range(3):
        followed.give(port="nowhere")
    assert followed.status.refusals == 3
    assert len(followed.reports) == 1
    assert "is no port" in followed.status.refused
    followed.follower.adopt(first)
    assert followed.status.refused, "a device that opens again with the old ones does not make the new ones good"
    caplog.clear()
    caplog.set_level("INFO")
    followed.give(port="a")
    assert (followed.status.refused, followed.proposed) == ("", [])
    assert caplog.text.count("good again") == 1


async def test_what_the_device_refuses_stays_refused_until_others_are_given():
    followed = Followed()
    await followed.begin(port="a")
    followed.give(port="b")
    (changed,) = followed.proposed
    followed.follower.refuse_proposed(changed, SettingsError("port", "b", "is a plain file", "Write a tty."))
    followed.give(port="b")
    assert "plain file" in followed.status.refused, "the same again is not good by being sent twice"
    assert len(followed.proposed) == 1
    followed.give(port="a")
    followed.follower.adopt(followed.proposed[-1])
    assert followed.status.refused == ""
    followed.give(port="b")
    assert [settings.port for settings in followed.proposed] == ["b", "a", "b"], "and may be tried again later"


async def test_a_late_refusal_of_what_was_replaced_meanwhile_says_nothing():
    followed = Followed()
    await followed.begin(port="a")
    followed.give(port="b")
    followed.give(port="c")
    followed.follower.refuse_proposed(followed.proposed[0], SettingsError("port", "b", "is bad", ""))
    assert followed.status.refused == ""


async def test_a_file_that_cannot_be_read_again_is_a_refusal(tmp_path):
    file = tmp_path / "settings.json"
    file.write_text('{"port": "a"}')
    followed = Followed(file)
    await followed.begin()
    file.write_text("{")
    followed.follower.reread_file()
    assert "cannot be parsed" in followed.status.refused
    file.write_text('{"port": "b"}')
    followed.follower.reread_file()
    assert (followed.status.refused, followed.proposed[0].port) == ("", "b")
