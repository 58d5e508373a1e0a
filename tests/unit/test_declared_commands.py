"""Commands as they are declared: checks, table, schema."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_bridge import Command, CommandError, CommandSpec, Parameter
from device_bridge.cli.command_docs import commands_schema, commands_table
from device_bridge.command import check_command

TARE = CommandSpec("tare", description="sets the present weight as zero")
LAMP = CommandSpec(
    "lamp", (Parameter("value", "boolean"), Parameter("for", range=(0.1, 60), required=False, unit="s")), "switches"
)
MODE = CommandSpec("mode", (Parameter("value", "text", choices=("eco", "boost")),))
LEVEL = CommandSpec("level", (Parameter("value", "integer", (0, 100)),))
SPECS = (TARE, LAMP, MODE, LEVEL)


def checked(name, **parameters):
    return check_command(SPECS, Command(name=name, parameters=parameters, id="7")).parameters


@pytest.mark.parametrize("given", [True, 1, 1.0, "on", "ON", "true", "True", "1"])
def test_states_are_taken_as_people_write_them(given):
    assert checked("lamp", value=given) == {"value": True}


@pytest.mark.parametrize("given", [False, 0, 0.0, "off", "OFF", "false", "0"])
def test_and_the_other_one(given):
    assert checked("lamp", value=given) == {"value": False}


@pytest.mark.parametrize(
    ("name", "parameters", "problem"),
    [
        ("lamp", {"value": "banana"}, "`value` = 'banana' is not true or false"),
        ("lamp", {"value": -1}, "is not true or false"),
        ("lamp", {"value": 7}, "is not true or false"),
        ("lamp", {"value": math.nan}, "is not true or false"),
        ("lamp", {}, "lamp needs `value`: true or false"),
        ("lamp", {"value": True, "for": 61}, r"`for` = 61 is not a number from 0.1 to 60 \(s\)"),
        ("lamp", {"value": True, "for": math.inf}, "is not a number"),
        ("lamp", {"value": True, "for": True}, "is not a number"),
        ("lamp", {"value": True, "fro": 1}, "parameter `fro` is unknown to lamp; it takes `value`, `for`"),
        ("level", {"value": 1.5}, "is not a whole number from 0 to 100"),
        ("level", {"value": 10**400}, "is not a whole number"),
        ("mode", {"value": "turbo"}, "is not one of eco, boost"),
        ("mode", {"value": "x" * 10_000}, r"`value` = 'xxx.*\.\.\.x+' is not"),
        ("tare", {"value": 1}, "it takes none"),
        ("lampe", {}, "Did you mean lamp"),
        ("xyz", {}, "Known are tare, lamp, mode, level"),
    ],
)
def test_what_is_not_as_declared_is_refused_with_a_reason(name, parameters, problem):
    with pytest.raises(CommandError, match=problem):
        checked(name, **parameters)


def test_a_whole_number_may_come_as_a_float():
    assert checked("level", value=5.0) == {"value": 5}


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.floats(), st.booleans())), st.text())
def test_anything_is_a_command_or_the_named_error(parameters, name):
    for one in ("lamp", "level", "mode", name):
        try:
            values = check_command(SPECS, Command(name=one, parameters=parameters)).parameters
        except CommandError:
            continue
        assert all(not isinstance(value, float) or math.isfinite(value) for value in values.values())


def test_they_are_documented():
    table = commands_table(SPECS)
    assert "| `lamp` | `value`: true or false; `for` (optional): a number from 0.1 to 60 (s) | switches |" in table
    schema = commands_schema(SPECS)["x-commands"]["lamp"]
    assert schema["required"] == ["value"]
    assert schema["properties"]["for"] == {
        "type": "number",
        "minimum": 0.1,
        "maximum": 60,
        "x-unit": "s",
        "description": "",
    }


@pytest.mark.parametrize(("given", "level"), [(0.25, 0.25), (True, 1), ("OFF", 0), ("on", 1), (0, 0), (1.0, 1)])
def test_a_level_is_a_number_or_on_or_off(given, level):
    assert Parameter("value", "level", (0, 1)).check(given) == level


@pytest.mark.parametrize("given", [1.5, -1, "half", float("nan"), "0.5"])
def test_what_is_no_level_is_refused(given):
    with pytest.raises(CommandError, match="is not a number from 0 to 1"):
        Parameter("value", "level", (0, 1)).check(given)
