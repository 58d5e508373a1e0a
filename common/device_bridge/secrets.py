"""Keeps secrets out of errors, logs and pages: the one place that decides what may be shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from iofog_sdk.redact import HIDDEN, without_url_secrets

_MAX_SHOWN = 60
_MAX_PATH = 100
_MAX_DEPTH = 8
_PART_OF_A_WORD = re.compile(
    r"pas+w|pas+phrase|pas+code|token|secret|credential|private|authorization|connection_string"
)
_WHOLE_WORD = re.compile(r"(pass|auth|jwt|seed|pin|psk|pwd|pw|bearer|cookie|cred|keyfile|keypair|\w*key)s?")
_NO_SECRET = re.compile(r"(hot|don|mon|tur|joc)keys?")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
"""Of a name as `api_key`, `api-key`, `apiKey` or `APIKey`."""
_ASSIGNED = re.compile(r"([\w-]{1,60})(\s{0,5}[=:]\s{0,5})(?!//)\S+")
_KEY_OF_A_RECORD = re.compile(r"(^|\.)fields\.([0-9]+\.)?(sign_|unit_)?key$")
"""Where a value is in a record: the one `key` that opens nothing."""

__all__ = ["HIDDEN", "may_be_secret", "shown", "shown_path", "without_secrets", "without_url_secrets"]


def may_be_secret(path: str) -> bool:
    """Whether a setting of this dotted path may hold a secret, judged by the words in its name."""
    return any(_is_secret(part) for part in path.split(".")) and not _KEY_OF_A_RECORD.search(path)


@lru_cache(1000)
def _is_secret(name: str) -> bool:
    words = [word.lower() for word in _WORD.findall(name[:_MAX_PATH])]
    if _PART_OF_A_WORD.search("_".join(words)):
        return True
    return any(_WHOLE_WORD.fullmatch(word) and not _NO_SECRET.fullmatch(word) for word in words)


def shown_path(path: str) -> str:
    """A dotted path for an error text: in one line, shortened, without what is below the name of a secret."""
    parts = without_url_secrets(path).split(".")
    for at, part in enumerate(parts[:-1], 1):
        if _is_secret(part):
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
    return _without_any(value) if isinstance(value, str) else value


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
    return _without_any(value[:1000]) if isinstance(value, str) else value


def _without_any(text: str) -> str:
    """A text without the secrets of its URLs, and without what it gives a secret's name, as `password=...`."""
    text = without_url_secrets(text)
    return _ASSIGNED.sub(lambda found: f"{found[1]}{found[2]}{HIDDEN}" if _is_secret(found[1]) else found[0], text)


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _shortened(text: str, most: int) -> str:
    half = most // 2 - 2
    return text if len(text) <= most else f"{text[:half]}...{text[-half:]}"
