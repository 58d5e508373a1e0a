"""Messages of ioFog as the dashboard reads them: readings by source, results of commands, announcements."""

from __future__ import annotations

from math import isfinite
from typing import Any, NamedTuple

import msgspec

from device_bridge import Quality, Reading, is_finite
from device_bridge.messages import ANNOUNCEMENT_TYPE, Announcement, senml
from iofog_sdk import IoMessage
from iofog_sdk.messages import decode_json, parse_senml

MAX_NAME = 200
"""Characters of a source's name and of a quantity's."""
MAX_TEXT = 200
"""Characters shown of a text value, of a reason."""
MAX_COMMANDS_BYTES = 32 * 1024
_MAX_UNIT = 40
_EXACT = 2**53
_VERSIONS = (10, 26)
"""Of SenML: RFC 8428, and the same with the secondary units of RFC 8798."""
_MAX_RECORDS = 1000
_RELATIVE = 2**28
"""A smaller time in SenML counts from now (RFC 8428 section 4.5.3)."""


class CommandResult(msgspec.Struct, frozen=True):
    """How a command ended, as services report it."""

    command: str
    ok: bool
    id: str = ""
    detail: str = ""
    readings: list[dict[str, Any]] = []


class _Kind(msgspec.Struct):
    service: str = ""
    command: str = ""


class _Record(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A record as services of this project write it; whatever has other fields is read by `parse_senml`."""

    bn: str | None = None
    bt: float = 0.0
    bver: int = 10
    n: str = ""
    u: str = ""
    v: float | int | None = None
    vs: str | None = None
    vb: bool | None = None
    t: float = 0.0
    quality: str = "good"
    reason: str = ""
    clock: str = "set"


_plain_records = msgspec.json.Decoder(list[_Record])
_QUALITIES = {quality.value: quality for quality in Quality}


class Arrival(NamedTuple):
    """A message that could be read.

    Parameters:
        message: with its publisher, `groupid` and `sequencenumber`.
        part: tells the parts of one message apart, which some links publish quantity by quantity.
        samples: readings by the name of their source, times resolved.
        result: of a command, or None.
        announcement: of a service, or None.
    """

    message: IoMessage
    part: str
    samples: dict[str, list[Reading]]
    result: CommandResult | None = None
    announcement: Announcement | None = None


def read_message(message: IoMessage, now: float) -> Arrival:
    """What a message says. Raises ValueError for content that is none of these, or is damaged.

    Parameters:
        message: as it came.
        now: seconds since 1970, for readings without a time that can be believed.
    """
    result = None
    try:
        if message.contentdata.lstrip()[:1] == b"{":
            # MQTT carries no type of a message.
            kind = decode_json(message.contentdata, _Kind)
            if message.infotype == ANNOUNCEMENT_TYPE or (kind.service and not kind.command):
                return _announced(message)
            result = decode_json(message.contentdata, CommandResult)
            samples = _samples(msgspec.json.encode(result.readings), now)
        else:
            samples = _samples(message.contentdata, now)
    except (ValueError, OverflowError) as e:
        raise ValueError(f"content that is neither readings nor a result: {e}") from None
    part = next((f"{source}:{readings[0].name}" for source, readings in samples.items()), "")
    return Arrival(message, part, samples, result)


def _announced(message: IoMessage) -> Arrival:
    if len(message.contentdata) > MAX_COMMANDS_BYTES:
        size = len(message.contentdata)
        raise ValueError(f"an announcement of {size} bytes, at most {MAX_COMMANDS_BYTES} are read")
    announcement = decode_json(message.contentdata, Announcement)
    if len(announcement.source) > MAX_NAME:
        raise ValueError(f"a name of {len(announcement.source)} characters, at most {MAX_NAME} are taken")
    return Arrival(message, "announcement", {}, announcement=announcement)


def _samples(pack: bytes, now: float) -> dict[str, list[Reading]]:
    try:
        return _plain_samples(_plain_records.decode(pack), now)
    except (msgspec.ValidationError, _NotPlainError):
        return _any_samples(pack, now)


class _NotPlainError(Exception):
    """A pack uses more of SenML than the short way knows."""


def _plain_samples(records: list[_Record], now: float) -> dict[str, list[Reading]]:
    """The short way, for packs with one base name, one base time and one value a record: half the time."""
    if not records:
        return {}
    first = records[0]
    base = first.bn
    source = (base or "").rstrip(":/.")
    if not source or len(source) > MAX_NAME or len(records) > _MAX_RECORDS or first.bver not in _VERSIONS:
        raise _NotPlainError
    base_time, instead = first.bt, now if first.clock != "set" else 0.0
    readings = []
    for record in records:
        name, value, text, state = record.n, record.v, record.vs, record.vb
        count = (value is not None) + (text is not None) + (state is not None)
        quality = _QUALITIES.get(record.quality)
        if (record.bn is not None and record is not first) or count != 1 or not 0 < len(name) <= MAX_NAME:
            raise _NotPlainError
        if quality is None or (record is not first and (record.bt or record.bver != 10 or record.clock != "set")):
            raise _NotPlainError
        given = value if value is not None else state if state is not None else text
        if given == "" and quality is not Quality.GOOD:
            given = None
        reading = Reading(name, given, record.u, base_time + record.t, quality, record.reason)
        readings.append(_bounded(reading, name, instead, now))
    return {source: readings}


def _any_samples(pack: bytes, now: float) -> dict[str, list[Reading]]:
    samples: dict[str, list[Reading]] = {}
    is_clock_set = True
    for record in parse_senml(pack):
        fields: dict[str, Any] = record.fields
        is_clock_set = is_clock_set and fields.get("clock", "set") == "set"
        reading = senml.to_reading(record)
        if reading is None:
            continue
        source, name = record.source, record.quantity
        if len(source) > MAX_NAME or len(name) > MAX_NAME:
            raise ValueError(f"a name of {max(len(source), len(name))} characters, at most {MAX_NAME} are taken")
        samples.setdefault(source, []).append(_bounded(reading, name, now if not is_clock_set else 0.0, now))
    return samples


def _bounded(reading: Reading, name: str, instead: float, now: float) -> Reading:
    value, quality, reason = reading.value, reading.quality, reading.reason
    is_plain = isinstance(value, float) and quality is Quality.GOOD and isfinite(value)
    if is_plain and not instead and _RELATIVE <= reading.time <= now and len(reading.unit) <= _MAX_UNIT:
        return reading
    if isinstance(value, str):
        value = value[:MAX_TEXT]
    elif value is not None and not is_finite(value):
        value, quality, reason = None, Quality.BAD, reason or "not a finite number"
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) > _EXACT:
        value = float(value)
    time = instead or (reading.time if reading.time >= _RELATIVE else now + reading.time)
    return Reading(name, value, reading.unit[:_MAX_UNIT], min(time, now), quality, reason[:MAX_TEXT])
