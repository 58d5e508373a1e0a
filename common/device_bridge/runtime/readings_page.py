"""The latest reading of each quantity, for `/readings` and a small page for people at `/`."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any

import msgspec

from ..reading import Forwarded, Quality, Reading, Sample, Value
from ..telemetry.http_server import Page
from ..telemetry.metrics import Metric

_MAX_QUANTITIES = 1000
_MAX_TEXT = 200
_HTML = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="5"><title>{title}</title>
<style>
:root {{ color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }}
body {{ max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.3rem; margin: 0; }}
table {{ width: 100%; border-collapse: collapse; margin: 1rem 0; }}
th, td {{ text-align: left; padding: .4rem .6rem; border-bottom: 1px solid #8885; vertical-align: top; }}
td.value {{ text-align: right; font-weight: 600; font-variant-numeric: tabular-nums; }}
tr.bad, tr.stale, tr.uncertain, .down {{ color: light-dark(#b3261e, #ff9187); }}
</style>
<h1>{title}</h1>
<p{down}>{state}</p>
<table><thead><tr><th scope="col">quantity<th scope="col">value<th scope="col">quality<th scope="col">age</thead>
<tbody>{rows}</tbody></table>
<p><a href="/readings">readings</a> · <a href="/readyz">state</a> · <a href="/metrics">metrics</a></p>
</html>
"""


class _Latest(msgspec.Struct):
    name: str
    value: Value | None
    unit: str
    quality: str
    reason: str
    time: float
    age: float


class LatestReadings:
    """Notes readings on their way.

    Parameters:
        put: where they go.
        now: seconds since 1970.
    """

    def __init__(self, put: Callable[[Sample | Forwarded], None], now: Callable[[], float]) -> None:
        self._put, self._now = put, now
        self._latest: dict[str, Reading] = {}
        self.beside: Callable[[], Mapping[str, LatestReadings]] = dict
        """Of other services of this process, by their names."""
        self.is_wanted = False
        """Whether anybody can ask for them."""

    def put(self, sample: Sample | Forwarded) -> None:
        """Notes readings and passes them on."""
        if self.is_wanted:
            self._note(sample)
        self._put(sample)

    def keep(self, names: Container[str]) -> None:
        """Forgets all others: nothing measures them any more."""
        self._latest = {name: reading for name, reading in self._latest.items() if name in names}

    def readings(self) -> list[_Latest]:
        """The latest of each quantity, in the order of their names."""
        own = self._own_readings("")
        return own + [one for name, each in self.beside().items() for one in each._own_readings(f"{name}/")]

    def _own_readings(self, prefix: str) -> list[_Latest]:
        now = self._now()
        return [
            _Latest(
                name=prefix + one.name,
                value=one.value[:_MAX_TEXT] if isinstance(one.value, str) else one.value,
                unit=one.unit,
                quality=one.quality.value,
                reason=one.reason[:_MAX_TEXT],
                time=one.time,
                age=round(max(0.0, now - one.time), 3),
            )
            for _, one in sorted(self._latest.items())
        ]

    def as_json(self, service: str, source: str) -> Page:
        """For programs."""
        body: dict[str, Any] = {"service": service, "source": source, "readings": self.readings()}
        return Page(200, "application/json", msgspec.json.encode(body).decode() + "\n")

    def metrics(self, service: str, source: str) -> Iterator[Metric]:
        """For `/metrics`: the value if it is a number and not bad, whether it is good, and its age."""
        labelled = [
            (one, {"service": service, "source": source, "quantity": one.name, "unit": one.unit})
            for one in self._own_readings("")
        ]
        for one, labels in labelled:
            if isinstance(one.value, int | float) and one.quality != Quality.BAD.value:
                yield Metric("bridge_reading", "gauge", "Latest value, unless it is bad.", one.value, labels)
        for one, labels in labelled:
            is_good = one.quality == Quality.GOOD.value
            yield Metric("bridge_reading_good", "gauge", "1 while the latest reading is good.", is_good, labels)
        for one, labels in labelled:
            yield Metric("bridge_reading_age_seconds", "gauge", "Age of the latest reading.", one.age, labels)

    def as_html(self, title: str, state: str, *, is_ready: bool) -> Page:
        """For people: what was read, and whether device and node are there."""
        from html import escape  # noqa: PLC0415 - half a megabyte that only this page needs

        rows = "".join(
            f'<tr class="{one.quality}"><td>{escape(one.name)}<td class="value">{escape(_shown(one))}'
            f"<td>{escape(f'{one.quality}: {one.reason}' if one.reason else one.quality)}<td>{one.age:.0f} s"
            for one in self.readings()
        )
        rows = rows or '<tr><td colspan="4">No reading yet'
        down = "" if is_ready else ' class="down"'
        text = _HTML.format(title=escape(title), state=escape(state), down=down, rows=rows)
        return Page(200, "text/html; charset=utf-8", text)

    def _note(self, sample: Sample | Forwarded) -> None:
        readings = sample.content if isinstance(sample, Forwarded) else sample
        if isinstance(readings, bytes):
            return
        now = self._now()
        for reading in readings:
            if reading.name not in self._latest and len(self._latest) >= _MAX_QUANTITIES:
                continue
            at = reading.time if reading.time > 0 else now + reading.time
            self._latest[reading.name] = msgspec.structs.replace(reading, time=at)


def _shown(one: _Latest) -> str:
    if one.value is None or (one.quality == Quality.BAD.value):
        return "–"  # noqa: RUF001 - for people
    text = ("off", "on")[one.value] if isinstance(one.value, bool) else f"{one.value}"
    return f"{text} {one.unit}".rstrip()
