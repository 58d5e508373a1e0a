"""Satellites in view: distinct numbers of each system, over all signals of one round."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gps_receiver.emulator import encode
from gps_receiver.protocol import Decoder, SentenceReader


def group(talker, numbers, signal="", announced=None, system=""):
    """The sentences of one signal of one system."""
    blocks = [numbers[at : at + 4] for at in range(0, len(numbers), 4)] or [[]]
    announced = len(numbers) if announced is None else announced
    after = (f",{signal}" if signal else "") + (f",{system}" if system else "")
    return [
        f"{talker}GSV,{len(blocks)},{at},{announced:02d}" + "".join(f",{n:02d},40,083,46" for n in block) + after
        for at, block in enumerate(blocks, 1)
    ]


def counts(*bodies, decoder=None):
    """Count and quality at each sentence that gives one."""
    decoder = decoder or Decoder()
    sentences = SentenceReader().feed(b"".join(body if isinstance(body, bytes) else encode(body) for body in bodies))
    return [(r.value, r.quality.value) for each in sentences for r in decoder.decode(each)]


def test_signals_with_other_satellites_are_added():
    found = counts(*group("GP", [5, 6, 7], "1"), *group("GP", [4, 16], "0"))
    assert found == [(3, "good"), (5, "good")]


def test_a_satellite_with_several_signals_is_one():
    one, two = group("GP", [2, 12, 25, 29, 31], "1"), group("GP", [12, 25], "6")
    assert counts(*one, *two, *one, *two) == [(5, "good")] * 4


def test_the_same_number_in_two_systems_is_two_satellites():
    assert counts(*group("GP", [1, 2]), *group("GA", [1, 2]), *group("GB", [2]))[-1] == (5, "good")


def test_talkers_of_one_system_are_one():
    assert counts(*group("BD", [201, 202], "1"), *group("GB", [202], "3"))[-1] == (2, "good")
    assert counts(*group("QZ", [1], "1"), *group("GQ", [1, 2], "8"))[-1] == (2, "good")


def test_talker_pq_names_its_system_after_the_signal():
    found = counts(
        *group("GP", [1, 2], "1"), *group("PQ", [3, 5], "0", system="4"), *group("PQ", [3], "0", system="5")
    )
    assert found[-1] == (5, "good")
    assert counts(*group("PQ", [3, 5], "0", system="4"), *group("GB", [5, 6], "1"))[-1] == (3, "good")
    assert counts("PQGSV,1,1,01,04,40,083,46,0,9") == []


def test_a_system_that_ends_leaves_the_sum():
    gps, glonass = group("GP", [1, 2, 3]), group("GL", [65, 66])
    assert counts(*gps, *glonass, *gps, *glonass, *gps, *gps) == [
        *[(3, "good"), (5, "good"), (5, "good"), (5, "good")],
        *[(5, "good"), (3, "good")],
    ]


def test_a_signal_that_ends_leaves_the_sum():
    first, second = group("GP", [1, 2], "1"), group("GP", [3], "6")
    assert counts(*first, *second, *first, *first)[-1] == (2, "good")


def test_a_system_that_comes_joins_the_sum():
    gps = group("GP", [1, 2, 3])
    assert counts(*gps, *gps, *group("GA", [4]))[-1] == (4, "good")


def test_a_system_that_sees_nothing_any_more_has_none_of_any_signal():
    signals = [*group("GP", [1, 2], "1"), *group("GP", [3], "6"), *group("GL", [65])]
    assert counts(*signals, "GPGSV,1,1,00")[-1] == (1, "good")
    assert counts(*signals, *group("GP", [], "6"))[-1] == (3, "good"), "of this signal only"


def test_several_signals_in_one_group():
    bodies = [
        "GPGSV,3,1,10,02,25,260,40,04,15,092,27,05,,,19,06,12,215,45,1",
        "GPGSV,3,2,10,07,80,137,44,09,53,089,26,30,55,211,49,1",
        "GPGSV,3,3,10,06,,,40,09,,,28,30,,,39,8",
    ]
    assert counts(*bodies, *bodies) == [(7, "good")] * 2


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_group_with_a_gap_gives_no_reading(lost):
    bodies = group("GP", list(range(1, 12)))
    assert len(bodies) == 3
    assert counts(*(body for at, body in enumerate(bodies) if at != lost)) == []


def test_parts_of_two_groups_are_no_group():
    first, second = group("GP", list(range(1, 9)), "1"), group("GP", list(range(11, 18)), "6")
    assert counts(first[0], second[1]) == []


def test_what_is_announced_and_not_listed_is_uncertain():
    assert counts(*group("GP", [1, 2, 3], announced=9)) == [(3, "uncertain")]


def test_a_damaged_group_is_doubted_and_does_not_leave_the_sum():
    gps, glonass = group("GP", [1, 2, 3]), group("GL", [65, 66])
    damaged = encode(glonass[0]).replace(b"083", b"O83", 1)
    found = counts(*gps, *glonass, *gps, damaged, *gps, *glonass, *gps)
    assert found == [(3, "good"), (5, "good"), (5, "good"), (5, "uncertain"), (5, "good"), (5, "good")]


def test_a_system_that_ends_in_noise_leaves_the_sum_all_the_same():
    gps, glonass = group("GP", [1, 2, 3]), group("GL", [65, 66])
    noise = b"\xb5\x62\x01"
    found = counts(*gps, *glonass, *gps, *glonass, *([noise, *gps] * 6))
    assert (5, "uncertain") in found
    assert found[-1] == (3, "good")


def test_what_is_missing_of_the_first_round_is_doubted():
    gps, glonass = group("GP", [1, 2, 3]), group("GL", [65, 66])
    half = encode(gps[0])[10:]
    assert counts(half, *glonass) == [(2, "uncertain")]
    assert counts(half, *glonass, *gps, *glonass, *gps, *glonass)[-1] == (5, "good")


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ("GLGSV,1,1,01,88,07,028", 1),
        ("GPGSV,1,1,02,7,07,028,1,08,,,", 2),
        ("GPGSV,1,1,02,07,07,028,11,08,,,,", 2),
        ("GPGSV,1,1,01,07,07,028,11,,,,,,,,,,,,", 1),
        ("GPGSV,1,1,00,,,,,,,,,,,,,,,,", 0),
        ("GPGSV,1,1,00,1", 0),
    ],
)
def test_as_receivers_write_it(body, count):
    assert counts(body) == [(count, "good")]


@pytest.mark.parametrize(
    "body", ["GPGSV,1,1,-4", "GPGSV,x,1,01,07,,,", "GPGSV,9999,1,01,07,,,", "GPGSV,1,1,01,07,,,,Z"]
)
def test_a_header_that_cannot_be_is_counted(body):
    decoder = Decoder()
    assert counts(body, decoder=decoder) == []
    assert decoder.malformed == 1


numbers = st.lists(st.integers(1, 99), max_size=14, unique=True)


@given(
    st.dictionaries(st.tuples(st.sampled_from(["GP", "GL", "GA", "GB", "GQ"]), st.sampled_from("1678")), numbers),
    st.integers(2, 4),
)
def test_after_a_round_the_count_is_of_distinct_satellites(signals, rounds):
    distinct = {(system, n) for (system, _), listed in signals.items() for n in listed}
    bodies = [body for (system, signal), listed in signals.items() for body in group(system, listed, signal)]
    found = counts(*(bodies * rounds))
    assert found[len(signals) :] == [(len(distinct), "good")] * (len(signals) * (rounds - 1))
