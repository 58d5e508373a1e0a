"""mqtt_bridge as an edge node of Sparkplug B."""

import json

import pytest

from device_bridge import Quality, Reading, SettingsError
from device_bridge.messages import senml
from iofog_sdk.messages import parse_senml
from mqtt_bridge.service import MqttBridge
from mqtt_bridge.settings import SparkplugSettings
from mqtt_bridge.sparkplug import SparkplugNode
from mqtt_bridge.sparkplug.schema import decode, message_type

from .serving import settings_of

NOW = 1_800_000_000.0
GOOD, STALE, BAD = 192, 500, 0


@pytest.fixture
def node():
    return SparkplugNode(SparkplugSettings(group="plant", edge_node="edge-1", match="*"), now=lambda: NOW)


def records(*readings, source="meter"):
    return parse_senml(senml.encode(list(readings), f"{source}:"))


def sent(node, *readings, source="meter"):
    return [(each.topic, decode(each.payload)) for each in node.publications(records(*readings, source=source), "p")]


def values(payload):
    return {
        metric.name: None if metric.is_null else getattr(metric, metric.WhichOneof("value"))
        for metric in payload.metrics
    }


def qualities(payload):
    return {
        metric.name: dict(zip(metric.properties.keys, metric.properties.values, strict=True))["Quality"].int_value
        for metric in payload.metrics
    }


def test_a_node_is_born_first_with_the_number_that_its_death_will_have(node):
    death = node.death()
    birth, *others = node.births()
    assert (death.topic, death.qos, death.retain) == ("spBv1.0/plant/NDEATH/edge-1", 1, False)
    assert (birth.topic, birth.qos, birth.retain) == ("spBv1.0/plant/NBIRTH/edge-1", 0, False)
    assert not others
    said = values(decode(birth.payload))
    assert said == {"bdSeq": values(decode(death.payload))["bdSeq"], "Node Control/Rebirth": False}
    assert not decode(death.payload).HasField("seq")
    again = values(decode(node.death().payload))["bdSeq"]
    assert again == (said["bdSeq"] + 1) % 256


def test_what_no_birth_has_spoken_of_makes_a_birth_and_what_follows_is_data(node):
    node.births()
    first = Reading("voltage", 230.5, "V", NOW)
    ((topic, birth),) = sent(node, first, Reading("count", 7, "count", NOW), Reading("open", True, "", NOW))
    assert topic == "spBv1.0/plant/DBIRTH/edge-1/meter"
    assert values(birth) == {"voltage": 230.5, "count": 7, "open": True}
    assert [metric.datatype for metric in birth.metrics] == [10, 4, 11]
    assert [metric.timestamp for metric in birth.metrics] == 3 * [round(NOW * 1000)]
    ((topic, data),) = sent(node, Reading("voltage", 231, "V", NOW))
    assert (topic, values(data)) == ("spBv1.0/plant/DDATA/edge-1/meter", {"voltage": 231.0})
    ((topic, birth),) = sent(node, Reading("current", 1.5, "A", NOW))
    assert topic.endswith("/DBIRTH/edge-1/meter")
    assert values(birth) == {"voltage": 231.0, "count": 7, "open": True, "current": 1.5}


def test_another_type_or_unit_makes_a_birth(node):
    node.births()
    kinds = [
        [topic.split("/")[2] for topic, _ in sent(node, Reading("x", value, unit, NOW))]
        for value, unit in ((1, "V"), (2, "V"), (2.5, "V"), (3, "V"), ("off", "V"), ("on", ""), ("off", ""))
    ]
    assert kinds == [[each] for each in ("DBIRTH", "DDATA", "DBIRTH", "DDATA", "DBIRTH", "DBIRTH", "DDATA")]


def test_numbers_follow_each_other_over_all_messages_and_begin_again_with_a_birth(node):
    numbers = [decode(each.payload).seq for each in node.births()]
    for _ in range(300):
        numbers += [payload.seq for _, payload in sent(node, Reading("x", 1.0, "V", NOW))]
    assert numbers == [number % 256 for number in range(301)]
    assert [decode(each.payload).seq for each in node.births()] == [0, 1]
    assert [payload.seq for _, payload in sent(node, Reading("x", 1.0, "V", NOW))] == [2]


def test_what_is_not_good_is_marked_and_what_is_bad_has_no_value(node):
    node.births()
    readings = [
        Reading("good", 1.0, "V", NOW),
        Reading("stale", 1.0, "V", NOW, Quality.STALE, "silent"),
        Reading("uncertain", 1.0, "V", NOW, Quality.UNCERTAIN, "at its limit"),
        Reading("bad", None, "V", NOW, Quality.BAD, "no answer"),
    ]
    ((_, birth),) = sent(node, *readings)
    assert values(birth) == {"good": 1.0, "stale": 1.0, "uncertain": 1.0, "bad": None}
    assert qualities(birth) == {"good": GOOD, "stale": STALE, "uncertain": BAD, "bad": BAD}


@pytest.mark.parametrize(("value", "written"), [(-1, 2**64 - 1), (2**62, 2**62), (-(2**63), 2**63)])
def test_whole_numbers_are_written_in_twos_complement(node, value, written):
    node.births()
    ((_, birth),) = sent(node, Reading("x", value, "", NOW))
    assert values(birth) == {"x": written}


def test_readings_that_have_waited_are_historical(node):
    node.births()
    sent(node, Reading("x", 1.0, "V", NOW - 3600))
    marks = [sent(node, Reading("x", 1.0, "V", at))[0][1].metrics[0].is_historical for at in (NOW - 120, NOW - 1)]
    assert marks == [True, False]


def test_a_host_that_asks_gets_everything_again(node):
    node.births()
    sent(node, Reading("x", 1.0, "V", NOW))
    sent(node, Reading("x", 2.0, "V", NOW), source="other")
    command = message_type("Payload")()
    command.metrics.add(name="Node Control/Rebirth", datatype=11, boolean_value=True)
    assert node.asks_for_births(command.SerializeToString())
    assert [(each.topic.split("/", 2)[2], values(decode(each.payload)).get("x")) for each in node.births()] == [
        ("NBIRTH/edge-1", None),
        ("DBIRTH/edge-1/meter", 1.0),
        ("DBIRTH/edge-1/other", 2.0),
    ]


@pytest.mark.parametrize("payload", [b"", b"\xff\xff", b"{}", b"\x12\x03\x0a\x01x", bytes(range(256))])
def test_other_commands_are_no_wish_for_births(node, payload):
    assert not node.asks_for_births(payload)


def test_names_become_levels_of_a_topic_and_a_pattern_chooses(node):
    node.births()
    ((topic, _),) = sent(node, Reading("x", 1.0, "V", NOW), source="hall/3+")
    assert topic == "spBv1.0/plant/DBIRTH/edge-1/hall~3=2b="
    chosen = SparkplugNode(SparkplugSettings(group="g", edge_node="e", match="meter:v*"), now=lambda: NOW)
    ((_, birth),) = sent(chosen, Reading("voltage", 1.0, "V", NOW), Reading("current", 1.0, "A", NOW))
    assert set(values(birth)) == {"voltage"}


def test_metrics_are_limited_and_the_rest_is_counted(node, monkeypatch):
    monkeypatch.setattr("mqtt_bridge.sparkplug.edge_node._MAX_METRICS", 3)
    node.births()
    for number in range(5):
        sent(node, Reading(f"q{number}", 1.0, "", NOW))
    assert node.counts["unknown"] == 2
    assert len(values(decode(node.births()[1].payload))) == 3


@pytest.mark.parametrize(
    ("change", "field"),
    [({"broker": {"host": "h"}}, "broker.session"), ({"sparkplug": {"group": "a/b"}}, "sparkplug.group")],
)
def test_settings_that_sparkplug_forbids_are_refused(change, field):
    known = {"broker": {"host": "h", "session": 0}, "sparkplug": {"group": "plant"}}
    MqttBridge.check_settings(settings_of(MqttBridge, **known))
    with pytest.raises(SettingsError) as refused:
        MqttBridge.check_settings(settings_of(MqttBridge, **known | change))
    assert refused.value.field == field, json.dumps(str(refused.value))
