"""What a service says about itself over HTTP: `/healthz`, `/readyz` and `/metrics`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from iofog_sdk import Link

from ..messages.clock import Clock
from ..outbox.durable import Outbox
from ..outbox.inbound import Incoming
from ..telemetry.http_server import HttpServer, Page
from ..telemetry.metrics import CONTENT_TYPE, Metric, render
from .commands import CommandRunner
from .supervisor import Bridge, DeviceState

if TYPE_CHECKING:
    from ..telemetry.refusals import Refusals


class HealthServer(HttpServer):
    """Serves the state of the parts it is given."""

    def __init__(
        self,
        link: Link,
        outbox: Outbox,
        bridge: Bridge,
        clock: Clock,
        refusals: Refusals,
        *,
        commands: CommandRunner | None = None,
        incoming: Incoming | None = None,
    ) -> None:
        super().__init__({"/healthz": self._healthz, "/readyz": self._readyz, "/metrics": self._metrics})
        self._link, self._outbox, self._bridge, self._clock = link, outbox, bridge, clock
        self._refusals, self._commands, self._incoming = refusals, commands, incoming

    @property
    def _device_up(self) -> bool:
        return self._bridge.state in (DeviceState.OPEN, DeviceState.READING)

    def _healthz(self) -> Page:
        return Page(200, "application/json", '{"status":"ok"}\n')

    def _readyz(self) -> Page:
        ready = self._device_up and self._link.connected
        link_error = self._link.last_error
        state = {
            "ready": ready,
            "device": {"state": self._bridge.state.value, "reason": self._bridge.reason},
            "link": {"up": self._link.connected, "to": self._link.description, "reason": str(link_error or "")},
            "settings": {"refused": self._refusals.last},
            "outbox": {"problem": self._outbox.problem},
            "clock": {"trusted": self._clock.trusted},
        }
        return Page(200 if ready else 503, "application/json", msgspec.json.encode(state).decode() + "\n")

    def _metrics(self) -> Page:
        box, bridge = self._outbox, self._bridge
        metrics = [
            Metric("bridge_readings_read_total", "counter", "Readings taken from the device.", box.read),
            Metric("bridge_readings_delivered_total", "counter", "Readings the node has taken.", box.delivered),
            *(
                Metric("bridge_readings_dropped_total", "counter", "Readings given up.", count, {"reason": reason})
                for reason, count in (box.dropped or {"outbox full": 0}).items()
            ),
            Metric(
                "bridge_readings_recovered_total", "counter", "Of those read: from an earlier run.", box.recovered
            ),
            Metric("bridge_clock_trusted", "gauge", "1 when the wall clock is right.", self._clock.trusted),
            Metric("bridge_disk_failed", "gauge", "1 while the outbox cannot use its disk.", box.problem != ""),
            Metric("bridge_readings_buffered", "gauge", "Readings waiting for the node.", box.buffered),
            Metric("bridge_oldest_buffered_seconds", "gauge", "Age of the oldest waiting one.", box.oldest_age_s()),
            Metric("bridge_device_up", "gauge", "1 while the device can be read.", self._device_up),
            Metric("bridge_device_failures_total", "counter", "Failed attempts to use the device.", bridge.failures),
            Metric("bridge_link_up", "gauge", "1 while the node is connected.", self._link.connected),
            Metric("bridge_settings_refused_total", "counter", "New settings not usable.", self._refusals.count),
            *self._command_metrics(),
            *self._incoming_metrics(),
            *(
                Metric(f"bridge_device_{name}_total", "counter", f"The device's {name.replace('_', ' ')}.", count)
                for name, count in bridge.counters().items()
            ),
        ]
        return Page(200, CONTENT_TYPE, render(metrics))

    def _command_metrics(self) -> list[Metric]:
        commands = self._commands
        if commands is None:
            return []
        name, text = "bridge_commands_total", "Commands by what became of them."
        return [
            Metric(name, "counter", text, commands.executed, {"result": "done"}),
            Metric(name, "counter", text, commands.failed, {"result": "failed"}),
        ]

    def _incoming_metrics(self) -> list[Metric]:
        box = self._incoming
        if box is None:
            return []
        metrics = [
            Metric("bridge_incoming_received_total", "counter", "Messages taken from the node.", box.read),
            Metric("bridge_incoming_delivered_total", "counter", "Messages the device has taken.", box.delivered),
            Metric("bridge_incoming_buffered", "gauge", "Messages waiting for the device.", box.buffered),
        ]
        for name, text, counts in (
            ("bridge_incoming_dropped_total", "Messages given up.", box.dropped or {"outbox full": 0}),
            ("bridge_incoming_ignored_total", "Messages that need not go on.", box.ignored or {"own": 0}),
        ):
            metrics += [Metric(name, "counter", text, count, {"reason": reason}) for reason, count in counts.items()]
        return metrics
