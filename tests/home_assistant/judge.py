"""Runs with Home Assistant's interpreter: judges configurations by its schemas and units, and renders states.

Reads a list of cases as JSON from standard input: `component`, `config`, and `payloads` that come on its topic.
Writes for each what is wrong with it, and the states.
"""

import asyncio
import json
import sys
import tempfile

import voluptuous
from homeassistant.components.mqtt import binary_sensor, sensor
from homeassistant.components.mqtt.const import PAYLOAD_NONE
from homeassistant.components.mqtt.models import MqttValueTemplate
from homeassistant.components.sensor.const import DEVICE_CLASS_STATE_CLASSES, DEVICE_CLASS_UNITS
from homeassistant.const import __version__
from homeassistant.core import HomeAssistant

SCHEMAS = {"sensor": sensor.DISCOVERY_SCHEMA, "binary_sensor": binary_sensor.DISCOVERY_SCHEMA}
UNKNOWN = "unknown"


def judge(hass, case):
    try:
        config = SCHEMAS[case["component"]](case["config"])
    except voluptuous.Invalid as error:
        return {"problem": str(error), "states": []}
    problem = ""
    if case["component"] == "sensor" and (kind := config.get("device_class")):
        unit, state_class = config.get("unit_of_measurement"), config.get("state_class")
        if unit not in DEVICE_CLASS_UNITS[kind]:
            problem = f"{kind} in {unit}"
        elif state_class not in DEVICE_CLASS_STATE_CLASSES[kind]:
            problem = f"{kind} is {state_class}"
    template = MqttValueTemplate(config.get("value_template"), hass=hass)
    rendered = [template.async_render_with_possible_json_value(each) for each in case["payloads"]]
    return {"problem": problem, "states": [state_of(config, str(each)) for each in rendered]}


def state_of(config, rendered):
    """As its entities take it, `mqtt/sensor.py` and `mqtt/binary_sensor.py`."""
    if rendered == PAYLOAD_NONE:
        return UNKNOWN
    words = {config.get("payload_on"): "on", config.get("payload_off"): "off"}
    return words.get(rendered, "as before") if "payload_on" in config else rendered


async def main():
    hass = HomeAssistant(tempfile.mkdtemp())
    found = [judge(hass, case) for case in json.load(sys.stdin)]
    json.dump({"version": __version__, "found": found}, sys.stdout)


asyncio.run(main())
