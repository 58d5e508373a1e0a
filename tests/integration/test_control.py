"""How a configuration is asked for: again with back-off after a refusal, and never told after the end."""

import asyncio

import pytest

from iofog_sdk import ConnectionLost, RequestRefused
from iofog_sdk.links.control import REFETCH_S, Control

from .conftest import Steps, until

REFUSED = RequestRefused("/config", 503, "starting")
LOST = ConnectionLost("/config: no answer within 10 s")


class Socket:
    """A control socket as far as fetching needs it."""

    connected = True

    def __init__(self):
        self.reconnects = []

    def reconnect(self, reason):
        self.reconnects.append(reason)

    def start(self):
        pass

    async def close(self):
        self.connected = False


class Scripted(Control):
    """Answers with these, the last one for ever."""

    socket = None

    def __init__(self, *answers):
        super().__init__()
        self.socket = Socket()
        self.answers, self.asked, self.told = list(answers), 0, []
        self.on_config = self.told.append
        self._backoff = Steps()

    async def get_config(self):
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return await answer if asyncio.isfuture(answer) else answer


@pytest.mark.parametrize(
    ("error", "text"),
    [(REFUSED, f"{REFUSED}"), (LOST, f"{LOST}"), (KeyError("unexpected"), "KeyError('unexpected')")],
)
async def test_a_refused_configuration_is_asked_for_again_ever_more_rarely(error, text, caplog):
    control = Scripted(*[error] * 5, "config")
    control.refresh()
    await until(lambda: control.told)
    assert control.told == ["config"]
    assert control._backoff.taken == [1, 2, 4, 8, 16]
    assert [record.message for record in caplog.records] == [f"configuration not fetched: {text}"]


def test_it_is_asked_for_after_a_second_at_first_and_every_half_minute_at_last():
    control = Scripted(None)
    Control.__init__(control)
    waits = [control._backoff.next_s() for _ in range(20)]
    assert 0.5 <= waits[0] <= 1
    assert 15 <= min(waits[6:]) <= max(waits) <= 30


async def test_each_reason_is_said_once_until_there_is_a_configuration(caplog):
    control = Scripted(REFUSED, LOST, REFUSED, LOST, "first", REFUSED, "second")
    for count in (1, 2):
        control.refresh()
        await until(lambda count=count: len(control.told) == count)
    said = [record.message.removeprefix("configuration not fetched: ") for record in caplog.records]
    assert said == [str(REFUSED), str(LOST), str(REFUSED)]


async def test_nothing_is_asked_while_the_socket_is_down():
    control = Scripted(REFUSED, "config")
    control.socket.connected = False
    control.refresh()
    await control._fetching
    assert (control.asked, control._backoff.taken) == (1, [])
    control.socket.connected = True
    control.refresh()  # as after each connect
    await until(lambda: control.told)


async def test_a_signal_ends_the_wait():
    control = Scripted(REFUSED, "config")
    control._backoff.next_s = lambda: 3600
    control.refresh()
    await until(lambda: control.asked)
    control.refresh()
    await until(lambda: control.told)
    assert control.asked == 2


async def test_a_signal_during_a_fetch_asks_once_more_and_only_the_newer_answer_counts():
    old = asyncio.get_running_loop().create_future()
    control = Scripted(old, "new")
    control.refresh()
    await until(lambda: control.asked)
    control.refresh()
    old.set_result("old")
    await until(lambda: control.told)
    assert (control.told, control.asked) == (["new"], 2)


@pytest.mark.parametrize("late", ["config", REFUSED, LOST])
async def test_what_comes_after_the_end_is_not_reported(late, caplog):
    """A cancellation can be swallowed, as asyncio.wait_for of Python 3.11 does when the answer has just come."""

    class Swallowing(Scripted):
        async def get_config(self):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return await super().get_config()

    control = Swallowing(late)
    control.refresh()
    await asyncio.sleep(0)  # it is waiting now
    fetching = control._fetching
    await control.close()
    await asyncio.wait((fetching,), timeout=60)
    control.refresh()
    assert control._fetching is fetching
    assert fetching.done()
    assert (control.asked, control.told) == (1, [])
    assert not caplog.records


@pytest.mark.clock("movable")
async def test_a_change_without_a_signal_is_found_and_the_socket_opened_anew(caplog):
    control = Scripted("old", "old", "old", "new")
    await control.start()
    control.refresh()
    await asyncio.sleep(2.5 * REFETCH_S)
    assert (set(control.told), control.socket.reconnects) == ({"old"}, [])
    asked = control.asked
    await asyncio.sleep(1.3 * REFETCH_S)
    assert control.asked > asked
    assert control.told[-1] == "new"
    assert control.socket.reconnects == ["signals are missing"]
    assert "changed and no signal came" in caplog.text
    await asyncio.sleep(10 * REFETCH_S)
    assert len(control.socket.reconnects) == 1
    await control.close()
    asked = control.asked
    await asyncio.sleep(10 * REFETCH_S)
    assert control.asked == asked


@pytest.mark.clock("movable")
async def test_a_change_with_its_signal_leaves_the_socket_alone():
    control = Scripted("old")
    await control.start()
    control.refresh()
    await asyncio.sleep(REFETCH_S / 2)
    control.answers = ["new"]
    control.refresh()
    await asyncio.sleep(10 * REFETCH_S)
    control.answers = ["newer"]
    while control.told[-1] != "newer":
        await asyncio.sleep(1)
    control.refresh()  # its signal, a moment behind the fetch
    await asyncio.sleep(10 * REFETCH_S)
    assert control.socket.reconnects == []
    await control.close()


@pytest.mark.clock("movable")
async def test_the_times_of_fetches_are_spread():
    times = []
    for _ in range(20):
        control = Scripted("same")
        await control.start()
        began_at = asyncio.get_running_loop().time()
        while not control.asked:
            await asyncio.sleep(1)
        times.append(asyncio.get_running_loop().time() - began_at)
        await control.close()
    assert 0.79 * REFETCH_S <= min(times) < 0.95 * REFETCH_S < 1.05 * REFETCH_S < max(times) <= 1.21 * REFETCH_S


@pytest.mark.clock("movable")
async def test_nothing_is_fetched_in_between_while_the_socket_is_down():
    control = Scripted("same")
    control.socket.connected = False
    await control.start()
    await asyncio.sleep(5 * REFETCH_S)
    assert control.asked == 0
    await control.close()
