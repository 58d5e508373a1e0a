"""MQTT topics: filters, and templates with `{places}`. No I/O. MQTT 5.0, 4.7."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Mapping

from device_bridge import SettingsError, Value

_PLACE = re.compile(r"\{([a-z_]+|[1-9])\}")
_MAX_BYTES = 1000
_MAX_LEVEL = 200
_ESCAPED = re.compile(r"[^\w:@()\[\],;!&-]")
_SLASH = "~"
_TOPIC_REMEDY = "Write levels with slashes between, without + and #."


def places(template: str) -> set[str]:
    """Names of a template's places."""
    return set(_PLACE.findall(template))


def filled_topic(template: str, values: Mapping[str, str]) -> str:
    """A topic; each value is one level, or a part of one. Raises KeyError for a place without a value."""
    return _PLACE.sub(lambda place: level_of(values[place[1]]), template)


def level_of(text: str) -> str:
    """A text as one level of a topic; no two texts have the same one.

    Letters, digits and marks as `_`, `-` and `:` stay; `/` becomes `~`, any other character its number in hexadecimal
    between two `=`.
    """
    level = _ESCAPED.sub(lambda found: _SLASH if found[0] == "/" else f"={ord(found[0]):x}=", text) or "=="
    if len(level) <= _MAX_LEVEL:
        return level
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{level[: _MAX_LEVEL - 19]}=={digest}="


def filled_payload(template: str, values: Mapping[str, Value]) -> str:
    """A payload; text goes into one that is JSON so that it stays JSON. Raises KeyError as above."""
    is_json = _is_json(template)

    def text(place: re.Match[str]) -> str:
        plain = plain_text(values[place[1]])
        return json.dumps(plain)[1:-1] if is_json else plain

    return _PLACE.sub(text, template)


def _is_json(template: str) -> bool:
    """Whether a payload is an object or array once its places are filled; `{value}` alone is neither."""
    if _PLACE.sub("0", template).lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(_PLACE.sub("0", template))
    except (ValueError, RecursionError):
        return False
    return True


def plain_text(value: Value) -> str:
    """A value as MQTT devices write it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def wildcards(topic_filter: str, topic: str) -> tuple[str, ...] | None:
    """What stands for each wildcard of a filter, None for a topic that does not match."""
    if topic.startswith("$") != topic_filter.startswith("$"):
        return None
    wanted, levels = topic_filter.split("/"), topic.split("/")
    found: list[str] = []
    for at, level in enumerate(wanted):
        if level == "#":
            return (*found, "/".join(levels[at:]))
        if at >= len(levels) or level not in ("+", levels[at]):
            return None
        if level == "+":
            found.append(levels[at])
    return tuple(found) if len(wanted) == len(levels) else None


def overlap(one: str, other: str) -> bool:
    """Whether there can be a topic that matches both filters."""
    if one.startswith("$") != other.startswith("$"):
        return False
    left, right = one.split("/"), other.split("/")
    for a, b in zip(left, right, strict=False):
        if "#" in (a, b):
            return True
        if a != b and "+" not in (a, b):
            return False
    longer = left if len(left) > len(right) else right
    shorter = min(len(left), len(right))
    return len(left) == len(right) or longer[shorter] == "#"


def needed(filters: list[str]) -> list[str]:
    """Filters for all of these topics, no two for one topic: a broker sends a message once for each that it fits."""
    kept: list[str] = []
    for topic_filter in filters:
        widened = topic_filter
        while shared := [other for other in kept if overlap(other, widened)]:
            kept = [other for other in kept if other not in shared]
            for other in shared:
                widened = _joined(other, widened)
        kept.append(widened)
    return kept


def _joined(one: str, other: str) -> str:
    """The narrowest filter for all topics of both, which overlap."""
    left, right = one.split("/"), other.split("/")
    levels: list[str] = []
    for a, b in itertools.zip_longest(left, right, fillvalue="#"):
        if "#" in (a, b):
            return "/".join([*levels, "#"])
        levels.append(a if a == b else "+")
    return "/".join(levels)


def as_filter(template: str) -> str:
    """A filter for all topics that a template can become."""
    return "/".join("+" if _PLACE.search(level) else level for level in template.split("/"))


def check_template(template: str, known: set[str], setting: str) -> None:
    """Raises SettingsError for a template that makes no topic."""
    if not template or set(template) & set("+#\0") or len(template.encode()) > _MAX_BYTES:
        raise SettingsError(setting, template, "is no topic", _TOPIC_REMEDY)
    check_places(template, known, setting)


def check_places(template: str, known: set[str], setting: str) -> None:
    """Raises SettingsError for a place that nothing is known for."""
    if unknown := places(template) - known:
        there = ", ".join(f"{{{name}}}" for name in sorted(known)) or "none here"
        raise SettingsError(
            setting, template, f"has a place {{{unknown.pop()}}} that is not known", f"Known: {there}."
        )


def check_filter(topic_filter: str, setting: str) -> int:
    """The number of its wildcards. Raises SettingsError for what is no filter."""
    levels = topic_filter.split("/")
    wrong = any(("+" in level or "#" in level) and len(level) > 1 for level in levels) or "#" in levels[:-1]
    if not topic_filter or wrong or "\0" in topic_filter or len(topic_filter.encode()) > _MAX_BYTES:
        remedy = "Write levels with slashes between; + stands for one level, # at the end for all that follow."
        raise SettingsError(setting, topic_filter, "is no topic filter", remedy)
    if levels[0] in ("$share", "$queue"):
        rule = "is a shared subscription: of several listeners each gets a part, and this bridge would miss the rest"
        raise SettingsError(setting, topic_filter, rule, f"Write {'/'.join(levels[2:]) or 'the topics alone'!r}.")
    return sum(level in ("+", "#") for level in levels)
