"""What mending JSON costs: in proportion to its length, and nothing beyond a limit."""

import msgspec
import pytest

from device_bridge.protocols import decoded_json, loose_json


@pytest.mark.timeout(60)
@pytest.mark.parametrize("unit", ['\\"', '"', ",", "[,", "[ ,", ":,", "nan,", "\\", "1e"])
def test_a_text_that_cannot_be_mended_is_given_up_at_once(unit, monkeypatch):
    monkeypatch.setattr(loose_json, "_LONGEST", 1_000_000)
    with pytest.raises(ValueError):  # noqa: PT011 - of JSON, whichever
        decoded_json('{"a":' + unit * (200_000 // len(unit)))  # minutes, were it read again from each place


def test_a_long_text_is_read_and_not_mended():
    text = '{"a":%s,"b":"' + "x" * 70_000 + '"}'
    assert decoded_json(text % 1)["a"] == 1
    with pytest.raises(msgspec.DecodeError):
        decoded_json(text % "nan")
    assert decoded_json(text[:100] % "nan" + '"}')["a"] == "nan"
