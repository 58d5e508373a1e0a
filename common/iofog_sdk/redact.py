"""Takes secrets out of URLs and paths that errors and logs show."""

from __future__ import annotations

import re

HIDDEN = "(hidden)"
_IN_TEXT = re.compile(r"([A-Za-z0-9+.-]{1,20}://)(\S*@)?([^\s?#]*)([?#](?!\(hidden\))\S*)?")


def without_url_secrets(text: str) -> str:
    """A text whose URLs have lost user part, query and fragment."""
    if "://" not in text:
        return text
    return _IN_TEXT.sub(lambda url: _redacted(url[1], url[2], url[3], url[4]), text)


def redact_url(url: str) -> str:
    """A text that was given as a URL, valid or not, without user part, query and fragment."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "", url
    user, at, rest = rest.rpartition("@")
    host = re.split(r"[?#]", rest, maxsplit=1)[0]
    text = _redacted(scheme[-20:] + separator, user or at, host[:100], rest[len(host) :])
    return text if text.isprintable() else ascii(text)[1:-1]


def shown_file(path: str) -> str:
    """The path of a file that holds a secret, for an error; hidden unless it is absolute.

    The secret itself, written where the path of its file belongs, has no slash at its beginning.
    """
    return path if path.startswith("/") else HIDDEN


def _redacted(scheme: str, user: str | None, host: str, query: str | None) -> str:
    return f"{scheme}{f'{HIDDEN}@' if user else ''}{host}{f'{query[0]}{HIDDEN}' if query else ''}"
