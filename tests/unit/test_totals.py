"""Totals over everything that happens to their file."""

import errno
import json
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_bridge.control import Totals, totals

FULL, BROKEN = OSError(errno.ENOSPC, "no space left"), OSError(errno.EIO, "input/output error")


class Disk:
    """The disk under a file of totals, which fails as it is told."""

    def __init__(self, monkeypatch, file):
        self.file, self.reading, self.writing = file, None, None
        monkeypatch.setattr(totals, "open", self.open, raising=False)

    def open(self, path, mode, **options):
        if (error := self.reading if "r" in mode else self.writing) is not None:
            raise error
        return open(path, mode, **options)

    @property
    def content(self):
        return json.loads(self.file.read_text())


@pytest.fixture
def disk(monkeypatch, tmp_path):
    return Disk(monkeypatch, tmp_path / "totals.json")


def test_a_disk_that_cannot_be_read_for_a_while_costs_nothing(disk, caplog):
    disk.file.write_text('{"water": 1000}')
    disk.reading = BROKEN
    total = Totals(disk.file)
    total.load()
    total.add("water", 5)
    total.save()
    assert (total.get("water"), total.is_complete, disk.content) == (5, False, {"water": 1000})
    disk.reading = None
    total.save()
    assert (total.get("water"), total.is_complete, disk.content) == (1005, True, {"water": 1005})
    assert caplog.text.count("cannot be read now") == 1
    assert not list(disk.file.parent.glob("*damaged*"))


def test_a_total_that_is_set_while_the_file_cannot_be_read_is_what_it_was_set_to(disk):
    disk.file.write_text('{"water": 1000}')
    disk.reading = BROKEN
    total = Totals(disk.file)
    total.set("water", 5)
    total.add("water", 2)
    disk.reading = None
    total.save()
    assert (total.get("water"), disk.content) == (7, {"water": 7})


def test_a_full_disk_costs_nothing_and_leaves_nothing_behind(disk, caplog):
    total = Totals(disk.file)
    total.add("water", 100)
    total.save()
    disk.writing = FULL
    total.add("water", 100)
    total.save()
    total.save()
    assert (total.get("water"), disk.content) == (200, {"water": 100})
    assert caplog.text.count("cannot be saved") == 1
    assert sorted(path.name for path in disk.file.parent.iterdir()) == ["totals.json"]
    disk.writing = None
    total.save()
    assert disk.content == {"water": 200}


def test_two_processes_that_overlap_lose_nothing(disk):
    old, new = Totals(disk.file), Totals(disk.file)
    old.add("water", 1)
    old.save()
    assert new.get("water") == 1
    old.add("water", 10)
    new.add("water", 100)
    old.save()
    new.save()
    assert (new.get("water"), disk.content) == (111, {"water": 111})


def test_damage_while_it_runs_is_kept_aside_and_costs_nothing(disk, caplog):
    total = Totals(disk.file)
    for number in range(5):
        total.add("water", 1)
        total.save()
        disk.file.write_text(f"{{{number}")
    total.add("water", 1)
    total.save()
    assert disk.content == {"water": 6}
    kept = {path.name: path.read_text() for path in disk.file.parent.glob("*damaged*")}
    assert kept == {"totals.damaged0": "{0", "totals.damaged1": "{1", "totals.damaged2": "{2"}, "the first ones stay"
    assert "go on as they were last written" in caplog.text


def test_each_flipped_bit_is_noticed_and_makes_no_wrong_total(tmp_path):
    file = tmp_path / "totals.json"
    total = Totals(file)
    total.set("water", 1900)
    total.set("gas", 7)
    total.save()
    whole = file.read_bytes()
    for at in range(8 * len(whole)):
        data = bytearray(whole)
        data[at // 8] ^= 1 << at % 8
        file.write_bytes(data)
        again = Totals(file)
        found = again.get("water"), again.get("gas")
        assert found == (0, 0), data
        for kept in tmp_path.glob("*damaged*"):
            assert kept.read_bytes() == data
            kept.unlink()
        assert not file.exists(), "it is kept under the other name"


def test_a_file_that_was_removed_is_written_again(disk):
    total = Totals(disk.file)
    total.add("water", 1)
    total.save()
    disk.file.unlink()
    total.add("water", 1)
    total.save()
    assert disk.content == {"water": 2}


def test_what_is_counted_while_it_is_saved_is_not_lost(disk, monkeypatch):
    total, write = Totals(disk.file), Totals._write
    entered, leave = threading.Event(), threading.Event()

    def slowly(self, file, values):
        entered.set()
        leave.wait()
        return write(self, file, values)

    monkeypatch.setattr(Totals, "_write", slowly)
    total.add("a", 1)
    total.add("b", 1)
    saving = threading.Thread(target=total.save)
    saving.start()
    entered.wait()
    total.add("a", 10)
    total.set("b", 50)
    assert (total.get("a"), total.get("b")) == (11, 50)
    leave.set()
    saving.join()
    assert (total.get("a"), total.get("b"), disk.content) == (11, 50, {"a": 1, "b": 1})
    total.save()
    assert disk.content == {"a": 11, "b": 50}


def test_they_are_bounded_and_the_first_too_many_is_named(disk, caplog):
    total = Totals(disk.file)
    for number in range(1200):
        total.add(f"n{number}", 1)
    total.save()
    assert len(disk.content) == 1000
    assert caplog.text.count("are not counted") == 1
    assert total.add("n5", 1) == 2, "those that are there go on"


OPERATIONS = st.one_of(
    st.tuples(st.just("add"), st.sampled_from("ab"), st.integers(-3, 9)),
    st.tuples(st.just("set"), st.sampled_from("ab"), st.integers(0, 99)),
    st.tuples(st.just("save"), st.sampled_from([None, FULL]), st.sampled_from([None, BROKEN])),
    st.tuples(st.just("restart"), st.none(), st.none()),
)


@given(st.lists(OPERATIONS, max_size=30))
@settings(max_examples=60)
def test_over_any_history_they_are_what_was_counted(tmp_path_factory, operations):
    with pytest.MonkeyPatch.context() as monkeypatch:
        disk = Disk(monkeypatch, tmp_path_factory.mktemp("totals") / "totals.json")
        total, expected = Totals(disk.file), {"a": 0, "b": 0}
        for what, one, other in operations:
            if what == "add":
                total.add(one, other)
                expected[one] += other
            elif what == "set":
                total.set(one, other)
                expected[one] = other
            elif what == "save":
                disk.writing, disk.reading = one, other
                total.save()
                disk.writing = disk.reading = None
            else:
                total.save()
                total = Totals(disk.file)
            if total.is_complete:
                assert {name: total.get(name) for name in expected} == expected
        total.save()
        assert {name: Totals(disk.file).get(name) for name in expected} == expected
