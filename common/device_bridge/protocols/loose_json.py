"""JSON as devices write it: with values that JSON does not have, or with none at all. No I/O."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from iofog_sdk.messages import decode_json

_LONGEST = 65_536
_PART = re.compile(
    r'"(?:\\.|[^"\\])*+"?'  # also a text that is not closed: else it would be read again from each mark in it
    r'|(?P<bare>[^\s{}\[\],:"]+)|(?P<left_out>:(?=\s*[,}\]])|[,\[](?=\s*,))',
    re.DOTALL,
)
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)


def decoded_json(text: str) -> Any:
    """What a JSON text holds; one odd value costs no other.

    What is no JSON value, as nan, becomes text, and a value that is left out becomes null. Of more than 64 KiB
    nothing is mended: that would hold up the event loop.

    Raises ValueError.
    """
    try:
        return decode_json(text)
    except ValueError:
        if len(text) > _LONGEST:
            raise
        return decode_json(_PART.sub(_mended, text))


def _mended(part: re.Match[str]) -> str:
    if bare := part["bare"]:
        is_number = _NUMBER.fullmatch(bare) and math.isfinite(float(bare))
        return bare if is_number or bare in ("true", "false", "null") else json.dumps(bare)
    return f"{part[0]}null" if part["left_out"] else part[0]
