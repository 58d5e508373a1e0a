"""Log lines: nobody waits for who reads them, and a steady failure does not fill a disk."""

import fcntl
import io
import json
import logging
import os
import ssl
import threading

import pytest

from device_bridge.telemetry import logs
from device_bridge.telemetry.logs import LogHandler
from device_bridge.telemetry.repeated_lines import BURST, MAX_KINDS, RepeatedLines
from iofog_sdk import BackgroundWriter


def line(text, *arguments, level=logging.WARNING):
    return logging.LogRecord("x", level, __file__, 1, text, arguments, None)


@pytest.fixture
def pipe():
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    with open(read, "rb", buffering=0) as reader:
        yield (
            reader,
            write,
        )  # not closed: a writer's thread may be in it, and would write to whatever has its number next


def everything(reader, until):
    """What can be read until this is part of it."""
    text = b""
    while until not in text:
        text += reader.read(65536)
    return text.decode()


def test_a_reader_that_stops_reading_holds_up_nobody_and_what_it_missed_is_counted(pipe):
    reader, fd = pipe
    handler = LogHandler(fd)
    for number in range(2000):
        handler.handle(line("line %s", "x" * 1000 + str(number), level=logging.DEBUG))
    assert handler.unread > 1000
    handler.handle(line("last %s", "x" * 5000, level=logging.DEBUG))
    missed = handler.unread
    reading = threading.Thread(target=lambda: texts.append(everything(reader, b"after")))
    texts = []
    reading.start()
    assert handler._writer.flush(60)
    handler.handle(line("after", level=logging.DEBUG))
    reading.join(60)
    lines = [json.loads(text)["message"] for text in texts[0].splitlines()]
    # More than one report when the writer found room in the pipe in between.
    reports = [line for line in lines if line.endswith(" log lines were given up unread")]
    assert lines[-2:] == [reports[-1], "after"]
    assert sum(int(report.split()[0]) for report in reports) == missed
    assert lines[:3] == [f"line {'x' * 1000}{number}" for number in range(3)]
    assert len(lines) - len(reports) - 1 + missed == 2001, "each is written or counted"


def test_the_end_waits_for_a_reader_that_is_slow_and_not_for_one_that_has_stopped(pipe, monkeypatch):
    reader, fd = pipe
    handler = LogHandler(fd)
    for number in range(20):
        handler.handle(line("%s %s", "x" * 1000, number, level=logging.DEBUG))
    texts = []
    monkeypatch.setattr(logs, "_FLUSH_S", 60)
    reading = threading.Thread(target=lambda: texts.append(everything(reader, b"x 19")))
    reading.start()
    handler.flush()
    reading.join(60)
    assert texts
    handler.handle(line("%s", "x" * 100_000, level=logging.DEBUG))
    monkeypatch.setattr(logs, "_FLUSH_S", 0.01)
    handler.flush()
    monkeypatch.setattr(logs, "_FLUSH_S", 1e9)
    handler.flush()


def test_a_descriptor_that_others_have_made_non_blocking_loses_nothing(pipe):
    reader, fd = pipe
    os.set_blocking(fd, False)
    writer = BackgroundWriter(fd, "test")
    for number in range(50):
        writer.write(b"%d %s\n" % (number, b"x" * 1000))
    texts = []
    reading = threading.Thread(target=lambda: texts.append(everything(reader, b"\n49 ")))
    reading.start()
    assert writer.flush(60)
    reading.join(60)


@pytest.mark.parametrize("text", ["\ud800 and %s", "%d things"])
def test_a_line_that_cannot_be_written_as_it_is_is_written_somehow(pipe, text, monkeypatch):
    reader, fd = pipe
    errors = io.StringIO()
    monkeypatch.setattr("sys.stderr", errors)
    handler = LogHandler(fd)
    handler.handle(line(text, "\udcff"))
    handler.flush()
    assert everything(reader, b"\n").count("\n") == 1
    assert errors.getvalue() == ""


def test_a_steady_failure_is_summed_up_and_its_volume_is_flat():
    repeated, written, counted = RepeatedLines(), [], 0
    for second in range(86_400):
        written += [record.getMessage() for record in repeated.due(float(second))]
        for text in ("the link is lost after %d s", "it is back on port %d"):
            record = line(text, second)
            if repeated.admits(record, float(second)):
                written.append(record.getMessage())
    written += [record.getMessage() for record in repeated.due(float("inf"))]
    assert len(written) < 1200
    counted = sum(int(text.split("(and ")[1].split()[0]) for text in written if "(and " in text)
    assert counted == repeated.suppressed
    assert counted + sum("(and " not in text for text in written) == 2 * 86_400, "each is written or counted"


def test_after_an_hour_of_silence_it_begins_again():
    repeated = RepeatedLines()
    assert sum(repeated.admits(line("lost"), 1.0) for _ in range(100)) == BURST
    (summary,) = repeated.due(61.0)
    assert summary.getMessage() == "lost (and 80 more like it in 60 s)"
    assert summary.data == {"repeated": 80}
    for minute in range(2, 62):
        assert repeated.due(minute * 60.0) == []
    assert len(repeated) == 0
    assert sum(repeated.admits(line("lost"), 3700.0) for _ in range(100)) == BURST


def test_different_lines_are_not_taken_for_each_other():
    repeated = RepeatedLines()
    for name in ("pump", "valve", "dev1", "dev2"):
        assert all(repeated.admits(line("%s failed", name), 1.0) for _ in range(BURST)), name


def test_kinds_are_bounded_and_lines_beyond_them_too():
    repeated = RepeatedLines()
    names = ["".join(chr(ord("g") + int(digit)) for digit in str(number)) for number in range(5000)]
    admitted = sum(repeated.admits(line("%s", name), 1.0) for name in names)
    assert len(repeated) == MAX_KINDS + 1
    assert admitted == MAX_KINDS + BURST


def test_debug_lines_are_all_written():
    repeated = RepeatedLines()
    assert all(repeated.admits(line("x", level=logging.DEBUG), 1.0) for _ in range(1000))


def test_metrics_say_how_many_lines_are_missing(pipe, monkeypatch):
    _, fd = pipe
    monkeypatch.setattr(logs, "_handler", None)
    assert list(logs.log_metrics()) == []
    handler = LogHandler(fd)
    monkeypatch.setattr(logs, "_handler", handler)
    for _ in range(BURST + 3):
        handler.handle(line("same"))
    assert [(m.labels["reason"], m.value) for m in logs.log_metrics()] == [("repeated", 3), ("not read", 0)]
    monkeypatch.setattr(logs, "monotonic", lambda: 1e12)
    logs.report_repeated()
    assert handler._repeated.due(1e12) == []


@pytest.mark.parametrize("name", ["asyncio", "nats.aio.client"])
def test_a_lost_connection_is_reported_by_its_link_alone(name, tmp_path):
    with (tmp_path / "log").open("wb") as file:
        handler = logs.configure("debug", file.fileno())
        log = logging.getLogger(name)
        for failed in (ConnectionResetError("lost"), ssl.SSLError("lost"), ValueError("a fault")):
            log.error("told by the library", exc_info=failed)
        log.warning("returning true from eof_received() has no effect when using ssl")
        logging.getLogger("other").error("told by another", exc_info=ConnectionResetError("lost"))
        handler.flush()
        logging.getLogger().removeHandler(handler)
        handler.close()
    lines = [json.loads(text) for text in (tmp_path / "log").read_text().splitlines()]
    assert [line["message"] for line in lines] == ["told by the library", "told by another"]
    assert "a fault" in lines[0]["traceback"]
