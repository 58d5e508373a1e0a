"""Metrics of what waits: for the node, and for the device."""

from __future__ import annotations

from collections.abc import Iterator

from ..telemetry.metrics import Metric
from .inbound import Inbound
from .share import AnyOutbox


def outbox_metrics(box: AnyOutbox) -> Iterator[Metric]:
    """Readings on their way to the node."""
    yield Metric("bridge_readings_read_total", "counter", "Readings taken from the device.", box.read)
    yield Metric("bridge_readings_delivered_total", "counter", "Readings the node has taken.", box.delivered)
    for reason, count in (box.dropped or {"outbox full": 0}).items():
        yield Metric("bridge_readings_dropped_total", "counter", "Readings dropped.", count, {"reason": reason})
    text = "Of those read: from an earlier run."
    yield Metric("bridge_readings_recovered_total", "counter", text, box.recovered)
    yield Metric("bridge_disk_failed", "gauge", "1 while the outbox cannot use its disk.", box.problem != "")
    text = "Unexpected errors of the outbox's disk, each followed by another attempt."
    yield Metric("bridge_disk_errors_total", "counter", text, box.disk_errors)
    yield Metric("bridge_readings_buffered", "gauge", "Readings waiting for the node.", box.buffered)
    yield Metric("bridge_oldest_buffered_seconds", "gauge", "Age of the oldest waiting one.", box.oldest_age_s())


def inbound_metrics(box: Inbound) -> Iterator[Metric]:
    """Messages on their way to the device."""
    yield Metric("bridge_incoming_received_total", "counter", "Messages taken from the node.", box.read)
    yield Metric("bridge_incoming_delivered_total", "counter", "Messages the device has taken.", box.delivered)
    yield Metric("bridge_incoming_buffered", "gauge", "Messages waiting for the device.", box.buffered)
    for name, text, counts in (
        ("bridge_incoming_dropped_total", "Messages dropped.", box.dropped or {"outbox full": 0}),
        ("bridge_incoming_ignored_total", "Messages that need not go on.", box.ignored or {"own": 0}),
    ):
        yield from (Metric(name, "counter", text, count, {"reason": reason}) for reason, count in counts.items())
