"""The pages of a service: `/healthz`, `/readyz` and `/metrics`."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from iofog_sdk import Link

from ..secrets import without_secrets
from ..telemetry.build_info import build_info
from ..telemetry.http_server import HttpServer, Page
from ..telemetry.metrics import CONTENT_TYPE, Metric, render
from .logs import log_metrics
from .loop_watchdog import LoopWatchdog
from .pipeline import Pipeline


class HealthServer(HttpServer):
    """Serves the state of a link and of the pipeline that uses it."""

    def __init__(self, link: Link, pipeline: Pipeline, watchdog: LoopWatchdog) -> None:
        super().__init__({"/healthz": self._healthz, "/readyz": self._readyz, "/metrics": self._metrics})
        self._link, self._pipeline, self._watchdog = link, pipeline, watchdog

    def _healthz(self) -> Page:
        return Page(200, "application/json", '{"status":"ok"}\n')

    def _readyz(self) -> Page:
        link, error = self._link, self._link.last_error
        ready = self._pipeline.supervisor.is_up and link.connected
        state = {
            "ready": ready,
            "link": {"up": link.connected, "to": link.description, "reason": str(error or "")},
            **self._pipeline.readiness(),
        }
        return Page(
            200 if ready else 503, "application/json", msgspec.json.encode(without_secrets(state)).decode() + "\n"
        )

    def _metrics(self) -> Page:
        return Page(200, CONTENT_TYPE, render(self._all_metrics()))

    def _all_metrics(self) -> Iterator[Metric]:
        yield build_info(self._pipeline.name)
        yield Metric("bridge_link_up", "gauge", "1 while the node is connected.", self._link.connected)
        yield from log_metrics()
        yield from self._watchdog.metrics()
        yield from self._pipeline.metrics()
