"""What a template author writes is checked: when the class is made, or when it is started."""

from typing import Generic, TypeVar

import pytest

from device_bridge import CommandedSettings, ContractError, DeviceService, Interval, Quantity, ServiceSettings, every
from device_bridge.cli import command_line
from device_bridge.supervision import Supervisor


class LuxSettings(ServiceSettings, frozen=True, kw_only=True):
    interval: Interval = 1.0


class Polled(DeviceService[LuxSettings]):
    quantities = (Quantity("light", "lx"),)

    @every("interval")
    async def sample(self):
        return [self.quantities[0].good(1.0)]


def test_an_interval_that_names_no_setting_is_refused_when_the_class_is_made():
    with pytest.raises(ContractError, match=r"Wrong.sample: @every\('intervall'\) .*Did you mean interval"):

        class Wrong(DeviceService[LuxSettings]):
            @every("intervall")
            async def sample(self):
                return []


def test_a_generic_base_is_checked_with_the_settings_of_its_subclass():
    S = TypeVar("S", bound=ServiceSettings)

    class Base(DeviceService[S], Generic[S]):
        @every("interval")
        async def sample(self):
            return []

    class Good(Base[LuxSettings]):
        pass

    assert Good.settings_type is LuxSettings
    assert Good.polls() == [("sample", "interval")]
    with pytest.raises(ContractError, match="names no setting of ServiceSettings"):

        class Bad(Base[ServiceSettings]):
            pass


def test_inherited_polls_run():
    class Child(Polled):
        pass

    class Quieter(Polled):
        async def sample(self):
            return []

    assert Child.polls() == Quieter.polls() == [("sample", "interval")]
    Child.check_contract()


class Mute(DeviceService[LuxSettings]):
    """Neither streams nor polls."""


class Deaf(DeviceService[CommandedSettings]):
    """Has settings for commands, and takes none."""

    async def stream(self):
        yield []


class Eager(DeviceService[LuxSettings]):
    """Takes commands, and has no settings for them."""

    async def stream(self):
        yield []

    async def execute(self, command):
        raise AssertionError


@pytest.mark.parametrize(
    ("service", "problem"),
    [
        (Mute, "neither `stream` nor a method marked with @every"),
        (Deaf, "CommandedSettings, but no `execute`"),
        (Eager, "has `execute`, but LuxSettings is no CommandedSettings"),
    ],
)
def test_a_class_that_could_not_run_is_refused_at_the_start(service, problem, capfd):
    with pytest.raises(ContractError, match=problem):
        Supervisor(service, service.settings_type(), lambda _: None, lambda: None)
    with pytest.raises(SystemExit) as end:
        command_line.run(service, [])
    assert end.value.code == 70
    assert problem in capfd.readouterr().err


def test_settings_are_judged_without_an_instance(capsys, tmp_path):
    class Careful(Polled):
        def __init__(self, settings):
            raise AssertionError("made to judge settings")

        @classmethod
        def check_settings(cls, settings):
            checked.append(settings.interval)

    checked = []
    file = tmp_path / "lux.toml"
    file.write_text("interval = 7")
    with pytest.raises(SystemExit) as end:
        command_line.run(Careful, ["--check", "--settings", str(file)])
    assert (end.value.code, checked) == (0, [7.0])
