"""This bridge as an edge node of Sparkplug B: births, data, deaths, sequence numbers, rebirths. No I/O.

Eclipse Sparkplug 3.0. Each source of readings is a device of the edge node, each of its quantities a metric. A host
learns of all metrics by a birth, then gets the changes; what a birth has not spoken of makes a new birth necessary.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import msgspec

from device_bridge import Quality, Reading, Value
from device_bridge.messages import senml as packs
from iofog_sdk.messages import SenmlRecord
from iofog_sdk.mqtt import Publication

from ..settings import SparkplugSettings
from ..topics import level_of

_NAMESPACE = "spBv1.0"
_NUMBERS = 256
"""Of payloads, and of births and deaths, which count from 0 to 255 (6.4.3)."""
_MAX_METRICS = 2000
_LATE_S = 60.0
_REBIRTH = "Node Control/Rebirth"
_INT64, _UINT64, _DOUBLE, _BOOLEAN, _STRING, _INT32 = 4, 8, 10, 11, 12, 3
"""Data types (6.4.16)."""
_QUALITY = {Quality.GOOD: 192, Quality.STALE: 500}
"""Of the property `Quality` (6.4.14); anything else is bad, 0."""
_BAD = 0


class _Metric(NamedTuple):
    name: str
    datatype: int
    reading: Reading
    time: float


class SparkplugNode:
    """One edge node, over all connections of a process.

    Parameters:
        settings: with a group.
        now: seconds since 1970.
    """

    def __init__(self, settings: SparkplugSettings, now: Callable[[], float] = time.time) -> None:
        self.settings, self._now = settings, now
        self._devices: dict[str, dict[str, _Metric]] = {}
        self._number = 0
        self._session = int(now()) % _NUMBERS  # so that a death of an earlier process is not taken for one of this
        self.counts = {"births": 0, "unknown": 0}

    @property
    def command_topic(self) -> str:
        """Where a host asks for births."""
        return self._topic("NCMD")

    def death(self) -> Publication:
        """The last will of the next connection, and what it says at its end."""
        self._session = (self._session + 1) % _NUMBERS
        payload = self._payload([self._session_metric()])
        return Publication(self._topic("NDEATH"), payload.SerializeToString(), qos=1)

    def births(self) -> list[Publication]:
        """What is said of this node and of all devices, first on each connection and when a host asks for it."""
        self._number = 0
        rebirth = _message("Metric", name=_REBIRTH, datatype=_BOOLEAN, boolean_value=False)
        self.counts["births"] += 1
        return [
            self._numbered("NBIRTH", "", [self._session_metric(), rebirth]),
            *(self._birth(device) for device in self._devices),
        ]

    def asks_for_births(self, payload: bytes) -> bool:
        """Whether a command to this node does."""
        from .schema import decode  # noqa: PLC0415 - as below

        command = decode(payload)
        return command is not None and any(each.name == _REBIRTH and each.boolean_value for each in command.metrics)

    def publications(self, records: Iterable[SenmlRecord], publisher: str) -> Iterator[Publication]:
        """Readings as data of their devices."""
        by_device: dict[str, list[_Metric]] = {}
        for record in records:
            if not fnmatchcase(f"{record.source}:{record.quantity}".lstrip(":"), self.settings.match):
                continue
            if (reading := packs.to_reading(record)) is not None:
                device = level_of(record.source or publisher)
                known = self._devices.get(device, {}).get(record.quantity)
                at = self._now() if record.is_relative else reading.time
                metric = _Metric(record.quantity, _type_of(reading.value, known), reading, at)
                by_device.setdefault(device, []).append(metric)
        for device, metrics in by_device.items():
            yield from self._data(device, metrics)

    def _data(self, device: str, metrics: list[_Metric]) -> Iterator[Publication]:
        known = self._devices.get(device, {})
        is_new = False
        for metric in metrics:
            before = known.get(metric.name)
            if before is None and sum(map(len, self._devices.values())) >= _MAX_METRICS:
                self.counts["unknown"] += 1
                continue
            is_new = is_new or before is None or _described(before) != _described(metric)
            known = self._devices.setdefault(device, {})
            known[metric.name] = metric
        if is_new:
            self.counts["births"] += 1
            yield self._birth(device)
            metrics = [metric for metric in metrics if known.get(metric.name) is not metric]
        metrics = [metric for metric in metrics if metric.name in known]
        if metrics:
            yield self._numbered("DDATA", device, [self._encoded(metric) for metric in metrics])

    def _birth(self, device: str) -> Publication:
        metrics = [self._encoded(metric, is_birth=True) for metric in self._devices[device].values()]
        return self._numbered("DBIRTH", device, metrics)

    def _encoded(self, metric: _Metric, *, is_birth: bool = False) -> Any:
        reading, kind = metric.reading, metric.datatype
        encoded = _message("Metric", name=metric.name, datatype=kind, timestamp=_milliseconds(metric.time))
        if not is_birth and self._now() - metric.time > _LATE_S:
            encoded.is_historical = True
        if reading.value is None or reading.quality is Quality.BAD:
            encoded.is_null = True
        elif kind == _INT64:
            encoded.long_value = int(reading.value) % (1 << 64)  # two's complement
        elif kind == _DOUBLE:
            encoded.double_value = float(reading.value)
        elif kind == _BOOLEAN:
            encoded.boolean_value = bool(reading.value)
        else:
            encoded.string_value = str(reading.value)
        encoded.properties.keys.extend(["Quality", "engUnit"])
        encoded.properties.values.add(type=_INT32, int_value=_QUALITY.get(reading.quality, _BAD))
        encoded.properties.values.add(type=_STRING, string_value=reading.unit)
        return encoded

    def _numbered(self, kind: str, device: str, metrics: list[Any]) -> Publication:
        payload = self._payload(metrics)
        payload.seq = self._number
        self._number = (self._number + 1) % _NUMBERS
        return Publication(self._topic(kind, device), payload.SerializeToString(), qos=0)

    def _payload(self, metrics: list[Any]) -> Any:
        return _message("Payload", timestamp=_milliseconds(self._now()), metrics=metrics)

    def _session_metric(self) -> Any:
        return _message("Metric", name="bdSeq", datatype=_UINT64, long_value=self._session)

    def _topic(self, kind: str, device: str = "") -> str:
        levels = [_NAMESPACE, self.settings.group, kind, self.settings.edge_node, device]
        return "/".join(level for level in levels if level)


def edge_node_of(settings: SparkplugSettings, client_id: str, kept: dict[str, Any]) -> SparkplugNode | None:
    """The edge node that a bridge is, over all its connections; None for one that is none.

    Parameters:
        client_id: of the bridge; its name unless the settings give one.
        kept: what connections of one bridge have in common.
    """
    if not settings.group:
        return None
    if not settings.edge_node:
        settings = msgspec.structs.replace(settings, edge_node=level_of(client_id))
    node: SparkplugNode | None = kept.get("sparkplug")
    if node is None or node.settings != settings:
        node = kept["sparkplug"] = SparkplugNode(settings)
    return node


def _message(kind: str, /, **fields: Any) -> Any:
    from .schema import message_type  # noqa: PLC0415 - protobuf takes memory, and most bridges need none

    return message_type(kind)(**fields)


def _described(metric: _Metric) -> tuple[int, str]:
    return metric.datatype, metric.reading.unit


def _type_of(value: Value | None, known: _Metric | None) -> int:
    """The type that a birth has said if it can hold the value, so that a whole number changes nothing."""
    before = known.datatype if known else 0
    if value is None:
        return before or _DOUBLE
    if isinstance(value, bool):
        return _BOOLEAN
    if isinstance(value, str):
        return _STRING
    if isinstance(value, float) or not -(1 << 63) <= value < 1 << 63:
        return _DOUBLE
    return _DOUBLE if before == _DOUBLE else _INT64


def _milliseconds(seconds: float) -> int:
    return max(0, round(seconds * 1000))
