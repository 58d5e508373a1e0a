"""JSON that others have written."""

from __future__ import annotations

from typing import Any, TypeVar, overload

import msgspec

T = TypeVar("T")


@overload
def decode_json(content: bytes | str) -> Any: ...
@overload
def decode_json(content: bytes | str, kind: type[T]) -> T: ...
def decode_json(content: bytes | str, kind: Any = Any) -> Any:
    """What a JSON text holds. Raises ValueError for any other content; msgspec raises more than its own errors.

    Parameters:
        content: of any length and depth; bytes need not be UTF-8.
        kind: what it is to hold.
    """
    try:
        return msgspec.json.decode(content, type=kind)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
