"""Prometheus text exposition format, version 0.0.4."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metric(NamedTuple):
    """One measured value; `kind` is `counter` or `gauge`."""

    name: str
    kind: str
    help: str
    value: float
    labels: Mapping[str, str] = {}


def render(metrics: Iterable[Metric]) -> str:
    """The page for a scraper. Metrics of one name must follow each other."""
    lines: list[str] = []
    last = ""
    for metric in metrics:
        if metric.name != last:
            last = metric.name
            lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}"]
        labels = ",".join(f'{name}="{_escape(value)}"' for name, value in metric.labels.items())
        lines.append(f"{metric.name}{'{' + labels + '}' if labels else ''} {metric.value:.17g}")
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
