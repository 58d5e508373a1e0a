"""What comes on topics as readings, commands and messages of ioFog, as the settings say. No I/O."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from device_bridge import Forwarded, Quality, Reading, Sample, SettingsError, is_finite
from device_bridge.messages import senml as packs
from device_bridge.protocols import RecordField, at_path
from iofog_sdk import Address
from iofog_sdk.mqtt import ReceivedMessage

from .hops import goes_round, via_of
from .settings import ToIofog
from .topics import check_filter, check_places, filled_payload, wildcards

MAX_READINGS = 200
"""Out of one object without `fields`."""
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9:./_-]+")
_RETAINED = "kept by the broker, nobody knows for how long"


class Malformed(ValueError):  # noqa: N818 - the name says what it is
    """A payload is not what the settings say."""


class FromTopics:
    """The way from MQTT to ioFog.

    Parameters:
        rules: which topics become what.
        name: of this bridge among others; what has been through it does not go through again.
        malformed: is told of each payload or topic that is not what the settings say.

    Raises SettingsError.
    """

    def __init__(
        self, rules: Sequence[ToIofog], name: str, malformed: Callable[[str, Exception], None] = lambda *_: None
    ) -> None:
        for at, rule in enumerate(rules):
            _check(rule, f"to_iofog[{at}]")
        self._rules, self._name, self._malformed = rules, name, malformed
        self.counts: Counter[str] = Counter()

    def passed(self, received: ReceivedMessage) -> list[Forwarded]:
        """What a message becomes, in the order of the rules; nothing for one that cannot be used."""
        via = via_of(received.user_properties)
        if goes_round(via, self._name):
            self.counts["loops"] += 1
            return []
        found = []
        for rule in self._rules:
            parts = wildcards(rule.topic, received.topic)
            if parts is None:
                continue
            try:
                made = self._by_rule(rule, received, {str(n): part for n, part in enumerate(parts, 1)}, via)
            except (ValueError, OverflowError, RecursionError) as error:  # msgspec's and ours are ValueErrors
                self.counts["malformed"] += 1
                self._malformed(received.topic, error)
            else:
                found += [] if made is None else [made]
        self.counts["taken" if found else "unused"] += 1
        return found

    def _by_rule(
        self, rule: ToIofog, received: ReceivedMessage, parts: Mapping[str, str], via: tuple[str, ...]
    ) -> Forwarded | None:
        if rule.becomes == "readings":
            if rule.payload == "senml":
                _check_pack(received.payload)
                return _message(received.payload, packs.INFO_TYPE, "utf-8", Address("", via))
            sample = _readings(rule, received, parts)
            return Forwarded(content=sample, tag=Address("", via).tag()) if sample else None
        if received.retained:  # it would be executed again after each reconnect
            self.counts["retained"] += 1
            return None
        address = Address(_name(filled_payload(rule.to, parts)), via)
        if rule.becomes == "message":
            return _message(received.payload, rule.infotype, rule.infoformat, address)
        return _message(_command(rule, received, parts), "application/json", "utf-8", address)


def _readings(rule: ToIofog, received: ReceivedMessage, parts: Mapping[str, str]) -> Sample:
    prefix = _name(filled_payload(rule.prefix, parts))
    text = received.payload.decode()
    raw: dict[str, Any] | Any
    if rule.payload == "value":
        fields: Sequence[RecordField] = rule.fields or (_Plain(name=_last(received.topic)),)
        readings = [fields[0].reading(text)]
    else:
        raw = msgspec.json.decode(received.payload)
        if not isinstance(raw, dict):
            raise Malformed("no object")
        if rule.fields:
            found = [(field, at_path(raw, str(field.place))) for field in rule.fields]
            if all(value is None for _, value in found):
                raise Malformed("an object without any of the fields")
            readings = [field.reading(value) for field, value in found if value is not None]
        else:
            numbers = ((key, value) for key, value in raw.items() if isinstance(value, int | float))
            readings = [Reading(_name(key), value) for key, value in numbers if is_finite(value)]
            if not readings or len(readings) > MAX_READINGS:
                raise Malformed(f"{len(readings)} values")
    return [_named(reading, prefix, retained=received.retained) for reading in readings]


def _check_pack(content: bytes) -> None:
    readings = packs.decode(content)
    if not readings:
        raise Malformed("a pack without values")
    if not all(is_finite(reading.value) for reading in readings if isinstance(reading.value, int | float)):
        raise Malformed("a pack with a number that is too large")


class _Plain(RecordField, frozen=True, kw_only=True):
    """A value of which nothing is known: a number, a state, or else text."""

    def interpreted(self, raw: str | float | bool) -> Reading:
        word = str(raw).lower()
        if word in ("true", "false", "on", "off"):
            return self.good(word in ("true", "on"))
        number = super().interpreted(raw)
        return number if number.quality is Quality.GOOD else self.good(str(raw)[:1000])


def _named(reading: Reading, prefix: str, *, retained: bool) -> Reading:
    if retained and reading.quality is Quality.GOOD:
        reading = msgspec.structs.replace(reading, quality=Quality.STALE, reason=_RETAINED)
    return msgspec.structs.replace(reading, name=prefix + reading.name) if prefix else reading


def _command(rule: ToIofog, received: ReceivedMessage, parts: Mapping[str, str]) -> bytes:
    text = received.payload.decode()
    if not rule.command:
        content = msgspec.json.decode(received.payload)
        if not isinstance(content, dict) or not isinstance(content.get("command"), str) or "ok" in content:
            raise Malformed("no command")
        return received.payload
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        value = text
    if isinstance(value, dict | list) or (isinstance(value, int) and not is_finite(value)):
        raise Malformed("no single value")
    command = {"command": filled_payload(rule.command, parts)} | ({} if value in (None, "") else {"value": value})
    return msgspec.json.encode(command)


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
