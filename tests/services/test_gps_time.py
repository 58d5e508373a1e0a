"""The time of the receiver: midnight, leap seconds, years of two digits, clocks that are not to be believed."""

import pytest

from gps_receiver.emulator import encode
from gps_receiver.protocol import Decoder, SentenceReader


def read(*bodies, decoder=None):
    """For each sentence its readings by name: value, quality, reason."""
    decoder = decoder or Decoder()
    sentences = SentenceReader().feed(b"".join(encode(body) for body in bodies))
    assert len(sentences) == len(bodies)
    return [{r.name: (r.value, r.quality.value, r.reason) for r in decoder.decode(each)} for each in sentences]


def times(*bodies):
    return [found.get("receiver_time", (None, None))[:2] for found in read(*bodies)]


def rmc_at(time, date, status="A"):
    return f"GPRMC,{time},{status},5300.0,N,00630.0,E,,,{date},,,{'A' if status == 'A' else 'N'}"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("GPZDA,160012.71,11,03,2004,-1,00", 1_079_020_812.71),
        ("GPZDA,000000,01,01,1970,,", 0),
        (rmc_at("123519", "230394"), 764_426_119),
        (rmc_at("000000.00", "060180"), 315_964_800),
        (rmc_at("235959.999", "311299"), 946_684_799.999),
        (rmc_at("000000", "010100"), 946_684_800),
        (rmc_at("120000", "290224"), 1_709_208_000),
        (rmc_at("235959", "311279"), 3_471_292_799),
    ],
)
def test_the_time_of_the_receiver(body, expected):
    assert times(body) == [(pytest.approx(expected, abs=1e-6), "good")]


def test_midnight_between_years():
    found = times(rmc_at("235959", "311225"), "GPZDA,235959,31,12,2025,,", "GPZDA,000000,01,01,2026,,")
    assert found == [(1_767_225_599, "good"), (1_767_225_599, "good"), (1_767_225_600, "good")]


def test_a_date_that_changes_later_than_the_hour_is_not_good():
    found = times(rmc_at("235959", "311225"), rmc_at("000000", "311225"), rmc_at("000001", "010126"))
    assert [quality for _, quality in found] == ["good", "uncertain", "good"]


def test_a_clock_that_was_set_back_is_believed_when_it_stays_there():
    found = times(rmc_at("120000", "010126"), *(rmc_at(f"1100{second:02d}", "010126") for second in range(15)))
    assert [quality for _, quality in found] == ["good", *["uncertain"] * 9, *["good"] * 6]


def test_a_leap_second_is_a_time_that_cannot_be_distinguished_from_the_next():
    before, leap, after = read(
        "GPZDA,235959.00,31,12,2016,00,00", "GPZDA,235960.00,31,12,2016,00,00", "GPZDA,000000.00,01,01,2017,00,00"
    )
    assert before["receiver_time"] == (1_483_228_799, "good", "")
    assert leap["receiver_time"][:2] == (1_483_228_800, "uncertain")
    assert "leap second" in leap["receiver_time"][2]
    assert after["receiver_time"] == (1_483_228_800, "good", "")
    assert times(rmc_at("235960.5", "300615")) == [(1_435_708_800.5, "uncertain")]


@pytest.mark.parametrize(
    ("time", "day"),
    [
        *[("235960", "30,12,2016"), ("225960", "31,12,2016"), ("120060", "31,12,2016"), ("235961", "31,12,2016")],
        *[("240000", "01,01,2026"), ("126000", "01,01,2026"), ("12", "01,01,2026"), ("1200000", "01,01,2026")],
        *[("120000", "30,02,2024"), ("120000", "29,02,2023"), ("120000", "00,01,2024"), ("120000", "01,13,2024")],
        *[("120000", "01,01,24x"), ("120000", "01,01,124"), ("120000", "01,01,0000"), ("-10000", "01,01,2026")],
    ],
)
def test_a_time_that_cannot_be_is_bad_and_counted(time, day):
    decoder = Decoder()
    (found,) = read(f"GPZDA,{time},{day},00,00", decoder=decoder)
    assert found["receiver_time"][:2] == (None, "bad")
    assert decoder.malformed == 1


def test_without_a_fix_the_time_is_what_the_receiver_has_kept():
    cold = rmc_at("000012.00", "060180", status="V")
    assert times(cold, "GPZDA,000012.00,06,01,1980,,") == [(315_964_812, "uncertain")] * 2
    assert times(rmc_at("", "", status="V"), "GPZDA,,,,,,", rmc_at("9", "x", status="V")) == [(None, None)] * 3


def test_a_time_without_a_date_gives_no_reading():
    assert (
        times("GPZDA,120000,,,,,", rmc_at("120000", ""), "GPGLL,5300.0,N,00630.0,E,120000,A,A") == [(None, None)] * 3
    )
