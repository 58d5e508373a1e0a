"""mqtt_bridge without a broker: no value under a name, a time or a quality that is not its own."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_bridge import Quality, Reading, SettingsError
from device_bridge.messages import senml
from iofog_sdk import IoMessage
from iofog_sdk.mqtt import ReceivedMessage
from mqtt_bridge.discovery import Discovery
from mqtt_bridge.service import MqttBridge
from mqtt_bridge.settings import DiscoverySettings, ToMqtt
from mqtt_bridge.to_iofog import FromTopics
from mqtt_bridge.to_mqtt import ToTopics
from mqtt_bridge.topics import filled_payload, level_of

from .serving import settings_of

NOW = 1.8e9


def rules_of(*rules):
    return settings_of(MqttBridge, broker={"host": "h"}, to_iofog=list(rules)).to_iofog


def came(payload, *, topic="t/x", retained=False, waited=False):
    return ReceivedMessage(
        topic,
        payload,
        retained,
        (),
        guaranteed=True,
        acknowledge=lambda: None,
        may_have_waited=waited,
    )


def passed(rule, *received, age_s=0.0):
    way = FromTopics(rules_of({"topic": "t/+"} | rule), "b", now=lambda: NOW)
    return [one for each in received for one in way.passed(each, age_s)], way.counts


def readings(rule, payload, **more):
    age_s = more.pop("age_s", 0.0)
    (found, _) = passed(rule, came(payload, **more), age_s=age_s)
    return [(r.name, r.value, r.quality.value, r.reason) for one in found for r in one.content]


def published(rule, records, **header):
    sent = IoMessage(infotype=senml.INFO_TYPE, contentdata=json.dumps(records).encode(), groupid="g", **header)
    return {each.topic: json.loads(each.payload) for each in ToTopics([ToMqtt(**rule)], "b").publications(sent)}


TWO_SOURCES = [
    {"bn": "dev1:", "bt": 1.7e9, "bu": "Cel", "n": "t", "v": 1},
    {"n": "h", "u": "%RH", "v": 50},
    {"bn": "dev2:", "bt": 1.7e9 + 60, "n": "t", "v": 2},
]


@pytest.mark.parametrize("topic", ["p/{quantity}", "p/{source}/{quantity}", "p/{source}", "p"])
def test_a_pack_of_two_sources_that_is_split_keeps_every_name_time_and_unit(topic):
    found = published({"topic": topic}, TWO_SOURCES)
    values = {r for records in found.values() for r in map(str, senml.decode(json.dumps(records).encode()))}
    assert values == {str(r) for r in senml.decode(json.dumps(TWO_SOURCES).encode())}


@pytest.mark.parametrize(("t", "time"), [(-5.0, NOW - 5), (0, NOW), (1.7e9, 1.7e9)])
def test_a_time_that_counts_from_now_counts_from_when_the_message_was_sent(t, time):
    pack = [{"bn": "d:", "n": "a", "t": t, "v": 1}, {"n": "b", "t": t, "v": 2}]
    header = {"timestamp": round(NOW * 1000)}
    assert published({"topic": "{quantity}", "payload": "json"}, pack, **header)["a"]["time"] == time
    for topic in ("all", "{quantity}"):
        for records in published({"topic": topic}, pack, **header).values():
            assert {r.time for r in senml.decode(json.dumps(records).encode())} == {time}


def test_a_message_that_does_not_say_when_it_was_sent_gives_no_time_rather_than_a_wrong_one():
    found = published({"topic": "{quantity}", "payload": "json"}, [{"bn": "d:", "n": "a", "t": -5, "v": 1}])
    assert "time" not in found["a"]


NAMES = st.text(alphabet=st.sampled_from(list("ab/-_~=.+# é:")) | st.characters(codec="utf-8"), max_size=8)


@given(NAMES, NAMES)
def test_two_names_have_two_topics(one, other):
    assert (level_of(one) == level_of(other)) == (one == other)
    assert level_of(one)
    assert not set(level_of(one)) & set("+#/\0")


def test_long_names_have_topics_of_their_own_too():
    assert level_of("a" * 300) != level_of("a" * 299 + "b")
    assert len(level_of("é/" * 300)) <= 200


def told(source, quantity):
    found = Discovery(DiscoverySettings(prefix="ha"), "").configurations(
        source, quantity, Reading(quantity, 1.0), "t", is_json=False
    )
    ((topic, payload),) = [(each.topic, json.loads(each.payload)) for each in found]
    return topic, payload["unique_id"]


@given(st.tuples(NAMES, NAMES), st.tuples(NAMES, NAMES))
def test_two_quantities_have_two_ids_at_home_assistant(one, other):
    for mine, theirs in zip(told(*one), told(*other), strict=True):
        assert (mine == theirs) == (one == other)


def test_names_that_look_alike_have_two_ids():
    pairs = [("a/b", "c"), ("a_b", "c"), ("a", "b_c"), ("a-b", "c"), ("a", "b/c")]
    assert len({told(*pair)[1] for pair in pairs}) == len({told(*pair)[0] for pair in pairs}) == len(pairs)


@pytest.mark.parametrize(
    ("template", "payload"),
    [
        ("{value}", "Grün"),
        ("{value}{unit}", "Grün°C"),
        ('{"v":"{value}"}', '{"v":"Gr\\u00fcn"}'),
        ("[{n}]", "[1]"),
        ("{value} {", "Grün {"),
    ],
)
def test_a_place_alone_is_no_json(template, payload):
    assert filled_payload(template, {"value": "Grün", "unit": "°C", "n": 1}) == payload


@pytest.mark.parametrize("topic", ["$share/group/plant/+", "$queue/plant/+"])
def test_a_shared_subscription_is_refused(topic):
    settings = settings_of(MqttBridge, broker={"host": "h"}, to_iofog=[{"topic": topic}])
    with pytest.raises(SettingsError, match="is a shared subscription"):
        MqttBridge.check_settings(settings)


def test_a_value_outside_its_range_is_uncertain():
    rule = {"fields": [{"name": "t", "valid": [-40, 85]}]}
    assert readings(rule, b'{"t": 85}') == [("t", 85, "good", "")]
    assert readings(rule, b'{"t": 850}') == [("t", 850, "uncertain", "outside -40 to 85")]
    assert readings(rule | {"payload": "value"}, b"-41") == [("t", -41, "uncertain", "outside -40 to 85")]


def test_presence_units_and_signs_are_as_for_records_of_serial_instruments():
    fields = [
        {"name": "must", "presence": "required"},
        {"name": "may"},
        {"name": "t", "unit": "Cel", "unit_key": "u", "units": {"C": 1, "F": [0.5556, -17.778]}},
        {"name": "signed", "sign_key": "s"},
    ]
    found = readings({"fields": fields}, b'{"t": 20, "u": "K", "signed": 5, "s": "-"}')
    assert found == [
        ("must", None, "bad", "not in the record"),
        ("t", None, "bad", "in 'K', not in C or F"),
        ("signed", -5, "good", ""),
    ]
    assert readings({"fields": fields[2:3]}, b'{"t": 68, "u": "F"}')[0][1] == pytest.approx(20, abs=0.1)
    assert readings({"payload": "value", "fields": fields[2:3]}, b"68") == [
        ("t", None, "bad", "without a unit, not in C or F")
    ]


def test_a_member_that_is_null_has_no_value_and_one_that_is_not_there_gives_no_reading():
    rule = {"fields": [{"name": "a"}, {"name": "b"}]}
    assert readings(rule, b'{"a": null}') == [("a", None, "bad", "no value")]


def test_a_text_is_whole_or_refused():
    rule = {"payload": "value"}
    assert readings(rule, b"x" * 1403) == [("x", "x" * 1403, "good", "")]
    assert readings(rule, b"x" * 20_000) == [("x", None, "bad", "text of 20000 characters; at most 16384 are sent")]


def test_states_are_read_where_nothing_is_described():
    found, counts = passed({}, came(b'{"state": "ON", "mode": "eco"}'), came(b'{"mode": "eco"}'))
    assert [(r.name, r.value) for r in found[0].content] == [("state", True)]
    assert counts["malformed"] == 1


@pytest.mark.parametrize(
    "text",
    [
        '{"temperature":nan,"humidity":40.5}',
        '{"temperature":-Infinity,"humidity":40.5}',
        '{"humidity":40.5,"temperature":}',
        '{"temperature":1e999,"humidity":40.5}',
    ],
)
def test_one_odd_member_costs_that_member_only(text):
    fields = {"fields": [{"name": "temperature"}, {"name": "humidity"}]}
    found = {name: (value, quality) for name, value, quality, _ in readings(fields, text.encode())}
    assert found == {"temperature": (None, "bad"), "humidity": (40.5, "good")}
    assert readings({}, text.encode()) == [("humidity", 40.5, "good", "")]


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        *((b"21.5", 21.5), (b"-3", -3), (b"1.5e3", 1500), (b"1e-07", 1e-7)),
        *((b"00E1", "00E1"), (b"1e3", "1e3"), (b"21,5", "21,5"), (b"0x1F", "0x1F"), (b"2_1", "2_1")),
    ],
)
def test_a_value_that_is_not_described_is_a_number_or_text(payload, value):
    assert readings({"payload": "value"}, payload) == [("x", value, "good", "")]


def test_two_members_that_become_one_name_are_refused():
    assert readings({}, b'{"a b": 1, "a_b": 2}') == []


def test_what_may_have_waited_at_the_broker_is_stale():
    waited = "may have waited at the broker, nobody knows for how long"
    assert readings({}, b'{"a": 1}', waited=True) == [("a", 1, "stale", waited)]
    fields = {"fields": [{"name": "a", "missing": [1]}]}
    assert readings(fields, b'{"a": 1}', waited=True) == [("a", None, "bad", "no value (1)")]


def test_a_value_that_has_waited_here_has_the_time_of_its_coming():
    ((found,), _) = passed({}, came(b'{"a": 1}'), age_s=90.0)
    assert [(r.time, r.quality) for r in found.content] == [(-90.0, Quality.GOOD)]


@pytest.mark.parametrize("doubt", [{"waited": True}, {"retained": True}])
def test_a_command_of_unknown_age_is_dropped_and_counted(doubt):
    rule = {"becomes": "command", "command": "lamp", "to": "relays"}
    found, counts = passed(rule, came(b"ON", **doubt))
    assert (found, counts["retained" if "retained" in doubt else "undated"]) == ([], 1)


def test_a_command_that_says_when_it_was_given_goes_on_with_that_time():
    payload = b'{"command": "lamp", "value": true, "time": 1700000000}'
    ((found,), _) = passed({"becomes": "command"}, came(payload, waited=True))
    assert json.loads(found.content)["time"] == 1.7e9
    assert passed({"becomes": "command"}, came(payload, retained=True))[0] == []


def test_a_command_that_has_waited_here_says_since_when():
    ((found,), _) = passed({"becomes": "command", "command": "lamp"}, came(b"ON"), age_s=30.0)
    assert json.loads(found.content) == {"command": "lamp", "value": "ON", "time": NOW - 30}


def test_a_pack_with_relative_times_of_unknown_age_is_stale():
    relative = b'[{"bn":"d:","n":"a","t":-5,"v":1},{"n":"b","v":2,"quality":"bad","reason":"x"}]'
    absolute = b'[{"bn":"d:","bt":1700000000,"n":"a","v":1}]'
    ((old,), _) = passed({"payload": "senml"}, came(relative, waited=True))
    assert [(r.name, r.quality.value) for r in senml.decode(old.content)] == [("d:a", "stale"), ("d:b", "bad")]
    for payload, doubt in ((relative, {}), (absolute, {"waited": True}), (absolute, {"retained": True})):
        ((found,), _) = passed({"payload": "senml"}, came(payload, **doubt))
        assert found.content == payload
