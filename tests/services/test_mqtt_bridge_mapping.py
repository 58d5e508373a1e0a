"""mqtt_bridge without a broker: topics, what messages become, what topics become, what Home Assistant is told."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from device_bridge import Command, CommandError, Forwarded, Quality, Reading, SettingsError
from device_bridge.messages import senml
from device_bridge.protocols import RecordField
from iofog_sdk import Address, IoMessage, address_of
from iofog_sdk.mqtt import ReceivedMessage
from mqtt_bridge.broker.arrivals import _MOST_BYTES, Arrivals
from mqtt_bridge.broker.log_once import LogOnce
from mqtt_bridge.discovery import Discovery
from mqtt_bridge.hops import MAX_HOPS
from mqtt_bridge.service import MqttBridge
from mqtt_bridge.settings import DiscoverySettings, MqttCommand, ToIofog, ToMqtt
from mqtt_bridge.to_iofog import FromTopics
from mqtt_bridge.to_mqtt import ToTopics, publication_of
from mqtt_bridge.topics import filled_payload, filled_topic, needed, overlap, wildcards

from ..campaign import budget
from .serving import settings_of

LEVEL = st.sampled_from(["a", "b", "$x", "", "é"])
TOPIC = st.lists(LEVEL, min_size=1, max_size=4).map("/".join).filter(bool)
FILTER = st.lists(st.sampled_from(["a", "b", "$x", "", "+"]), min_size=1, max_size=4).flatmap(
    lambda levels: st.sampled_from(["/".join(levels), "/".join([*levels, "#"])])
)


@given(FILTER.filter(bool), TOPIC)
def test_filters_match_as_in_another_library(topic_filter, topic):
    assert (wildcards(topic_filter, topic) is not None) == topic_matches_sub(topic_filter, topic)


@given(FILTER.filter(bool), FILTER.filter(bool), st.lists(TOPIC, max_size=20))
def test_filters_that_share_a_topic_overlap(one, other, topics):
    for topic in topics:
        both = wildcards(one, topic) is not None, wildcards(other, topic) is not None
        assert overlap(one, other) or both != (True, True)


@given(st.lists(FILTER.filter(bool), max_size=5), st.lists(TOPIC, max_size=20))
def test_a_topic_is_subscribed_to_once_however_its_filters_overlap(filters, topics):
    subscriptions = needed(filters)
    for topic in topics:
        fitting = [each for each in subscriptions if wildcards(each, topic) is not None]
        assert len(fitting) <= 1
        assert fitting or not any(wildcards(each, topic) is not None for each in filters)


def test_wildcards_give_what_stands_for_them():
    assert wildcards("tele/+/SENSOR", "tele/plug/SENSOR") == ("plug",)
    assert wildcards("a/+/b/#", "a/x/b/c/d") == ("x", "c/d")
    assert wildcards("a/#", "a") == ("",)
    assert wildcards("a/+", "a") is None
    assert wildcards("#", "$SYS/uptime") is None


def test_only_what_is_needed_is_subscribed_to():
    assert needed(["a/b", "a/+", "c", "a/#", "c"]) == ["a/#", "c"]
    assert needed(["a/+", "+/b"]) == ["+/+"], "of which the broker sends a/b once"
    assert needed(["$x/a", "+/#", "$x"]) == ["$x/a", "+/#", "$x"], "a wildcard at the start does not match these"


def test_a_value_in_a_topic_is_one_level_and_in_json_stays_text():
    assert filled_topic("x/{source}/{quantity}", {"source": "a/b+#", "quantity": ""}) == "x/a~b=2b==23=/=="
    assert filled_payload('{"state":"{value}"}', {"value": 'on","x":"'}) == '{"state":"on\\",\\"x\\":\\""}'
    assert json.loads(filled_payload('{"on":{value}}', {"value": True})) == {"on": True}


@given(st.text(max_size=50))
def test_any_text_makes_a_topic(text):
    topic = filled_topic("a/{source}", {"source": text})
    assert topic.count("/") == 1
    assert not set(topic) & set("+#")


PACK = senml.encode(
    [
        Reading("temperature", 21.5, "Cel", time=1.7e9),
        Reading("door", value=True, time=1.7e9),
        Reading("state", "idle", time=1.7e9 + 1),
        Reading("co2", None, "ppm", time=1.7e9, quality=Quality.BAD, reason="warming up"),
    ],
    "cold/room:",
)


def message(content=PACK, infotype=senml.INFO_TYPE, tag=""):
    return IoMessage(
        groupid="run", sequencenumber=7, publisher="uuid-1", infotype=infotype, contentdata=content, tag=tag
    )


def published(rule, sent=None, **more):
    found = ToTopics([ToMqtt(**rule)], "this-bridge", **more).publications(sent or message())
    return {each.topic: each.payload.decode() for each in found}


def test_a_pack_is_published_whole_with_its_number():
    ((topic, text),) = published({"topic": "plant/{source}"}).items()
    assert topic == "plant/cold~room"
    records = json.loads(text)
    assert (records[0]["run"], records[0]["seq"]) == ("run", 7)
    assert senml.decode(text.encode()) == senml.decode(PACK)


def test_each_quantity_alone():
    found = published({"topic": "plant/{source}/{quantity}"})
    assert sorted(found) == [f"plant/cold~room/{name}" for name in ("co2", "door", "state", "temperature")]
    alone = [senml.decode(text.encode())[0] for text in found.values()]
    assert sorted(alone, key=str) == sorted(senml.decode(PACK), key=str)


def test_some_of_them_by_their_names():
    assert list(published({"topic": "t/{quantity}", "match": "*:temp*"})) == ["t/temperature"]
    assert published({"topic": "t/{quantity}", "match": "gps:*"}) == {}
    (text,) = published({"topic": "t", "match": "cold/room:[ds]*"}).values()
    assert [reading.name for reading in senml.decode(text.encode())] == ["cold/room:door", "cold/room:state"]


def test_values_alone_and_an_unknown_one_is_none():
    found = published({"topic": "{quantity}", "payload": "value"})
    assert found == {"temperature": "21.5", "door": "true", "state": "idle", "co2": "None"}


def test_a_value_alone_is_unknown_when_it_is_stale():
    readings = [
        Reading("level", 3.5, "m", quality=Quality.STALE, reason="silent"),
        Reading("flow", 2.0, "l/s", quality=Quality.UNCERTAIN, reason="outside"),
    ]
    sent = message(senml.encode(readings, "tank:"))
    assert published({"topic": "{quantity}", "payload": "value"}, sent) == {"level": "None", "flow": "2.0"}


def test_objects_with_value_and_quality():
    found = published({"topic": "{quantity}", "payload": "json"})
    assert json.loads(found["temperature"]) == {"run": "run", "seq": 7, "value": 21.5, "unit": "Cel", "time": 1.7e9}
    assert json.loads(found["co2"])["quality"] == "bad"
    assert json.loads(found["co2"])["value"] is None


RESULT = b'{"command":"tare","id":"c1","ok":true,"detail":"sent"}'


def test_results_and_other_messages():
    told = message(RESULT, "application/json")
    assert json.loads(published({"messages": "results", "topic": "r/{command}/{id}"}, told)["r/tare/c1"])["ok"]
    assert published({"topic": "r"}, told) == {}
    image = message(b"\xff\xd8", "image/jpeg")
    (found,) = ToTopics([ToMqtt(messages="other", topic="o/{publisher}")], "b").publications(image)
    assert (found.topic, found.payload, found.content_type) == ("o/uuid-1", b"\xff\xd8", "image/jpeg")


CONTENTS = [b'[{"n":"a","bv":1.5,"v":1%b}]' % (b"0" * 400), b'{"command":"\xff","ok":true}', b"[" * 10_000]


@given(
    st.one_of(st.binary(max_size=60), st.sampled_from(CONTENTS)),
    st.sampled_from([senml.INFO_TYPE, "application/json", "x/y"]),
)
def test_any_content_is_published_or_counted(content, infotype):
    rules = [ToMqtt(topic="a/{quantity}", payload=payload) for payload in ("senml", "json", "value")]
    rules += [ToMqtt(messages=kind, topic="b") for kind in ("results", "other")]
    way = ToTopics(rules, "b")
    way.publications(message(content, infotype))
    assert sum(way.counts[name] for name in ("published", "unmatched")) == 1


def test_what_has_been_through_this_bridge_does_not_go_through_again():
    way = ToTopics([ToMqtt(topic="t")], "this-bridge")
    assert way.publications(message(tag=Address("", ("other", "this-bridge")).tag())) == []
    assert way.counts["loops"] == 1
    (found,) = way.publications(message(tag=Address("", ("other",)).tag()))
    assert found.user_properties == (("iofog-via", "other,this-bridge"),)


def came(topic, payload, *, retained=False, user_properties=()):
    return ReceivedMessage(topic, payload, retained, user_properties, guaranteed=True, acknowledge=lambda: None)


NOW = 1.7e9


def taken(rule, *received, name="this-bridge"):
    way = FromTopics([ToIofog(**rule)], name, now=lambda: NOW)
    return [passed for each in received for passed in way.passed(each)], way.counts


def readings(passed):
    return [(r.name, r.value, r.unit, r.quality) for r in passed.content]


GOOD = Quality.GOOD


def test_numbers_and_states_of_an_object_without_more_being_said():
    payload = b'{"temperature": 21.5, "contact": true, "battery": 97, "last_seen": "today", "nested": {"x": 1}}'
    ((passed,), _) = taken({"topic": "zigbee2mqtt/+", "prefix": "{1}/"}, came("zigbee2mqtt/cold room", payload))
    assert readings(passed) == [
        ("cold_room/temperature", 21.5, "", GOOD),
        ("cold_room/contact", True, "", GOOD),
        ("cold_room/battery", 97, "", GOOD),
    ]


def described(*fields, **more):
    rule = {"topic": "t/+", "fields": list(fields)} | more
    return settings_of(MqttBridge, broker={"host": "h"}, to_iofog=[rule]).to_iofog


def test_values_that_are_described():
    rules = described(
        {"name": "t", "key": "ENERGY.0.T", "unit": "Cel", "scale": 0.1},
        {"name": "mode", "key": "m", "kind": "text"},
        {"name": "absent", "unit": "V"},
        {"name": "v", "missing": [-1]},
    )
    way = FromTopics(rules, "b")
    (passed,) = way.passed(came("t/x", b'{"ENERGY": [{"T": 215}], "m": "eco", "v": -1}'))
    assert readings(passed) == [("t", 21.5, "Cel", GOOD), ("mode", "eco", "", GOOD), ("v", None, "", Quality.BAD)]
    assert way.passed(came("t/x", b'{"other": 1}')) == []
    assert way.counts["malformed"] == 1


@pytest.mark.parametrize(
    ("payload", "value"), [(b"21.5", 21.5), (b"ON", True), (b"false", False), (b"open", "open"), (b" 7 ", 7)]
)
def test_one_value(payload, value):
    ((passed,), _) = taken({"topic": "home/+/level", "payload": "value"}, came("home/tank/level", payload))
    assert readings(passed) == [("level", value, "", GOOD)]


def test_a_pack_goes_on_as_it_is():
    ((passed,), _) = taken({"topic": "p", "payload": "senml"}, came("p", PACK))
    assert (passed.content, passed.infotype) == (PACK, senml.INFO_TYPE)


def test_a_value_kept_by_the_broker_is_stale_and_a_command_kept_there_is_none():
    ((passed,), _) = taken({"topic": "t", "payload": "value"}, came("t", b"1", retained=True))
    assert [(r.value, r.quality) for r in passed.content] == [(1, Quality.STALE)]
    assert "nobody knows" in passed.content[0].reason
    found, counts = taken({"topic": "t", "becomes": "command", "command": "x"}, came("t", b"1", retained=True))
    assert (found, counts["retained"]) == ([], 1)


@pytest.mark.parametrize(
    ("payload", "content"),
    [
        (b"ON", {"command": "lamp", "value": "ON"}),
        (b"true", {"command": "lamp", "value": True}),
        (b"20.5", {"command": "lamp", "value": 20.5}),
        (b"", {"command": "lamp"}),
    ],
)
def test_a_payload_is_the_value_of_a_command_for_a_microservice(payload, content):
    rule = {"topic": "set/+/+", "becomes": "command", "command": "{2}", "to": "{1}"}
    ((passed,), _) = taken(rule, came("set/relays/lamp", payload))
    assert json.loads(passed.content) == content | {"time": NOW}
    assert address_of(passed.tag).recipient == "relays"
    assert passed.infotype == "application/json"


def test_a_whole_command_goes_on_and_what_is_none_does_not():
    rule = {"topic": "c", "becomes": "command"}
    ((passed,), _) = taken(rule, came("c", b'{"command":"tare","id":"7"}'))
    assert json.loads(passed.content) == {"command": "tare", "id": "7", "time": NOW}
    found, counts = taken(rule, came("c", RESULT), came("c", b"[]"), came("c", b"x"), came("c", b'{"command":3}'))
    assert (found, counts["malformed"]) == ([], 4)


def test_any_payload_as_a_message():
    rule = {"topic": "img", "becomes": "message", "infotype": "image/jpeg", "infoformat": "binary"}
    ((passed,), _) = taken(rule, came("img", b"\xff"))
    assert (passed.content, passed.infotype, passed.infoformat) == (b"\xff", "image/jpeg", "binary")


def test_loops_and_too_many_hops_are_seen():
    rule = {"topic": "t", "payload": "value"}
    found, counts = taken(rule, came("t", b"1", user_properties=(("iofog-via", "a,this-bridge"),)))
    assert (found, counts["loops"]) == ([], 1)
    hops = ",".join(f"b{n}" for n in range(8))
    assert taken(rule, came("t", b"1", user_properties=(("iofog-via", hops),)))[0] == []
    ((passed,), _) = taken(rule, came("t", b"1", user_properties=(("iofog-via", "a,b"),)))
    assert address_of(passed.tag).via == ("a", "b")


HUGE = b"1" + b"0" * 400
"""An integer of JSON that is larger than any float."""
PAYLOADS = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [
            b'{"a":%b,"b":1}' % HUGE,
            HUGE,
            b'{"command":"x","value":%b}' % HUGE,
            b'[{"n":"a","v":%b},{"n":"b","bv":1.5,"v":2}]' % HUGE,
            b'[{"n":"a","bv":1.5,"v":%b}]' % HUGE,
            b'{"command":"\xff"}',
            b'{"a":1e308}',
            b"[" * 10_000,
        ]
    ),
    st.dictionaries(st.text(max_size=5), st.one_of(st.floats(), st.integers(), st.text(max_size=5), st.none())).map(
        lambda members: json.dumps(members).encode()
    ),
)
NAMES = st.one_of(st.text(max_size=20), st.sampled_from(["this-bridge", "my bridge", "a,b", "x" * 129, "a:b"]))


@trials(max_examples=budget(100, 1000))
@given(
    PAYLOADS,
    NAMES,
    st.lists(NAMES, max_size=3).map(",".join),
    st.sampled_from(["readings", "command", "message"]),
    st.sampled_from(["json", "value", "senml"]),
    st.sampled_from([{}, {"to": "{1}", "command": "{1}"}, {"prefix": "{1}/"}]),
    st.sampled_from([[], [{"name": "a", "scale": 1e10, "missing": ["x"]}], [{"name": "a", "kind": "text"}]]),
    st.booleans(),
)
def test_nothing_that_comes_stops_the_bridge(payload, level, via, becomes, form, named, fields, retained):
    named = {key: text for key, text in named.items() if key != "to" or becomes != "readings"}
    fields = tuple(RecordField(**field) for field in fields)
    rule = {"topic": "t/#", "becomes": becomes, "payload": form, "fields": fields, **named}
    received = came("t/" + level, payload, retained=retained, user_properties=(("iofog-via", via),))
    for passed in taken(rule, received)[0]:
        address_of(passed.tag)
        if isinstance(passed.content, bytes):
            continue
        for reading in passed.content:
            assert reading.value is None or isinstance(reading.value, str) or math.isfinite(reading.value)


def test_what_others_call_themselves_is_taken_only_if_it_is_a_name():
    rule = {"topic": "t", "payload": "value"}
    ((passed,), _) = taken(
        rule, came("t", b"1", user_properties=(("iofog-via", f"my bridge,a,{'x' * 129},,b:c,d\n"),))
    )
    assert address_of(passed.tag).via == ("a",)


@pytest.mark.parametrize("level", ["a:b", "x" * 129, "", "a b\0", "é"])
def test_a_command_for_what_is_no_name_is_malformed_or_for_a_name(level):
    rule = {"topic": "plant/set/+/lamp", "becomes": "command", "to": "{1}", "command": "lamp"}
    found, counts = taken(rule, came(f"plant/set/{level}/lamp", b"ON"))
    assert counts["malformed"] == (not found)
    assert bool(found) == (level in ("", "a b\0", "é"))


def test_a_number_larger_than_any_other_is_no_value():
    way = FromTopics(described({"name": "a", "missing": ["-"]}, {"name": "b", "kind": "text"}, {"name": "c"}), "b")
    (passed,) = way.passed(came("t/x", b'{"a":%b,"b":%b,"c":1}' % (HUGE, HUGE)))
    assert readings(passed) == [("a", None, "", Quality.BAD), ("b", None, "", Quality.BAD), ("c", 1, "", GOOD)]
    ((passed,), _) = taken({"topic": "t"}, came("t", b'{"a":%b,"c":1}' % HUGE))
    assert readings(passed) == [("c", 1, "", GOOD)]
    rules = {"topic": "t", "payload": "senml"}, {"topic": "t", "becomes": "command", "command": "c"}
    for rule, payload in zip(rules, (b'[{"n":"a","v":%b}]' % HUGE, HUGE), strict=True):
        assert taken(rule, came("t", payload))[1]["malformed"] == 1


def test_what_is_malformed_is_said_once_for_each_topic():
    log_once, told = LogOnce(), []

    def malformed(kind, topic, reason):
        if log_once.first_time(kind, topic):
            told.append((topic, reason.removeprefix("is not what the settings say, and dropped: ")))

    way = FromTopics([ToIofog(topic="t/#")], "b", malformed)
    for topic in ("t/a", "t/a", "t/b", "t/a"):
        way.passed(came(topic, b"[1]"))
    assert told == [("t/a", "no object"), ("t/b", "no object")]
    assert way.counts["malformed"] == 4
    assert sum(log_once.first_time("malformed", str(number)) for number in range(2000)) < 1000


def arrived(number, guaranteed, size=0):
    return ReceivedMessage(f"t/{number}", bytes(size), False, (), guaranteed=guaranteed, acknowledge=lambda: None)


def drained(arrivals):
    return [received.topic for received in iter(arrivals.take, None)]


def test_more_wait_than_any_broker_sends_unacknowledged_and_the_rest_is_dropped_or_left():
    box = Arrivals()
    for number in range(5000):
        box.put(arrived(number, guaranteed=True))
        box.put(arrived(-number, guaranteed=False))
    assert (box.dropped, box.is_overflown) == (4500, False)
    assert len(drained(box)) == 5500
    for number in range(100):
        box.put(arrived(number, guaranteed=True, size=_MOST_BYTES // 10))
    assert box.is_overflown
    kept = drained(box)
    assert kept == [f"t/{number}" for number in range(len(kept))]
    assert 9 <= len(kept) <= 11
    box.put(arrived(100, guaranteed=True))
    assert drained(box) == [], "it comes again, after those that were left before"


def test_what_is_not_taken_is_left_to_the_broker():
    box, left = Arrivals(), []
    for number in range(4):
        message = arrived(number, guaranteed=number % 2 == 0)
        box.put(message._replace(leave=lambda number=number: left.append(number)))
    assert box.take().topic == "t/0"
    box.leave()
    assert (left, drained(box)) == ([1, 2, 3], [])


@given(
    st.binary(max_size=60),
    st.sampled_from(["readings", "command", "message"]),
    st.sampled_from(["json", "value", "senml"]),
    st.text(max_size=20),
)
def test_any_payload_becomes_something_or_is_counted(payload, becomes, form, level):
    rule = {
        "topic": "t/#",
        "becomes": becomes,
        "payload": form,
        "prefix": "{1}",
        "to": "" if becomes[0] == "r" else "x",
    }
    found, counts = taken(rule, came("t/" + level.replace("\0", ""), payload))
    assert counts["taken" if found else "unused"] == 1
    for passed in found:
        assert isinstance(passed, Forwarded)
        if not isinstance(passed.content, bytes):
            assert senml.decode(senml.encode([*passed.content], "b:"))


def test_addresses_are_read_back_and_other_tags_mean_nothing():
    for address in (Address(), Address("relays"), Address("", ("a", "b")), Address("r", ("a",))):
        assert address_of(address.tag()) == address
    for tag in ("", "x", "a:b c", "for:", "for:a/b", "via:,"):
        assert address_of(tag) == Address()
    with pytest.raises(ValueError, match="is not a valid name"):
        Address("a b").tag()


def told(reading, quantity="t", *, is_json=False, source="cold room", **more):
    discovery = Discovery(DiscoverySettings(prefix="homeassistant", **more), "iofog/status")
    found = list(discovery.configurations(source, quantity, reading, "plant/t", is_json=is_json))
    assert list(discovery.configurations(source, quantity, reading, "plant/t", is_json=is_json)) == []
    discovery.forget()
    assert list(discovery.configurations(source, quantity, reading, "plant/t", is_json=is_json)) == found
    return found


def test_home_assistant_gets_a_quantity_announced_once():
    (found,) = told(Reading("t", 21.5, "Cel"), expire_after=300)
    assert (found.topic, found.retain) == ("homeassistant/sensor/cold_room_35d53078/t/config", True)
    assert json.loads(found.payload) == {
        "name": "t",
        "unique_id": "iofog_cold_room_35d53078_t",
        "state_topic": "plant/t",
        "device": {"identifiers": ["iofog_cold_room_35d53078"], "name": "cold room", "manufacturer": "Eclipse ioFog"},
        "availability_topic": "iofog/status",
        "expire_after": 300,
        "unit_of_measurement": "°C",
        "device_class": "temperature",
        "state_class": "measurement",
    }


def test_states_texts_and_objects_are_reported_as_such():
    (found,) = told(Reading("t", value=True))
    config = json.loads(found.payload)
    assert found.topic.startswith("homeassistant/binary_sensor/")
    assert (config["payload_on"], config["payload_off"]) == ("true", "false")
    (found,) = told(Reading("t", "idle"))
    assert "state_class" not in json.loads(found.payload)
    (found,) = told(Reading("co2", 700, "ppm"), "kitchen/co2", is_json=True)
    config = json.loads(found.payload)
    assert config["value_template"] == "{{ value_json.value }}"
    assert config["device_class"] == "carbon_dioxide"
    assert json.loads(told(Reading("e", 1.5, "kWh"))[0].payload)["state_class"] == "total_increasing"
    assert json.loads(told(Reading("x", 1.5, "Bspl"))[0].payload)["unit_of_measurement"] == "Bspl"
    discovery = Discovery(DiscoverySettings(prefix="h"), "")
    assert list(discovery.configurations("s", "q", Reading("q", None), "t", is_json=False)) == []


def settings(**members):
    return settings_of(MqttBridge, **({"broker": {"host": "h"}} | members))


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({}, "nothing is to be bridged"),
        ({"to_mqtt": [{"topic": "a/+"}]}, r"to_mqtt\[0\].topic = 'a/\+': is no topic"),
        ({"to_mqtt": [{"topic": "a/{place}"}]}, r"has a place \{place\} that is not known. Known: \{publisher\}"),
        ({"to_mqtt": [{"topic": "a", "payload": "value"}]}, "one topic for the values of many quantities"),
        ({"to_iofog": [{"topic": "a/#/b"}]}, r"to_iofog\[0\].topic = 'a/#/b': is no topic filter"),
        ({"to_iofog": [{"topic": "a+"}]}, "is no topic filter"),
        ({"to_iofog": [{"topic": "a/+", "prefix": "{2}"}]}, r"to_iofog\[0\].prefix = '\{2\}'.*Known: \{1\}"),
        ({"to_iofog": [{"topic": "a", "to": "x"}]}, "readings are for nobody in particular"),
        ({"commands": {"c": {"topic": ""}}}, r"commands.c.topic = '': is no topic"),
        ({"to_mqtt": [{"topic": "a"}], "status": "x/{y}"}, "status = 'x/{y}'"),
        (
            {
                "broker": {"host": "h", "version": "3.1.1"},
                "to_mqtt": [{"topic": "iofog/{source}/x"}],
                "to_iofog": [{"topic": "iofog/#"}],
            },
            r"to_iofog\[0\].topic = 'iofog/#': is a loop: to_mqtt\[0\].topic publishes on iofog/\+/x",
        ),
        (
            {
                "broker": {"host": "h", "version": "3.1.1"},
                "commands": {"lamp": {"topic": "set/{device}/lamp"}},
                "to_iofog": [{"topic": "set/+/+", "becomes": "command", "command": "{2}", "to": "{1}"}],
            },
            r"to_iofog\[0\].topic = 'set/\+/\+': is a loop: commands.lamp.topic publishes on set/\+/lamp",
        ),
        (
            {"broker": {"host": "h", "client_id": "my bridge"}, "to_mqtt": [{"topic": "a"}]},
            "broker.client_id = 'my bridge': cannot tell other bridges who this is. Write letters",
        ),
    ],
)
def test_wrong_settings_name_the_setting_and_the_remedy(members, words):
    with pytest.raises(SettingsError, match=words):
        MqttBridge.check_settings(settings(**members))


def test_a_bridge_of_version_5_may_listen_where_it_publishes():
    MqttBridge.check_settings(settings(to_mqtt=[{"topic": "a/b"}], to_iofog=[{"topic": "#"}]))


def test_a_command_without_its_parameter_is_refused():
    rule = MqttCommand(topic="cmnd/{device}/POWER", values={"true": "ON"})
    found = publication_of(rule, Command(name="power", parameters={"device": "pl/ug", "value": True}), "b")
    assert (found.topic, found.payload) == ("cmnd/pl~ug/POWER", b"ON")
    with pytest.raises(CommandError, match="`device` is missing; power needs it"):
        publication_of(rule, Command(name="power", parameters={"value": True}), "b")


def test_a_command_says_which_bridges_it_has_been_through_and_goes_through_each_once():
    rule = MqttCommand(topic="t")
    assert publication_of(rule, Command(name="c", parameters={"value": 1}), "b").user_properties == (
        ("iofog-via", "b"),
    )
    passed = Command(name="c", parameters={"value": 1}, via=("a",))
    assert publication_of(rule, passed, "b").user_properties == (("iofog-via", "a,b"),)
    for via in (("b", "a"), tuple(f"x{number}" for number in range(MAX_HOPS))):
        with pytest.raises(CommandError, match="c goes round: it has been through"):
            publication_of(rule, Command(name="c", parameters={"value": 1}, via=via), "b")
