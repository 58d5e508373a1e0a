"""What a service has read last: `/readings` for programs, `/` for people."""

import json
import time

from device_bridge import Quality, Quantity, Reading

from .test_process import Bench, free_port, get, running, until


async def pages(monkeypatch, *readings):
    async def stream(self):
        yield list(readings)
        await until(lambda: False)

    monkeypatch.setattr(Bench, "stream", stream)
    port = free_port()
    async with running(HTTP__PORT=str(port), SOURCE="bench-1") as (_, link):
        await until(lambda: link.sent)
        return json.loads(await get(port, "/readings")), await get(port, "/")


async def test_programs_get_the_latest_of_each_quantity_with_quality_and_age(monkeypatch):
    taken = time.time() - 100
    found, _ = await pages(
        monkeypatch,
        Reading("level", 1.0, "m"),
        Reading("level", 2.5, "m", taken),
        Reading("level", None, "m", 0.0, Quality.BAD, "no echo"),
        Reading("level", 3.5, "m", taken),
    )
    assert (found["service"], found["source"]) == (Bench.name(), "bench-1")
    (level,) = found["readings"]
    assert 100 <= level.pop("age") < 130
    assert level == {"name": "level", "value": 3.5, "unit": "m", "quality": "good", "reason": "", "time": taken}


async def test_people_get_a_table_in_which_nothing_of_a_device_is_markup(monkeypatch):
    _, page = await pages(monkeypatch, Reading("level", None, "m", 0.0, Quality.BAD, "<script>alert(1)</script>"))
    assert page.startswith("<!doctype html>")
    assert "bench-1" in page
    assert "<script>" not in page
    assert "bad: &lt;script&gt;" in page
    assert "node connected (memory)" in page


async def test_what_is_not_measured_any_more_is_not_a_latest_reading(monkeypatch, tmp_path):
    async def stream(self):
        yield [Reading(self.settings.port, 1.0), Reading("level", 2.5, "m")]
        await until(lambda: False)

    async def names():
        readings = json.loads(await get(port, "/readings"))["readings"]
        gauge = [
            line for line in (await get(port, "/metrics")).splitlines() if line.startswith("bridge_reading_good{")
        ]
        assert len(gauge) == len(readings)
        return {one["name"] for one in readings}

    def quantities_of(cls, settings):
        return (Quantity(settings.port), Quantity("level", "m"))

    monkeypatch.setattr(Bench, "stream", stream)
    monkeypatch.setattr(Bench, "quantities_of", classmethod(quantities_of))
    file, port = tmp_path / "settings.json", free_port()
    http = {"port": port, "readings_as_metrics": True}
    file.write_text(json.dumps({"http": http, "port": "tank1"}))
    async with running(file) as (runtime, link):
        await until(lambda: link.sent)
        assert await names() == {"tank1", "level"}
        file.write_text(json.dumps({"http": http, "port": "tank2"}))
        runtime.reload()
        await until(lambda: len(link.sent) == 2)
        assert await names() == {"tank2", "level"}


async def test_the_number_of_quantities_is_limited_and_text_is_cut(monkeypatch):
    monkeypatch.setenv("DEVICE_BRIDGE_STRICT", "0")
    many = [Reading(f"q{number:04}", "x" * 1000) for number in range(1500)]
    found, _ = await pages(monkeypatch, *many)
    assert len(found["readings"]) == 1000
    assert len(found["readings"][0]["value"]) == 200


async def metrics_page(monkeypatch, readings, **environment):
    async def stream(self):
        yield list(readings)
        await until(lambda: False)

    monkeypatch.setattr(Bench, "stream", stream)
    port = free_port()
    async with running(HTTP__PORT=str(port), SOURCE="bench-1", **environment) as (_, link):
        await until(lambda: link.sent)
        return await get(port, "/metrics")


async def test_a_scraper_gets_readings_where_that_is_set_and_a_bad_one_has_no_value(monkeypatch):
    readings = [Reading("level", 2.5, "m"), Reading("empty", False), Reading("text", "x")]
    readings.append(Reading("broken", 9.0, "m", 0.0, Quality.BAD, "no echo"))
    monkeypatch.setenv("DEVICE_BRIDGE_STRICT", "0")
    page = await metrics_page(monkeypatch, readings, HTTP__READINGS_AS_METRICS="true")
    own = f'service="{Bench.name()}",source="bench-1"'
    values = [line for line in page.splitlines() if line.startswith("bridge_reading{")]
    assert values == [
        f'bridge_reading{{{own},quantity="empty",unit=""}} 0',
        f'bridge_reading{{{own},quantity="level",unit="m"}} 2.5',
    ]
    assert f'bridge_reading_good{{{own},quantity="broken",unit="m"}} 0\n' in page
    assert f'bridge_reading_good{{{own},quantity="level",unit="m"}} 1\n' in page
    assert page.count("\nbridge_reading_age_seconds{") == 4


async def test_a_scraper_gets_no_readings_unasked_but_the_process(monkeypatch):
    page = await metrics_page(monkeypatch, [Reading("level", 2.5, "m")])
    assert "bridge_reading{" not in page
    found = dict(line.split(" ") for line in page.splitlines() if line.startswith("process_"))
    assert float(found["process_cpu_seconds_total"]) > 0
    assert float(found["process_resident_memory_bytes"]) > 1_000_000
    assert 3 < float(found["process_open_fds"]) < float(found["process_max_fds"])
    assert abs(time.time() - float(found["process_start_time_seconds"])) < 24 * 3600
