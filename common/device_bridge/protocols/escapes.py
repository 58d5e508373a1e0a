"""Bytes written as text with escapes, as settings have them. No I/O."""

from __future__ import annotations

from ..errors import SettingsError


def unescaped(text: str, setting: str) -> bytes:
    """Bytes written as text: `\\r`, `\\xff` are escapes, characters up to U+00FF stand for the byte of that number.

    Parameters:
        text: as in the settings.
        setting: dotted path of it, for the error.

    Raises SettingsError for an escape that is not whole, and for other characters: they have no single encoding.
    """
    try:
        return text.encode("latin-1").decode("unicode_escape").encode("latin-1")
    except UnicodeError as error:
        remedy = r"Write bytes above 7e as \xNN; in JSON, and in TOML between double quotes, with two backslashes."
        raise SettingsError(setting, text, f"does not say which bytes: {error}", remedy) from None
