"""What had to wait before it was read, as while a full outbox pauses reading, has the time it came at."""

import asyncio

import pytest

from device_bridge.buses import attached
from device_bridge.supervision import Supervisor
from gps_receiver.emulator import encode
from gps_receiver.service import GpsReceiver
from serial_instrument.service import SerialInstrument
from simulated_devices import InProcessSerialLine

from ..movable_clock import now
from .serving import settings_of

SUBJECTS = {
    "gps_receiver": (
        GpsReceiver,
        {"stale_after": 0},
        lambda number: encode(f"GPGLL,5300.0,N,{number:03}30.0,E,120000,A,A"),
        "lon",
    ),
    "serial_instrument": (
        SerialInstrument,
        {"framing": {"type": "line"}, "record": {"type": "csv"}, "fields": [{"name": "lon", "key": 1}]},
        lambda number: b"%d.5\n" % number,
        "lon",
    ),
}


@pytest.mark.clock("movable")
@pytest.mark.parametrize("subject_name", SUBJECTS)
async def test_a_reading_that_had_to_wait_has_the_time_it_came_at(tmp_path, subject_name):
    service_type, members, sentence, name = SUBJECTS[subject_name]
    has_room, emitted, sent = asyncio.Event(), [], {}
    path = tmp_path / "tty"

    def emit(sample):
        emitted.extend((now() + r.time, r.value) for r in sample if r.name == name)

    with InProcessSerialLine(path) as line, attached(str(path), line):
        settings = settings_of(service_type, serial={"port": f"sim:{path}"}, **members)
        supervisor = Supervisor(service_type, settings, emit, has_room.wait)
        running = asyncio.ensure_future(supervisor.run())
        await asyncio.sleep(1)
        for number in range(1, 100):
            sent[number + 0.5] = now()
            line.write(sentence(number))
            await asyncio.sleep(3)
        assert len(emitted) == 1, "there is no room for more"
        has_room.set()
        await asyncio.sleep(1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert [value for _, value in emitted] == list(sent)
    for time, value in emitted:
        assert time <= sent[value] + 0.1, "never younger than it is"
