"""SenML records with base fields applied, and packs split by quantity: RFC 8428's examples and rules."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iofog_sdk.messages import SenmlError, parse_senml, split_by_quantity

DEVICE = "urn:dev:ow:10e2073a01080063"


def resolved(pack: list[dict[str, object]]) -> list[tuple[object, ...]]:
    return [(r.name, r.unit, r.time, r.value, r.sum) for r in parse_senml(json.dumps(pack).encode())]


def test_base_fields_apply_to_all_that_follows():
    pack = [  # after section 5.1.3; resolved in section 5.1.4
        {"bn": DEVICE, "bt": 1.320067464e9, "bu": "%RH", "v": 20},
        {"u": "lon", "v": 24.30621},
        {"t": 60, "v": 20.3},
        {"u": "lat", "t": 60, "v": 60.07965},
    ]
    assert resolved(pack) == [
        (DEVICE, "%RH", 1.320067464e9, 20, None),
        (DEVICE, "lon", 1.320067464e9, 24.30621, None),
        (DEVICE, "%RH", 1.320067524e9, 20.3, None),
        (DEVICE, "lat", 1.320067524e9, 60.07965, None),
    ]


def test_base_values_and_sums_are_added_and_base_fields_can_change_within_a_pack():
    pack = [
        {"bn": "a:", "bv": 20.0, "bs": 100, "n": "t", "v": 1.5, "s": 7},
        {"n": "on", "vb": True},
        {"bn": "b:", "bv": 0, "n": "t", "v": 3},
        {"n": "energy", "s": 1},
    ]
    assert resolved(pack) == [
        ("a:t", "", 0, 21.5, 107),
        ("a:on", "", 0, True, None),
        ("b:t", "", 0, 3, None),
        ("b:energy", "", 0, None, 101),
    ]


def test_a_value_of_each_type():
    pack = [  # section 5.1.7
        {"bn": f"{DEVICE}:", "n": "temp", "u": "Cel", "v": 23.1},
        {"n": "label", "vs": "Machine Room"},
        {"n": "open", "vb": False},
        {"n": "nfc-reader", "vd": "aGkgCg"},
    ]
    assert [value for *_, value, _ in resolved(pack)] == [23.1, "Machine Room", False, b"hi \n"]
    assert {(r.source, r.quantity) for r in parse_senml(json.dumps(pack).encode())} == {
        (DEVICE, name) for name in ("temp", "label", "open", "nfc-reader")
    }


def test_a_quantity_without_own_name_is_the_last_part_of_the_base_name():
    (record,) = parse_senml(b'[{"bn":"plant:tank:level","v":1}]')
    assert (record.source, record.quantity, record.name) == ("plant:tank", "level", "plant:tank:level")


@pytest.mark.parametrize(
    ("pack", "words"),
    [
        ("[", "not a SenML pack"),
        ("{}", "not a SenML pack"),
        ('[{"n":1,"v":1}]', r"Expected `str`, got `int` - at `\$\[0\].n`"),
        ('[{"n":"a","v":true}]', r"got `bool` - at `\$\[0\].v`"),
        ('[{"v":1}]', "neither name nor base name"),
        ('[{"n":"a","v":1,"vs":"x"}]', "record 'a' has 2 values"),
        ('[{"n":"a","vd":"a"}]', "record 'a': vd is not base64url"),
        ('[{"n":"a","v":1,"scale_":2}]', "'scale_', which a reader must know"),
        ('[{"bver":11,"n":"a","v":1}]', "bver 11 is unknown; known are 10 and 26"),
        ('[{"n":"a","v":1},{"bver":42,"n":"b","v":1}]', "bver 42 is unknown"),
        ('[{"bn":"a","bv":1.5,"v":1' + "0" * 400 + "}]", "too large|out of range"),
        ('[{"n":"a","v":1' + "0" * 400 + "}]", "too large"),
        ('[{"n":"a","bv":1e308,"v":1e308}]', "too large"),
        ('[{"n":"a","bs":-1e308,"s":-1e308}]', "too large"),
        ('[{"n":"a","bt":1e308,"t":1e308,"v":1}]', "too large"),
        (json.dumps([{"n": "a"}] * 10_001), "10001 records in a pack, at most 10000"),
        ("[" * 100_000, "not a SenML pack"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(pack, words):
    with pytest.raises(SenmlError, match=words):
        parse_senml(pack.encode())
    assert split_by_quantity(pack.encode()) == {"": pack.encode()}


@pytest.mark.parametrize("version", [5, 10, 26])
def test_known_versions_are_read(version):
    assert len(parse_senml(b'[{"bver":%d,"n":"a","u":"hPa","v":1}]' % version)) == 1


texts = st.text(st.sampled_from("ab:/"), max_size=3)
numbers = st.integers(-1000, 1000)
records = st.fixed_dictionaries(
    {"n": st.text(st.sampled_from("ab"), min_size=1, max_size=1), "v": numbers},
    optional={"bn": texts, "bt": numbers, "bu": texts, "bv": numbers, "u": texts, "t": numbers, "reason": texts},
)


@given(st.lists(records, min_size=1, max_size=6))
def test_splitting_a_pack_changes_no_record(pack):
    parts = [json.loads(part) for part in split_by_quantity(json.dumps(pack).encode()).values()]
    assert sorted(map(repr, (each for part in parts for each in resolved(part)))) == sorted(map(repr, resolved(pack)))
    labels = sorted(str(record.get("reason")) for part in parts for record in part)
    assert labels == sorted(str(record.get("reason")) for record in pack)


@given(
    st.recursive(st.one_of(st.none(), st.booleans(), st.floats(), texts), lambda inner: st.lists(inner, max_size=3))
)
def test_a_field_of_any_json_type_is_resolved_or_refused(value):
    for label in ("bn", "bt", "bu", "bv", "bs", "bver", "n", "u", "v", "vs", "vb", "vd", "s", "t"):
        text = json.dumps([{"bn": "x", label: value}]).encode()
        try:
            (record,) = parse_senml(text)
        except SenmlError:
            continue
        assert math.isfinite(record.time)
