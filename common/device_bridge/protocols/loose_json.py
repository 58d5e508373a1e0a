"""JSON as devices write it: with values that JSON does not have, or with none at all. No I/O."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import msgspec

_PART = re.compile(r'"(?:\\.|[^"\\])*"|(?P<bare>[^\s{}\[\],:"]+)|(?P<mark>[:,\[])(?=\s*[,}\]])', re.DOTALL)
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)


def decoded_json(text: str) -> Any:
    """What a JSON text holds; one odd value costs no other.

    What is no JSON value, as nan, becomes text, and a value that is left out becomes null.

    Raises msgspec.DecodeError, RecursionError.
    """
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return msgspec.json.decode(_PART.sub(_mended, text))


def _mended(part: re.Match[str]) -> str:
    if bare := part["bare"]:
        is_number = _NUMBER.fullmatch(bare) and math.isfinite(float(bare))
        return bare if is_number or bare in ("true", "false", "null") else json.dumps(bare)
    mark = part["mark"]
    is_left_out = mark == ":" or (mark and part.string[part.end() :].lstrip().startswith(","))
    return f"{mark}null" if is_left_out else part[0]
