"""Every unit, state and text, as payloads of both kinds: what Home Assistant's own code makes of them."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from device_bridge import Quality, Reading
from device_bridge.messages import senml
from iofog_sdk import IoMessage
from mqtt_bridge.discovery import _BY_NAME, _SHOWN, Discovery
from mqtt_bridge.settings import DiscoverySettings, ToMqtt
from mqtt_bridge.to_mqtt import ToTopics

PYTHON = os.environ.get("HOME_ASSISTANT_PYTHON")
pytestmark = pytest.mark.skipif(not PYTHON, reason="make home-assistant")
NUMBERS = [("q", unit) for unit in (*_SHOWN, "Bspl")] + list(_BY_NAME)
TIME = 1_700_000_000.0
BAD = {"quality": Quality.BAD, "reason": "no fix"}
CASES = [
    *((name, unit, 1.5, "1.5") for name, unit in NUMBERS),
    ("door", "", True, "on"),
    ("door", "", False, "off"),
    ("mode", "", "idle", "idle"),
    ("mode", "", "None of these", "None of these"),
]


def published(name, unit, value, *, payload):
    """What a good reading and then a bad one become: the component, what is told of it, its payloads."""
    discovery = Discovery(DiscoverySettings(prefix="homeassistant", expire_after=60), "status")
    rules = [ToMqtt(topic="{source}/{quantity}", payload=payload)]
    topics = ToTopics(rules, "bridge", discovery)
    found = []
    for reading in (Reading(name, value, unit, TIME), Reading(name, None, unit, TIME, **BAD)):
        content = senml.encode([reading], "device:")
        message = IoMessage(infotype=senml.INFO_TYPE, infoformat=senml.INFO_FORMAT, contentdata=content)
        found += topics.publications(message)
    config, *states = found
    assert config.topic.startswith("homeassistant/")
    component = config.topic.split("/")[1]
    payloads = [each.payload.decode() for each in states]
    return {"component": component, "config": json.loads(config.payload), "payloads": payloads}


@pytest.mark.parametrize("payload", ["json", "value"])
def test_home_assistant_takes_it_and_a_bad_value_is_unknown(payload):
    cases = [published(name, unit, value, payload=payload) for name, unit, value, _ in CASES]
    judge = Path(__file__).with_name("judge.py")
    run = subprocess.run((PYTHON, judge), input=json.dumps(cases), capture_output=True, text=True, check=True)
    found = json.loads(run.stdout)
    print(f"Home Assistant {found['version']}: {len(cases)} discovery payloads")
    for (name, unit, _, state), judged in zip(CASES, found["found"], strict=True):
        assert (name, unit, judged["problem"], judged["states"]) == (name, unit, "", [state, "unknown"])


def test_the_judge_finds_what_is_wrong():
    good = published("q", "V", 1.5, payload="json")
    wrong = [
        good | {"config": good["config"] | {"device_class": "speed"}},
        good | {"config": good["config"] | {"device_class": "nothing"}},
        good | {"config": good["config"] | {"value_template": "{{ value_json.value | lower }}"}},
    ]
    judge = Path(__file__).with_name("judge.py")
    run = subprocess.run((PYTHON, judge), input=json.dumps(wrong), capture_output=True, text=True, check=True)
    unit, kind, template = json.loads(run.stdout)["found"]
    assert unit["problem"]
    assert kind["problem"]
    assert template["states"] == ["1.5", "none"]
