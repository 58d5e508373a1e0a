"""Keeps secrets out of errors, logs and pages: the one place that decides what may be shown."""

from __future__ import annotations

import re
from collections.abc import Mapping

HIDDEN = "(hidden)"
_MAX_SHOWN = 60
_MAX_DEPTH = 8
_NAME = re.compile(
    r"pas+w|pas+phrase|token|secret|credential|private|(^|_)(pass|key|auth|jwt|seed|pin)s?($|_)", re.IGNORECASE
)
_IN_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<user>[^/?#\s@]*@)?(?P<rest>[^?#\s]*)(?P<query>\?[^#\s]*)?"
)


def may_be_secret(path: str) -> bool:
    """Whether a setting of this dotted path may hold a secret, judged by the words in its name."""
    return any(_NAME.search(part) for part in path.split("."))


def without_url_secrets(text: str) -> str:
    """A text whose URLs have lost their user part and query."""

    def hidden(found: re.Match[str]) -> str:
        user, query = (HIDDEN if found[part] else "" for part in ("user", "query"))
        return f"{found['scheme']}{user and user + '@'}{found['rest']}{query and '?' + query}"

    return _IN_URL.sub(hidden, text)


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
    half = _MAX_SHOWN // 2 - 2
    return text if len(text) <= _MAX_SHOWN else f"{text[:half]}...{text[-half:]}"


def _without_secrets(value: object, path: str, depth: int) -> object:
    if may_be_secret(path) and value not in (None, ""):
        return HIDDEN
    if depth > _MAX_DEPTH:
        return "..."
    if isinstance(value, Mapping):
        return {name: _without_secrets(inner, str(name), depth + 1) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_secrets(inner, "", depth + 1) for inner in value[:_MAX_SHOWN]]
    return without_url_secrets(value[:1000]) if isinstance(value, str) else value
