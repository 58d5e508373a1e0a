"""Keeps secrets out of errors, logs and pages: the one place that decides what may be shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from iofog_sdk.redact import HIDDEN, without_url_secrets

_MAX_SHOWN = 60
_MAX_PATH = 100
_MAX_DEPTH = 8
_NAME = re.compile(
    r"pas+w|pas+phrase|token|secret|credential|private|(^|_)(pass|key|auth|jwt|seed|pin)s?($|_)", re.IGNORECASE
)
_KEY_OF_A_RECORD = re.compile(r"(^|\.)fields\.([0-9]+\.)?(sign_|unit_)?key$")
"""Where a value is in a record: the one `key` that opens nothing."""

__all__ = ["HIDDEN", "may_be_secret", "shown", "shown_path", "without_secrets", "without_url_secrets"]


def may_be_secret(path: str) -> bool:
    """Whether a setting of this dotted path may hold a secret, judged by the words in its name."""
    return any(_NAME.search(part) for part in path.split(".")) and not _KEY_OF_A_RECORD.search(path)


def shown_path(path: str) -> str:
    """A dotted path for an error text: in one line, shortened, without what is below the name of a secret."""
    parts = without_url_secrets(path).split(".")
    for at, part in enumerate(parts[:-1], 1):
        if _NAME.search(part):
            parts[at:] = [HIDDEN]
            break
    return _shortened(_printable(".".join(parts)), _MAX_PATH)


def shown(value: object, path: str = "") -> str:
    """A value for an error text: shortened, without secrets.

    Parameters:
        value: of any type.
        path: dotted path of the setting it was given for.
    """
    try:
        text = repr(_without_secrets(value, path, 0))
    except ValueError:  # Python writes no integer of more than 4300 digits
        text = "a number of very many digits"
    return _shortened(text, _MAX_SHOWN)


def without_secrets(members: Mapping[str, Any]) -> dict[str, Any]:
    """Settings or the state of a process as a page or a prompt may show them.

    Parameters:
        members: of JSON's types.
    """
    return {name: _for_pages(value, name) for name, value in members.items()}


def _for_pages(value: Any, path: str) -> Any:
    if value not in (None, "") and may_be_secret(path):
        return HIDDEN
    if isinstance(value, Mapping):
        return {without_url_secrets(name): _for_pages(inner, f"{path}.{name}") for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_for_pages(inner, f"{path}.{at}") for at, inner in enumerate(value)]
    return without_url_secrets(value) if isinstance(value, str) else value


def _without_secrets(value: object, path: str, depth: int) -> object:
    if may_be_secret(path) and value not in (None, ""):
        return HIDDEN
    if depth > _MAX_DEPTH:
        return "..."
    if isinstance(value, Mapping):
        some = list(value.items())[:_MAX_SHOWN]
        return {
            without_url_secrets(str(name)[:_MAX_PATH]): _without_secrets(inner, str(name), depth + 1)
            for name, inner in some
        }
    if isinstance(value, list | tuple):
        return [_without_secrets(inner, "", depth + 1) for inner in value[:_MAX_SHOWN]]
    return without_url_secrets(value[:1000]) if isinstance(value, str) else value


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _shortened(text: str, most: int) -> str:
    half = most // 2 - 2
    return text if len(text) <= most else f"{text[:half]}...{text[-half:]}"
