"""Metrics of a device: its health, its counters, and those of the members behind it."""

from __future__ import annotations

from collections.abc import Iterator

from ..telemetry.metrics import Metric
from .supervisor import Supervisor


def collect_device_metrics(device: Supervisor) -> Iterator[Metric]:
    """For `/metrics`."""
    yield Metric("bridge_device_up", "gauge", "1 while the device can be read.", device.is_up)
    yield Metric("bridge_device_failures_total", "counter", "Failed attempts to use the device.", device.failures)
    text = "Readings that were not as the service has declared them."
    yield Metric("bridge_undeclared_readings_total", "counter", text, device.undeclared_readings)
    for name, count in device.counters().items():
        yield Metric(f"bridge_device_{name}_total", "counter", f"The device's {name.replace('_', ' ')}.", count)
    members = device.members
    for member in members:
        labels = {"member": member.label}
        yield Metric("bridge_member_up", "gauge", "1 while it works.", not member.is_failing, labels)
    for member in members:
        labels = {"member": member.label}
        yield Metric("bridge_member_failures_total", "counter", "Failed attempts.", member.failures, labels)
    for name in sorted({name for member in members for name in member.counters}):
        for member in members:
            text, labels = f"The member's {name.replace('_', ' ')}.", {"member": member.label}
            yield Metric(f"bridge_member_{name}_total", "counter", text, member.counters[name], labels)
