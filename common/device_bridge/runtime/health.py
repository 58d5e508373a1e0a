"""The pages of a service: `/` for people, `/readings`, `/healthz`, `/readyz` and `/metrics`."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from iofog_sdk import Link

from ..secrets import without_secrets
from ..telemetry.http_server import HttpServer, Page
from ..telemetry.logs import log_metrics
from ..telemetry.metrics import CONTENT_TYPE, Metric, render
from ..telemetry.process_metrics import process_metrics
from .loop_watchdog import LoopWatchdog
from .pipeline import Pipeline


class HealthServer(HttpServer):
    """Serves the state of a link and of the pipeline that uses it."""

    def __init__(self, link: Link, pipeline: Pipeline, watchdog: LoopWatchdog | None) -> None:
        super().__init__(
            {
                "/": self._home,
                "/readings": lambda: pipeline.latest.as_json(pipeline.name, pipeline.source),
                "/healthz": self._healthz,
                "/readyz": self._readyz,
                "/metrics": self._metrics,
            }
        )
        self._link, self._pipeline, self._watchdog = link, pipeline, watchdog

    def _healthz(self) -> Page:
        return Page(200, "application/json", '{"status":"ok"}\n')

    def _readyz(self) -> Page:
        link, error = self._link, self._link.last_error
        ready = self._pipeline.is_up and link.connected
        state = {
            "ready": ready,
            "link": {"up": link.connected, "to": link.description, "reason": str(error or "")},
            **self._pipeline.readiness(),
        }
        return Page(
            200 if ready else 503, "application/json", msgspec.json.encode(without_secrets(state)).decode() + "\n"
        )

    def _home(self) -> Page:
        pipeline, link = self._pipeline, self._link
        device = pipeline.supervisor
        node = (
            f"node connected ({link.description})"
            if link.connected
            else f"node away: {link.last_error or 'connecting'}"
        )
        state = f"device {device.state.value}{f': {device.reason}' if device.reason else ''}; {node}"
        name = pipeline.name if pipeline.source in ("", pipeline.name) else f"{pipeline.source} ({pipeline.name})"
        return pipeline.latest.as_html(
            name, without_secrets({"state": state})["state"], is_ready=pipeline.is_up and link.connected
        )

    def _metrics(self) -> Page:
        return Page(200, CONTENT_TYPE, render(self._all_metrics()))

    def _all_metrics(self) -> Iterator[Metric]:
        yield Metric("bridge_link_up", "gauge", "1 while the node is connected.", self._link.connected)
        text = "Received messages that had to make room for later ones."
        yield Metric("bridge_link_dropped_total", "counter", text, self._link.dropped_incoming)
        yield from process_metrics()
        yield from log_metrics()
        if self._watchdog is not None:
            yield from self._watchdog.metrics()
        yield from self._pipeline.metrics()
