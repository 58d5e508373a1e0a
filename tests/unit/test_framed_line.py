"""Questions on a serial line, with its bytes and its clock: what is decided without I/O is in test_exchange."""

import asyncio
import contextlib

import pytest

from device_bridge import DeviceError
from device_bridge.buses import FramedLine, SerialSettings, attached
from device_bridge.protocols import ChecksumSettings, DelimiterFraming, Framer, LineFraming, MarksFraming
from simulated_devices import InProcessSerialLine

pytestmark = pytest.mark.clock("movable")


LINES = LineFraming()


@contextlib.asynccontextmanager
async def asking(tmp_path, answers, keep=False, quiet_s=0.2, framing=LINES):
    """A line to a device that answers each line by the next of some pieces, each after so many seconds.

    It is quiet for a while at first, so that what comes then is whole.
    """
    path, left = tmp_path / "tty", list(answers)
    with InProcessSerialLine(path) as line, attached(str(path), line):
        framed = FramedLine(SerialSettings(port=f"sim:{path}"), framing, keep=keep)
        await framed.open()
        await asyncio.sleep(quiet_s)

        async def answer():
            while True:
                for _ in (await line.receive()).splitlines():
                    for delay_s, data in left.pop(0) if left else ():
                        asyncio.get_running_loop().call_later(delay_s, line.write, data)

        answering = asyncio.ensure_future(answer())
        try:
            yield framed, line
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)
            await framed.close()


def is_result(frame):
    return frame.startswith((b"OK", b"ERR"))


async def test_a_late_ok_is_not_the_result_of_the_next_command(tmp_path):
    async with asking(tmp_path, [[(1.5, b"OK\n")], [(0.0, b"ERR jammed\n")]]) as (framed, _):
        with pytest.raises(DeviceError, match="no answer within 1 s"):
            await framed.ask(b"MOVE 1\n", is_result, 1.0)
        assert await framed.ask(b"MOVE 2\n", is_result, 1.0) == b"ERR jammed"
        assert framed.counters()["late_answers"] == 1


async def test_a_late_ok_to_a_command_given_up_is_not_the_result_of_the_same_command_again(tmp_path):
    async with asking(tmp_path, [[(1.5, b"OK\n")], [(0.0, b"ERR jammed\n")]]) as (framed, _):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await framed.ask(b"MOVE\n", is_result, 10.0)
        assert await framed.ask(b"MOVE\n", is_result, 1.0) == b"ERR jammed"


async def test_a_poll_is_asked_again_at_once_after_one_was_lost(tmp_path):
    async with asking(tmp_path, [[], [(0.0, b"=1\n")]]) as (framed, _):
        with pytest.raises(DeviceError, match="no answer"):
            await framed.ask(b"?\n", bool, 0.2, repeatable=True)
        asked_at = asyncio.get_running_loop().time()
        assert await framed.ask(b"?\n", bool, 0.2, repeatable=True) == b"=1"
        assert asyncio.get_running_loop().time() - asked_at == pytest.approx(0.2, abs=0.01), "drained, and no more"


async def test_unsolicited_frames_are_read_during_a_question(tmp_path):
    async with asking(tmp_path, [[(0.1, b"OK\n")]], keep=True) as (framed, line):
        asked = asyncio.ensure_future(framed.ask(b"TARE\n", is_result, 1.0))
        await line.send(b"1\n2\n")
        assert await framed.frames() == [b"1", b"2"]
        assert await asked == b"OK"


@pytest.mark.parametrize(
    ("framing", "data", "frames", "at_once"),
    [
        (LINES, b"34.5\n1234.6\n", [b"34.5", b"1234.6"], [b"1234.6"]),
        (DelimiterFraming(delimiter=";"), b"34.5;1234.6;", [b"34.5", b"1234.6"], [b"1234.6"]),
        (MarksFraming(start="<", end=">"), b"34.5><1234.6>", [b"1234.6"], [b"1234.6"]),
        (LineFraming(checksum=ChecksumSettings(algorithm="XOR", notation="hex")), b"12330\n", [b"123"], [b"123"]),
    ],
)
async def test_what_comes_as_soon_as_the_port_is_open_may_be_the_rest_of_a_frame(
    tmp_path, framing, data, frames, at_once
):
    for quiet_s, expected in ((0.0, at_once), (0.2, frames)):
        async with asking(tmp_path, [], keep=True, quiet_s=quiet_s, framing=framing) as (framed, line):
            line.write(data)
            assert await framed.frames() == expected
            assert framed.garbled == len(frames) - len(expected)


async def test_an_echoed_question_is_not_its_answer(tmp_path):
    async with asking(tmp_path, [[(0.0, b"VAL?\n"), (0.1, b"5\n")]]) as (framed, _):
        assert await framed.ask(b"VAL?\n", lambda frame: frame != b"VAL?", 1.0) == b"5"


async def test_who_waits_for_an_answer_learns_that_the_device_has_gone(tmp_path):
    async with asking(tmp_path, []) as (framed, line):
        asked = asyncio.ensure_future(framed.ask(b"?\n", bool, 600.0))
        await asyncio.sleep(1)
        line.unplug()
        with pytest.raises(DeviceError, match="gone"):
            await asked


async def test_a_command_is_answered_while_unsolicited_frames_are_not_read(tmp_path):
    """As with an outbox that is full and pauses reading."""
    async with asking(tmp_path, [[(0.1, b"OK\n")]] * 40, keep=True) as (framed, line):
        said = 0
        for _ in range(40):
            for _ in range(30):
                said += 1
                line.write(b"%d kg\n" % said)
                await asyncio.sleep(0.1)
            assert await framed.ask(b"TARE\n", is_result, 1.0) == b"OK"
        read = []
        while len(read) < said:
            read += await framed.frames()
        assert read == [b"%d kg" % number for number in range(1, said + 1)]
        assert framed.counters()["overflown_frames"] == 0


async def test_unsolicited_frames_beyond_the_limit_during_a_question_are_counted(tmp_path):
    async with asking(tmp_path, [], keep=True) as (framed, line):
        asked = asyncio.ensure_future(framed.ask(b"TARE\n", is_result, 200.0))
        for number in range(1500):
            line.write(b"%d kg\n" % number)
            await asyncio.sleep(0.1)
        read = [frame for _ in range(1024) for frame in await framed.frames()]
        assert read == [b"%d kg" % number for number in range(1024)]
        assert framed.counters()["overflown_frames"] == 1500 - 1024
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)


async def test_an_error_of_a_framing_reaches_who_reads_and_who_asks(tmp_path):
    class Broken(Framer):
        def feed(self, data, now=0.0):
            raise ZeroDivisionError("unexpected")

    async with asking(tmp_path, [[(0.0, b"OK\n")]], keep=True, framing=Broken(LINES)) as (framed, _):
        with pytest.raises(ZeroDivisionError):
            await framed.ask(b"MOVE 1\n", is_result, 1.0)
        with pytest.raises(ZeroDivisionError):
            await framed.frames()
