"""What units and lines really do, byte by byte: late, lost, doubled and refused answers, echo, noise, odd codings."""

import asyncio
import os
import random
import struct

import pytest

from device_bridge import Command, Quality
from modbus_meter.rtu import RtuFramer, read_request, with_crc

from .modbus_slave import floats, slaves

pytestmark = pytest.mark.clock("movable")

SDM120 = {
    "voltage": (0x00, 230.0),
    "current": (0x06, 5.0),
    "active_power": (0x0C, 1150.0),
    "apparent_power": (0x12, 1160.0),
    "reactive_power": (0x18, 50.0),
    "power_factor": (0x1E, 0.98),
    "frequency": (0x46, 50.0),
    "import_energy": (0x48, 10.0),
    "export_energy": (0x4A, 11.0),
    "total_energy": (0x156, 12.0),
    "total_reactive_energy": (0x158, 13.0),
}


def sdm120():
    return floats(**SDM120) | floats("holding", pulse_width=(0x0C, 100.0))


def assert_true(found):
    for name, (_, value) in SDM120.items():
        if found[name].quality is Quality.GOOD:
            assert found[name].value == pytest.approx(value, rel=1e-6), name


def is_good(found):
    return all(reading.quality is Quality.GOOD for reading in found.values())


def late(delays, address=0x00, usual=0.03):
    """Answers to a register's request come after these delays, one after another, all others as usual."""
    left = list(delays)

    def replies(request, answer):
        is_late = request[1] == 4 and request[2:4] == bytes((0, address)) and left
        return [(left.pop(0) if is_late else usual, answer)]

    return replies


@pytest.mark.parametrize(
    ("delays", "timeout", "usual"),
    [((0.6,), 0.5, 0.03), ((0.6,) * 20, 0.5, 0.03), ((0.4, 0.4), 0.1, 0.005), ((1.4,), 0.1, 0.005)],
)
async def test_an_answer_after_its_timeout_is_not_that_to_the_next_request(tmp_path, delays, timeout, usual):
    async with slaves(tmp_path, {1: sdm120()}, profile="sdm120", timeout=timeout) as (slave, bridged):
        slave.replies = late(delays, usual=usual)

        def is_complete(found):
            assert_true(found)
            return is_good(found)

        found = await bridged.sample(is_complete)
        assert {name: round(found[name].value, 3) for name in SDM120} == {n: v for n, (_, v) in SDM120.items()}
        assert bridged.bridge.counters()["late_answers"] >= 1


async def test_another_unit_is_read_while_an_answer_is_late(tmp_path):
    units = [{"address": 1, "name": "a"}, {"address": 2, "name": "b"}]
    registers = [{"name": "x", "address": 0}, {"name": "y", "address": 5}]
    values = {1: {("input", 0): 1, ("input", 5): 2}, 2: {("input", 0): 3, ("input", 5): 4}}
    async with slaves(tmp_path, values, units=units, registers=registers, retries=0) as (slave, bridged):
        slave.replies = lambda request, answer: [(0.25 if request[0] == 1 else 0.0, answer)]
        for _ in range(6):
            found = await bridged.sample(lambda found: "b/x" in found)
            assert (found["b/x"].value, found["b/y"].value) == (3, 4)


NOISE = {
    "a zero in front": lambda request, answer: [(0.0, b"\0" + answer)],
    "a beginning of an answer in front": lambda request, answer: [(0.0, answer[:3] + answer)],
    "noise in front, later the answer": lambda request, answer: [(0.0, b"\x01\x04\xff"), (0.02, answer)],
    "noise behind": lambda request, answer: [(0.0, answer + b"\xfe\xff")],
    "echo and answer in one": lambda request, answer: [(0.0, request + answer)],
    "echo in two pieces": lambda request, answer: [(0.0, request[:3]), (0.02, request[3:]), (0.04, answer)],
    "echo byte by byte": lambda request, answer: [
        *((0.002 * at, request[at : at + 1]) for at in range(8)),
        (0.04, answer),
    ],
    "noise, echo, noise, answer": lambda request, answer: [(0.0, b"\x7f" + request + b"\0\0"), (0.02, answer)],
    "the answer twice": lambda request, answer: [(0.0, answer + answer)],
    "the answer twice, apart": lambda request, answer: [(0.0, answer), (0.02, answer)],
    "another unit's answer in front": lambda request, answer: [(0.0, with_crc(b"\x02" + answer[1:-2]) + answer)],
}


@pytest.mark.parametrize("name", NOISE)
async def test_what_is_no_answer_costs_what_it_is_and_no_more(tmp_path, name):
    async with slaves(tmp_path, {1: sdm120()}, profile="sdm120", retries=3) as (slave, bridged):
        slave.replies = NOISE[name]
        for _ in range(2):
            assert_true(found := await bridged.sample())
            assert is_good(found)


def test_frames_are_found_in_whatever_pieces():
    chance = random.Random(16)
    requests = [read_request(unit, table, 0, 2) for unit in (1, 2) for table in ("holding", "input")]
    for _ in range(300):
        framer, stream, sent = RtuFramer(), b"", []
        for request in requests:
            framer.expect(request)
        for _ in range(20):
            frame = with_crc(bytes((*chance.choice(requests).frame[:2], 4)) + chance.randbytes(4))
            sent.append(frame)
            stream += chance.randbytes(chance.choice([0, 0, 1, 3])) + frame
        found = []
        while stream:
            size = chance.randrange(1, 30)
            found += framer.feed(stream[:size])
            stream = stream[size:]
        assert [frame for frame in found if frame in sent] == sent
        assert len(found) <= len(sent) + 1, "noise passes a CRC of 16 bits once in 65536 frames"


def test_noise_without_end_costs_little_and_is_held_within_bounds():
    framer, chance = RtuFramer(), random.Random(1)
    framer.expect(read_request(1, "input", 0, 125))
    for _ in range(2000):
        assert framer.feed(chance.randbytes(100)) == []
    frame = with_crc(bytes((1, 4, 250)) + bytes(250))
    assert framer.feed(frame) == [frame]


@pytest.mark.parametrize(("unit_pause", "line_pause", "needed_s"), [(0.12, 0.0, 0.1), (0.0, 0.12, 0.1)])
async def test_a_unit_that_wants_a_pause_gets_it(tmp_path, unit_pause, line_pause, needed_s):
    units = [{"address": 1, "pause": unit_pause}]
    last = [-1.0]

    async with slaves(tmp_path, {1: sdm120()}, profile="sdm120", units=units, pause=line_pause) as (slave, bridged):

        def replies(request, answer):
            now, too_soon = asyncio.get_running_loop().time(), False
            too_soon = now - last[0] < needed_s
            last[0] = last[0] if too_soon else now
            return [] if too_soon else [(0.0, answer)]

        slave.replies = replies
        assert is_good(await bridged.sample())


@pytest.mark.parametrize("address", [0xF8, 0xFE, 0xFF])
async def test_reserved_addresses_are_read_where_settings_name_them(tmp_path, address):
    units, registers = [{"address": address}], [{"name": "co2", "address": 3}]
    async with slaves(tmp_path, {address: {("input", 3): 412}}, units=units, registers=registers) as (_, bridged):
        assert (await bridged.sample())["co2"].value == 412


async def test_codings_that_only_some_devices_have(tmp_path):
    registers = [
        {"name": "model", "address": 0, "type": "text", "words": 4, "table": "holding"},
        {"name": "clock", "address": 4, "type": "bcd", "words": 2, "table": "holding"},
        {"name": "energy", "address": 6, "type": "uint", "words": 3, "table": "holding"},
        {"name": "power", "address": 9, "type": "i16", "scale_address": 12, "table": "holding", "unit": "W"},
        {"name": "setpoint", "address": 13, "table": "holding", "writable": True, "write_function": 16},
    ]
    words = [*struct.unpack(">4H", b"PZEM-004"), 0x0012, 0x3456, 1, 2, 3, 2305, 0, 0, 0xFFFF, 20]
    held = {("holding", at): word for at, word in enumerate(words)}
    async with slaves(tmp_path, {1: held}, registers=registers) as (slave, bridged):
        slave.functions -= {6}
        found = await bridged.sample()
        values = {"model": "PZEM-004", "clock": 123_456, "energy": 2**32 + 2**17 + 3, "power": 230.5, "setpoint": 20}
        assert {name: reading.value for name, reading in found.items()} == values
        held["holding", 12] = 1
        assert (await bridged.sample(lambda found: found["power"].value != 230.5))["power"].value == 23_050
        result = await bridged.bridge.execute(Command(name="setpoint", parameters={"value": 300}))
        assert (result.ok, result.detail, held["holding", 13]) == (True, "written and read back", 300)


@pytest.mark.parametrize(
    ("there", "wanted"),
    [((0, 2), (0, 1, 2)), ((0, 1, 3, 4, 6, 7), range(8)), ((), (0, 1)), ((5,), range(6))],
)
async def test_a_refused_block_is_split_and_that_is_remembered(tmp_path, there, wanted):
    registers = [{"name": f"r{at}", "address": at} for at in wanted]
    held = {("input", at): 100 + at for at in there}
    async with slaves(tmp_path, {1: held}, registers=registers, timeout=0.5) as (slave, bridged):
        found = await bridged.sample()
        values = {f"r{at}": 100 + at if at in there else None for at in wanted}
        assert {name: reading.value for name, reading in found.items()} == values
        assert {r.reason for r in found.values() if r.value is None} <= {"refused: illegal data address"}
        first = len(slave.requests)
        await bridged.sample()
        again = {request for _, request in slave.requests[first:]}
        refused = len(wanted) - len(there)
        assert len(again) <= refused + len(wanted), "halves that are refused are not asked for again"
        assert with_crc(bytes((1, 4, 0, wanted[0], 0, len(wanted)))) not in again or not refused


async def test_a_busy_unit_is_asked_again(tmp_path):
    registers = [{"name": "x", "address": 0, "table": "holding", "writable": True}]
    async with slaves(tmp_path, {1: {("holding", 0): 7}}, registers=registers, interval=60) as (slave, bridged):
        busy = [6, 6]

        def replies(request, answer):
            code = busy.pop() if busy else 0
            return [(0.0, with_crc(bytes((request[0], request[1] | 0x80, code))) if code else answer)]

        slave.replies = replies
        busy[:] = [6]
        assert (await bridged.sample())["x"].value == 7
        for codes in ([6], [5]):
            busy[:] = codes
            result = await bridged.bridge.execute(Command(name="x", parameters={"value": 8}))
            assert (result.ok, slave.units[1]["holding", 0]) == (True, 8)
        busy[:] = [6, 6, 6]
        result = await bridged.bridge.execute(Command(name="x", parameters={"value": 9}))
        assert (result.ok, result.detail) == (False, "unit 1 refused: device busy")


@pytest.mark.parametrize("function", [5, 15])
async def test_a_coil_is_switched_as_it_was_meant_or_not_at_all(tmp_path, function):
    registers = [{"name": "pump", "address": 3, "table": "coil", "writable": True, "write_function": function}]
    held = {("coil", 3): 1}
    async with slaves(tmp_path, {1: held}, registers=registers) as (slave, bridged):
        slave.functions -= {20 - function}
        assert (await bridged.sample())["pump"].value is True

        async def switch(value):
            return (await bridged.bridge.execute(Command(name="pump", parameters={"value": value}))).ok

        for value, is_on in (("OFF", False), ("on", True), ("false", False), (1, True), (0, False), ("true", True)):
            assert await switch(value)
            assert bool(held["coil", 3]) is is_on, value
        for value in ("banana", 7, -1, 0.5, ""):
            assert not await switch(value)
            assert held["coil", 3], value


async def test_bits_of_a_register_are_written_and_the_others_kept(tmp_path):
    registers = [{"name": "mode", "address": 0, "table": "holding", "bits": [0, 4], "writable": True}]
    held = {("holding", 0): 0xA5F3}
    async with slaves(tmp_path, {1: held}, registers=registers) as (_, bridged):
        await bridged.sample()
        result = await bridged.bridge.execute(Command(name="mode", parameters={"value": 1}))
        assert (result.ok, held["holding", 0]) == (True, 0xA5F1)
        assert not (await bridged.bridge.execute(Command(name="mode", parameters={"value": 16}))).ok
        assert held["holding", 0] == 0xA5F1


async def test_a_write_that_only_the_echo_answers_has_failed(tmp_path):
    registers = [{"name": "x", "address": 0, "table": "holding", "writable": True}]
    async with slaves(tmp_path, {1: {("holding", 0): 7}}, registers=registers) as (slave, bridged):
        slave.replies = lambda request, answer: [(0.0, request), *([(0.0, answer)] if request[1] == 3 else [])]
        assert (await bridged.sample())["x"].value == 7
        result = await bridged.bridge.execute(Command(name="x", parameters={"value": 7}))
        assert (result.ok, "no answer" in result.detail) == (False, True)


async def test_a_command_that_changes_nothing_is_reported_as_that(tmp_path):
    registers = [{"name": "x", "address": 0, "table": "holding", "writable": True}]
    async with slaves(tmp_path, {1: {("holding", 0): 7}}, registers=registers) as (slave, bridged):
        await bridged.sample()
        slave.units[1] = dict.fromkeys(slave.units[1], 7)
        slave.replies = lambda request, answer: [
            (0.0, with_crc(b"\x01\x03\x02\x00\x07") if request[1] == 3 else answer)
        ]
        result = await bridged.bridge.execute(Command(name="x", parameters={"value": 8}))
        assert (result.ok, result.detail) == (False, "reads back 7")


def faulty(chance):
    """A line with every fault there is: answers late, lost, doubled, damaged and in pieces, echo, noise, absence."""

    def replies(request, answer):
        if chance.random() < 0.05:
            return []
        out, delay_s = [], chance.uniform(0.001, 0.05)
        if chance.random() < 0.1:
            delay_s = chance.uniform(0.05, 0.55)
        if chance.random() < 0.15:
            out.append((0.0, request))
        if chance.random() < 0.15:
            out.append((chance.uniform(0, 0.5), chance.randbytes(chance.randrange(1, 6))))
        if chance.random() < 0.1:
            at = chance.randrange(len(answer))
            answer = answer[:at] + bytes((answer[at] ^ 1 << chance.randrange(8),)) + answer[at + 1 :]
        cut = chance.randrange(len(answer)) if chance.random() < 0.2 else 0
        out += [(delay_s, answer[:cut]), (delay_s + 0.004 * bool(cut), answer[cut:])]
        if chance.random() < 0.1:
            out.append((delay_s + chance.uniform(0, 0.5), answer))
        return out

    return replies


@pytest.mark.campaign
@pytest.mark.parametrize("part", range(8))
async def test_no_fault_of_the_line_makes_a_wrong_value_good(tmp_path, part):
    """Late by less than six timeouts, that is: two units, groups that are alike, values that change."""
    seed = int(os.environ.get("SEED", "16")) + part
    chance = random.Random(seed)
    units = [{"address": n, "name": f"u{n}"} for n in (1, 2)]
    registers = [{"name": f"r{at}", "address": 10 * at, "table": table} for at, table in enumerate(["input"] * 4)]
    held = {unit: {("input", 10 * at): 1000 * unit + 10 * at for at in range(4)} for unit in (1, 2)}
    members = {"units": units, "registers": registers, "max_retry_interval": 1, "retries": 5}
    async with slaves(tmp_path, held, **members) as (slave, bridged):
        slave.replies, good = faulty(chance), 0
        while good < 100:
            found = await bridged.sample()
            for name, reading in found.items():
                if reading.quality is Quality.GOOD:
                    good += 1
                    unit, at = int(name[1]), int(name[4])
                    assert int(reading.value) // 10 == 100 * unit + at, f"SEED={seed}: {name} = {reading.value}"
            if chance.random() < 0.2:  # the last digit changes, the others say whose it is
                for unit in held.values():
                    for key in unit:
                        unit[key] = unit[key] // 10 * 10 + chance.randrange(10)
