"""What Home Assistant is told, held against its own table of units and classes, and its template language."""

import json
from pathlib import Path

import jinja2
import pytest

from device_bridge import Reading
from mqtt_bridge.discovery import _BY_NAME, _SHOWN, Discovery
from mqtt_bridge.settings import DiscoverySettings

TABLE = json.loads((Path(__file__).parents[1] / "vectors/home_assistant_units.json").read_text())
NAMES = ["co2", "pm1", "pm2_5", "pm10", "water", "gas", "kitchen/co2", "level"]
UNITS = [*_SHOWN, *(unit for _, unit in _BY_NAME), "Bspl", "%", "count"]


def told(quantity, reading, *, is_json=False):
    discovery = Discovery(DiscoverySettings(prefix="homeassistant"), "status")
    (found,) = discovery.configurations("source", quantity, reading, "topic", is_json=is_json)
    return json.loads(found.payload)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("unit", dict.fromkeys(UNITS))
def test_a_class_is_named_only_where_home_assistant_takes_the_unit_for_it(name, unit):
    config = told(name, Reading(name, 1.5, unit))
    device_class = config.get("device_class")
    if device_class is not None:
        assert config["unit_of_measurement"] in TABLE["units"][device_class]
        assert config["state_class"] in TABLE["state_classes"][device_class]


@pytest.mark.parametrize(
    ("name", "unit", "device_class", "state_class"),
    [
        ("co2", "ppm", "carbon_dioxide", "measurement"),
        ("kitchen/co2", "ppm", "carbon_dioxide", "measurement"),
        ("co2", "%", None, "measurement"),
        ("pm2_5", "ug/m3", "pm25", "measurement"),
        ("pm10", "count", None, "measurement"),
        ("pm1", "", None, "measurement"),
        ("s", "kVA", None, "measurement"),
        ("q", "kvar", None, "measurement"),
        ("flow", "l/s", None, "measurement"),
        ("tank", "m3", None, "measurement"),
        ("water", "m3", "water", "total_increasing"),
        ("gas", "m3", "gas", "total_increasing"),
        ("energy", "kWh", "energy", "total_increasing"),
    ],
)
def test_quantity_and_unit_together_say_what_it_is(name, unit, device_class, state_class):
    config = told(name, Reading(name, 1.5, unit))
    assert (config.get("device_class"), config["state_class"]) == (device_class, state_class)


@pytest.mark.parametrize(("value", "state"), [(True, "true"), (False, "false"), (None, "None")])
def test_a_bad_state_is_unknown(value, state):
    config = told("door", Reading("door", value=True), is_json=True)
    rendered = (
        jinja2.Environment(autoescape=True).from_string(config["value_template"]).render(value_json={"value": value})
    )
    assert rendered == state
    assert {config["payload_on"], config["payload_off"]} == {"true", "false"}
    assert "None" not in (config["payload_on"], config["payload_off"])
