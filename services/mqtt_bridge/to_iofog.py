"""What comes on topics as readings, commands and messages of ioFog, as the settings say. No I/O."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from device_bridge import Forwarded, Quality, Reading, Sample, SettingsError, is_finite
from device_bridge.messages import senml as packs
from device_bridge.protocols import Raw, RecordField, at_path, decoded_json
from iofog_sdk import Address
from iofog_sdk.messages import SenmlRecord, decode_json, parse_senml
from iofog_sdk.mqtt import ReceivedMessage

from .hops import goes_round, via_of
from .settings import ToIofog
from .topics import check_filter, check_places, filled_payload, wildcards

MAX_READINGS = 200
"""Out of one object without `fields`."""
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9:./_-]+")
_RETAINED = "kept by the broker, nobody knows for how long"
_WAITED = "may have waited at the broker, nobody knows for how long"
_STATES = ("true", "false", "on", "off")
_SURELY_SCIENTIFIC = re.compile(r"\.|[eE][-+]")
"""A number that may have an exponent: 00E1 and 1e3 may be hexadecimal."""
_LEAST_AGE_S = 0.1
"""A younger value is one of now."""


class Malformed(ValueError):  # noqa: N818 - the name says what it is
    """A payload is not what the settings say."""


class _Undated(Malformed):
    """A message whose age nobody knows, where that matters."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


class FromTopics:
    """The way from MQTT to ioFog.

    Parameters:
        rules: which topics become what.
        name: of this bridge among others; what has been through it does not go through again.
        unused: gets each message that is dropped: the kind of its fault, its topic, and why.
        now: seconds since 1970-01-01 UTC.

    Raises SettingsError.
    """

    def __init__(
        self,
        rules: Sequence[ToIofog],
        name: str,
        unused: Callable[[str, str, str], None] = lambda *_: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        for at, rule in enumerate(rules):
            _check(rule, f"to_iofog[{at}]")
        self._rules, self._name, self._unused, self._now = rules, name, unused, now
        self.counts: Counter[str] = Counter()

    def passed(self, received: ReceivedMessage, age_s: float = 0.0) -> list[Forwarded]:
        """What a message becomes, in the order of the rules; nothing for one that cannot be used.

        Parameters:
            received: the message.
            age_s: seconds since it came.
        """
        via = via_of(received.user_properties)
        if goes_round(via, self._name):
            self.counts["loops"] += 1
            return []
        found = []
        for rule in self._rules:
            parts = wildcards(rule.topic, received.topic)
            if parts is None:
                continue
            by_number = {str(number): part for number, part in enumerate(parts, 1)}
            try:
                found.append(self._by_rule(rule, received, by_number, via, age_s))
            except _Undated as error:
                self._drop(error.kind, received.topic, f"is dropped: {error}")
            except (ValueError, OverflowError, RecursionError) as error:  # msgspec's and ours are ValueErrors
                self._drop("malformed", received.topic, f"is not what the settings say, and dropped: {error}")
        self.counts["taken" if found else "unused"] += 1
        return found

    def _drop(self, kind: str, topic: str, reason: str) -> None:
        self.counts[kind] += 1
        self._unused(kind, topic, reason)

    def _by_rule(
        self,
        rule: ToIofog,
        received: ReceivedMessage,
        parts: Mapping[str, str],
        via: tuple[str, ...],
        age_s: float,
    ) -> Forwarded:
        if rule.becomes == "readings":
            if rule.payload == "senml":
                return _message(_pack(received), packs.INFO_TYPE, "utf-8", Address("", via))
            sample = [_dated(reading, received, age_s) for reading in _readings(rule, received, parts)]
            return Forwarded(content=sample, tag=Address("", via).tag())
        address = Address(_name(filled_payload(rule.to, parts)), via)
        if rule.becomes == "message":
            if received.retained:
                raise _Undated("retained", _RETAINED)
            return _message(received.payload, rule.infotype, rule.infoformat, address)
        content = _dated_command(_command(rule, received, parts), received, self._now() - age_s)
        return _message(content, "application/json", "utf-8", address)


def _readings(rule: ToIofog, received: ReceivedMessage, parts: Mapping[str, str]) -> Sample:
    prefix = _name(filled_payload(rule.prefix, parts))
    text = received.payload.decode()
    if rule.payload == "value":
        field = rule.fields[0] if rule.fields else _Plain(name=_last(received.topic))
        found = [_read(field, lambda key: text if key == field.place else None)]
    else:
        members = decoded_json(text)
        if not isinstance(members, dict):
            raise Malformed("no object")
        if rule.fields:
            found = [_read(field, lambda key: at_path(members, str(key), null="")) for field in rule.fields]
        else:
            found = [_Plain(name=_name(key)).reading(value) for key, value in members.items() if _is_plain(value)]
    readings = [reading for reading in found if reading is not None]
    if not readings or len(readings) > MAX_READINGS:
        wanted = "of the fields" if rule.fields else "numbers and states; say in `fields` what else is wanted"
        raise Malformed(f"an object with {len(readings)} {wanted}")
    if len({reading.name for reading in readings}) < len(readings):
        raise Malformed("an object with two members that become the same name; say in `fields` which are wanted")
    return [msgspec.structs.replace(reading, name=prefix + reading.name) for reading in readings]


def _read(field: RecordField, get: Callable[[str | int], Raw]) -> Reading | None:
    reading = field.read(get)
    return None if reading is None else field.quantity.judged(reading)


def _is_plain(value: Any) -> bool:
    """Whether it is a number or a state, which need no description."""
    return is_finite(value) if isinstance(value, int | float) else str(value).lower() in _STATES


def _dated(reading: Reading, received: ReceivedMessage, age_s: float) -> Reading:
    if age_s >= _LEAST_AGE_S:
        reading = msgspec.structs.replace(reading, time=-age_s)
    if (doubt := _doubt(received)) and reading.quality is Quality.GOOD:
        return msgspec.structs.replace(reading, quality=Quality.STALE, reason=doubt)
    return reading


def _doubt(received: ReceivedMessage) -> str:
    """Why nobody knows how old a message is, "" for one that has just been published."""
    return _RETAINED if received.retained else _WAITED if received.may_have_waited else ""


def _dated_command(content: dict[str, Any], received: ReceivedMessage, came_at: float) -> bytes:
    """A command that says when it was given, so that nobody executes it late."""
    if "time" not in content or received.retained:  # a retained one would be executed again after each reconnect
        if doubt := _doubt(received):
            raise _Undated("retained" if received.retained else "undated", f"a command without its `time`: {doubt}")
        content["time"] = round(came_at, 3)
    return msgspec.json.encode(content)


def _pack(received: ReceivedMessage) -> bytes:
    """A pack as it is; where its times count from now, and nobody knows when that was, its values are stale."""
    records = parse_senml(received.payload)
    _check_pack(received.payload)
    doubt = _doubt(received)
    if not doubt or not any(record.is_relative for record in records):
        return received.payload
    mark = {"quality": Quality.STALE.value, "reason": doubt}
    return msgspec.json.encode([record.standalone | (mark if _is_now(record) else {}) for record in records])


def _is_now(record: SenmlRecord) -> bool:
    return record.is_relative and record.fields.get("quality", "good") == "good"


def _check_pack(content: bytes) -> None:
    if not packs.decode(content):
        raise Malformed("a pack without values")


class _Plain(RecordField, frozen=True, kw_only=True):
    """A value of which nothing is known: a number, a state, or else text."""

    name: str

    def number(self, text: str) -> float:
        has_exponent = _SURELY_SCIENTIFIC.search(text) is not None
        return super(_Plain, msgspec.structs.replace(self, exponent=has_exponent)).number(text)

    def interpreted(self, raw: str | float | bool) -> Reading:
        word = str(raw).lower()
        if word in _STATES:
            return self.good(word in ("true", "on"))
        number = super().interpreted(raw)
        is_number = number.quality is Quality.GOOD
        return number if is_number else RecordField(name=self.name, kind="text").interpreted(raw)


def _command(rule: ToIofog, received: ReceivedMessage, parts: Mapping[str, str]) -> dict[str, Any]:
    text = received.payload.decode()
    if not rule.command:
        content = decode_json(received.payload)
        if not isinstance(content, dict) or not isinstance(content.get("command"), str) or "ok" in content:
            raise Malformed("no command")
        return content
    try:
        value = decode_json(text)
    except ValueError:
        value = text
    if isinstance(value, dict | list) or (isinstance(value, int) and not is_finite(value)):
        raise Malformed("no single value")
    return {"command": filled_payload(rule.command, parts)} | ({} if value in (None, "") else {"value": value})


def _message(content: bytes, infotype: str, infoformat: str, address: Address) -> Forwarded:
    return Forwarded(content=content, infotype=infotype, infoformat=infoformat, tag=address.tag())


def _last(topic: str) -> str:
    return _name(topic.rpartition("/")[2]).lstrip("_.:/-") or "value"


def _name(text: str) -> str:
    return _NOT_IN_NAMES.sub("_", text)


def _check(rule: ToIofog, setting: str) -> None:
    known = {str(number) for number in range(1, check_filter(rule.topic, f"{setting}.topic") + 1)}
    for name in ("prefix", "command", "to"):
        check_places(getattr(rule, name), known, f"{setting}.{name}")
    if rule.payload == "value" and len(rule.fields) > 1:
        remedy = "Write one, or payload = 'json'."
        raise SettingsError(f"{setting}.fields", len(rule.fields), "one value has not several fields", remedy)
    if rule.to and rule.becomes == "readings":
        remedy = "Leave it out; who wants readings gets them."
        raise SettingsError(f"{setting}.to", rule.to, "readings are for nobody in particular", remedy)
