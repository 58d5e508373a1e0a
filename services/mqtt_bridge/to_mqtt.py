"""Messages of ioFog as publications, as the settings say. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from device_bridge import Command, CommandError, CommandSpec, Parameter, Quality, Reading, SettingsError
from device_bridge.messages import senml as packs
from iofog_sdk import IoMessage, address_of
from iofog_sdk.messages import SenmlRecord, decode_json, parse_senml
from iofog_sdk.mqtt import Publication, add_sequence

from .discovery import Discovery
from .hops import goes_round, notes_of
from .settings import MqttCommand, ToMqtt
from .sparkplug import SparkplugNode
from .topics import check_template, filled_payload, filled_topic, places, plain_text

_KNOWN = {
    "readings": {"source", "quantity", "publisher"},
    "results": {"command", "id", "publisher"},
    "other": {"publisher"},
}
_JSON = "application/json"


class _Result(msgspec.Struct):
    command: str
    ok: bool
    id: str = ""


class _Payload(msgspec.Struct, omit_defaults=True):
    value: float | int | str | bool | None
    unit: str = ""
    time: float = 0.0
    quality: str = "good"
    reason: str = ""


class ToTopics:
    """The way from ioFog to MQTT.

    Parameters:
        rules: which messages go where.
        name: of this bridge among others; what has been through it does not go through again.
        discovery: tells Home Assistant, if it is wanted.

    Raises SettingsError.
    """

    def __init__(self, rules: Sequence[ToMqtt], name: str, discovery: Discovery | None = None) -> None:
        for at, rule in enumerate(rules):
            setting = f"to_mqtt[{at}].topic"
            check_template(rule.topic, _KNOWN[rule.messages], setting)
            alone = rule.messages == "readings" and rule.payload != "senml"
            if alone and "quantity" not in places(rule.topic) and set(rule.match) & set("*?["):
                remedy = "Put {quantity} into it, or write payload = 'senml'."
                raise SettingsError(setting, rule.topic, "is one topic for the values of many quantities", remedy)
        self._rules = {kind: [rule for rule in rules if rule.messages == kind] for kind in _KNOWN}
        self._name, self._discovery = name, discovery
        self.sparkplug: SparkplugNode | None = None
        """Publishes readings as Sparkplug B too, if that is wanted."""
        self.counts: Counter[str] = Counter()

    def publications(self, message: IoMessage) -> list[Publication]:
        """Everything that a message is published as; nothing for one that no rule is for."""
        via = address_of(message.tag).via
        if self._name in via:
            self.counts["loops"] += 1
            return []
        found: list[Publication] = []
        if message.infotype == packs.INFO_TYPE:
            found = self._readings(message)
        elif (result := _result_of(message)) is not None:
            values = {"publisher": message.publisher, "command": result.command, "id": result.id}
            for rule in self._rules["results"]:
                found.append(_publication(rule, values, add_sequence(message, message.contentdata), _JSON))
        else:
            for rule in self._rules["other"]:
                values = {"publisher": message.publisher}
                found.append(_publication(rule, values, message.contentdata, message.infotype))
        self.counts["published" if found else "unmatched"] += 1
        notes = notes_of(via, self._name)
        return [each._replace(user_properties=notes) for each in found]

    def _readings(self, message: IoMessage) -> list[Publication]:
        try:
            records = parse_senml(message.contentdata)
            as_it_is = not message.timestamp or not any(one.is_relative for one in records)
            if not as_it_is:
                records = [one.at(message.timestamp / 1000) for one in records]
            whole = message.contentdata if as_it_is else _pack(records)
            found = [
                each for rule in self._rules["readings"] for each in self._by_rule(rule, message, records, whole)
            ]
            if self.sparkplug is not None:
                found += self.sparkplug.publications(records, message.publisher)
            return found
        except (ValueError, OverflowError):  # SenmlError is a ValueError
            self.counts["malformed"] += 1
            return []

    def _by_rule(
        self, rule: ToMqtt, message: IoMessage, records: list[SenmlRecord], whole: bytes
    ) -> Iterator[Publication]:
        chosen = [one for one in records if fnmatchcase(f"{one.source}:{one.quantity}".lstrip(":"), rule.match)]
        if rule.payload != "senml":
            for one in chosen:
                if (reading := packs.to_reading(one)) is not None:
                    yield from self._single(rule, message, one, reading)
            return
        by_topic: dict[str, list[SenmlRecord]] = {}
        for one in chosen:
            by_topic.setdefault(filled_topic(rule.topic, _values(message, one)), []).append(one)
        for topic, together in by_topic.items():
            content = whole if len(together) == len(records) else _pack(together)
            yield _publication(rule, None, add_sequence(message, content), packs.INFO_TYPE, topic)

    def _single(self, rule: ToMqtt, message: IoMessage, one: SenmlRecord, reading: Reading) -> Iterator[Publication]:
        topic = filled_topic(rule.topic, _values(message, one))
        if self._discovery is not None:
            is_json = rule.payload == "json"
            yield from self._discovery.configurations(one.source, one.quantity, reading, topic, is_json=is_json)
        if rule.payload == "value":
            # Home Assistant takes None for an unknown value; an empty payload would delete what is retained. A value
            # alone cannot be marked as stale.
            is_known = reading.value is not None and reading.quality not in (Quality.BAD, Quality.STALE)
            text = plain_text(reading.value) if is_known and reading.value is not None else "None"
            yield _publication(rule, None, text.encode(), "text/plain", topic)
            return
        time = 0.0 if one.is_relative else reading.time  # of a message that does not say when it was sent
        payload = _Payload(reading.value, reading.unit, time, reading.quality.value, reading.reason)
        yield _publication(rule, None, add_sequence(message, msgspec.json.encode(payload)), _JSON, topic)


def command_specs(commands: Mapping[str, MqttCommand]) -> tuple[CommandSpec, ...]:
    """The commands that rules make publications of, with the places in them as parameters."""
    return tuple(
        CommandSpec(
            name,
            tuple(Parameter(place, "any") for place in sorted(places(rule.topic) | places(rule.payload))),
            f"published on {rule.topic}",
        )
        for name, rule in commands.items()
    )


def publication_of(rule: MqttCommand, command: Command, name: str) -> Publication:
    """What a command is published as. Raises CommandError.

    Parameters:
        rule: for commands of this name.
        command: what is to be done.
        name: of this bridge among others; what has been through it does not go through again.
    """
    if goes_round(command.via, name):
        raise CommandError(f"{command.name} goes round: it has been through {', '.join(command.via)}")
    texts = {name: rule.values.get(plain_text(value), value) for name, value in command.parameters.items()}
    try:
        topic = filled_topic(rule.topic, {name: plain_text(value) for name, value in texts.items()})
        payload = filled_payload(rule.payload, texts)
    except KeyError as error:
        raise CommandError(f"`{error.args[0]}` is missing; {command.name} needs it") from None
    return Publication(topic, payload.encode(), rule.qos, rule.retain, user_properties=notes_of(command.via, name))


def _values(message: IoMessage, record: SenmlRecord) -> dict[str, str]:
    source = record.source or message.publisher
    return {"source": source, "quantity": record.quantity, "publisher": message.publisher}


def _publication(
    rule: ToMqtt, values: dict[str, str] | None, payload: bytes, content_type: str, topic: str = ""
) -> Publication:
    where = topic if values is None else filled_topic(rule.topic, values)
    return Publication(where, payload, rule.qos, rule.retain, rule.expiry, content_type)


def _pack(records: list[SenmlRecord]) -> bytes:
    whole: list[dict[str, Any]] = [one.standalone for one in records]
    return msgspec.json.encode(whole)


def _result_of(message: IoMessage) -> _Result | None:
    if message.infotype != _JSON:
        return None
    try:
        return decode_json(message.contentdata, _Result)
    except ValueError:
        return None
