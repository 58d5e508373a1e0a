"""JSON that others have written: a value, or a ValueError."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iofog_sdk.messages import decode_json


@given(st.binary(max_size=60) | st.text(st.characters(), max_size=60))
def test_any_content_is_a_value_or_a_value_error(content):
    with contextlib.suppress(ValueError):
        decode_json(content)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'"\xff"', b'{"a": "\xff"}', '"\ud800"', b"[" * 100_000, '{"a":' * 100_000, b"1e999999", b"{}"],
)
def test_what_is_no_json_of_a_kind_is_a_value_error(content):
    with pytest.raises(ValueError):  # noqa: PT011 - whichever
        decode_json(content, list[int])
