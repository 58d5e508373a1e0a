"""Which answer belongs to which question, on virtual time: nothing here waits."""

import heapq
import itertools
import random
import re

import pytest

from device_bridge.protocols import Exchange, LineFraming, MarksFraming, Question, Verdict, framer_for

GAP_S, LINES = 0.002, LineFraming()


class Line:
    """A line on a clock of its own: what is sent to it schedules what comes back."""

    def __init__(self, respond, framing=LINES, **exchange):
        self.exchange = Exchange(**{"gap_s": GAP_S, "strict": True} | exchange)
        self.framer = framer_for(framing)
        self.now, self._due, self._order = 100.0, [], itertools.count()
        self._respond, self.asked = respond, []

    def send_at(self, when, data):
        heapq.heappush(self._due, (when, next(self._order), data))

    def advance(self, until):
        """Delivers what comes until then, one event at a time."""
        if self._due and self._due[0][0] <= until:
            self.now, _, data = heapq.heappop(self._due)
            self._take(self.exchange.receive(data, self.now))
            return
        self.now = max(self.now, until)

    def _take(self, data):
        for frame in self.framer.feed(data):
            self.exchange.take(frame, self.now)

    def ask(self, question):
        """One attempt: the answer, or the verdict without one."""
        waited_from = self.now
        while (wait_s := self.exchange.wait_s(question, self.now)) > 0:
            if self.now - waited_from > self.exchange.patience_s(question):
                return Verdict.GARBLED
            self.advance(self.now + wait_s)
        self.framer.clear()
        self.exchange.ask(question, self.now)
        self.asked.append((self.now, question.data))
        for delay_s, data in self._respond(question.data):
            self.send_at(self.now + delay_s, data)
        while (verdict := self.exchange.verdict(self.now)) is Verdict.PENDING:
            check_at = self.exchange.check_at()
            self.advance(check_at)
            if self.now >= check_at:
                self._take(self.exchange.release_held())
        return self.exchange.answer if verdict is Verdict.ANSWERED else verdict

    def put(self, question, attempts=3):
        """As a bus does: again when the answer is doubtful."""
        for _ in range(attempts):
            if (result := self.ask(question)) is not Verdict.DOUBTFUL:
                break
        return result

    def idle(self, seconds):
        until = self.now + seconds
        while self.now < until:
            self.advance(until)


def is_value(frame):
    return frame.startswith(b"=")


def question(name, **members):
    members = {"accepts": is_value, "timeout_s": 0.5, "repeatable": True} | members
    return Question(data=b"%s?\n" % name, **members)


def replies(*plan, usual=0.03):
    """Answers `=NAME` to the question NAME; the first ones after the delays of a plan."""
    left = list(plan)

    def respond(data):
        delays = left.pop(0) if left else (usual,)
        return [(delay, b"=%s\n" % data.rstrip(b"?\n")) for delay in delays]

    return respond


@pytest.mark.parametrize("late_s", [0.6, 0.9, 1.7, 2.9])
def test_a_late_answer_is_not_that_to_the_next_question(late_s):
    line = Line(replies((late_s,)))
    assert line.put(question(b"voltage")) is Verdict.UNANSWERED
    names = (b"current", b"power", b"voltage", b"frequency")
    assert [line.put(question(name)) for name in names] == [b"=" + name for name in names]
    assert line.exchange.late == 1


def test_nothing_is_asked_until_it_has_been_quiet_for_as_long_as_the_slowest_answer_took():
    line = Line(replies((0.4,), (0.7,)))
    line.put(question(b"a"))
    asked_at = line.now
    assert line.put(question(b"b")) is Verdict.UNANSWERED
    assert line.put(question(b"b")) == b"=b"
    late_at = asked_at + GAP_S + 0.7
    assert line.asked[2][0] == pytest.approx(late_at + 0.7, abs=0.02)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("late_s", [3.2, 5.0, 11.0, 40.0])
def test_an_answer_that_counts_as_lost_is_not_that_to_another_question(late_s, strict):
    late, count = [late_s], itertools.count()

    def respond(data):
        delay_s = late.pop() if late and data == b"a?\n" else 0.1
        return [(delay_s, b"=%s:%d\n" % (data.rstrip(b"?\n"), next(count)))]

    line = Line(respond, strict=strict)
    line.put(question(b"a"))
    while line.now < 100.0 + late_s + 5:
        for name in (b"a", b"b", b"c"):
            answer = line.put(question(name))
            assert answer is Verdict.UNANSWERED or answer.startswith(b"=" + name)
    assert line.exchange.late >= strict


def test_records_that_look_like_a_lost_answer_are_read_again_when_it_is_not_expected_any_more():
    line = Line(lambda data: [], strict=False)
    command = question(b"print", repeatable=False)
    for _ in range(2):
        assert line.put(command) is Verdict.UNANSWERED
    taken = []
    for _ in range(100):
        line.idle(0.1)
        taken.append(line.exchange.take(b"=100", line.now))
    assert taken[0] is True
    assert not any(taken[40:]), "the same record again and again is what it is"


def test_a_lost_answer_slows_the_line_down_only_until_it_counts_as_lost():
    line, names = Line(replies(())), (b"a", b"b", b"c")
    line.put(question(b"a"))
    for name in names:
        line.put(question(name))
    since = line.now
    for name in names * 10:
        assert line.put(question(name)) == b"=" + name
    assert line.now - since == pytest.approx(30 * 0.046, abs=0.2)


def test_another_device_is_asked_meanwhile_and_keeps_its_answers_apart():
    line = Line(replies((2.5,)))
    first = question(b"1v", device=1, accepts=lambda frame: frame.startswith(b"=1"))
    second = question(b"2v", device=2, accepts=lambda frame: frame.startswith(b"=2"))
    assert line.put(first) is Verdict.UNANSWERED
    timed_out_at = line.now
    assert line.put(second) == b"=2v"
    assert line.now - timed_out_at < 0.6
    assert line.put(question(b"1c", device=1, accepts=first.accepts)) == b"=1c"
    assert line.exchange.late == 1


def test_an_answer_that_always_comes_late_is_waited_for():
    line = Line(replies(usual=0.6))
    assert line.put(question(b"a")) is Verdict.UNANSWERED
    assert [line.put(question(b"a")) for _ in range(3)] == [b"=a"] * 3


def test_a_late_answer_to_a_command_is_not_that_to_the_same_command_again():
    line = Line(replies((0.8,), ()), strict=False)
    command = question(b"move", repeatable=False)
    assert line.put(command) is Verdict.UNANSWERED
    assert line.put(command) is Verdict.UNANSWERED
    assert line.exchange.late == 1


def test_a_doubled_answer_is_not_that_to_the_next_question():
    line = Line(replies((0.03, 0.04), ()))
    assert line.put(question(b"a")) == b"=a"
    assert line.put(question(b"b")) == b"=b"


def test_answers_that_are_alike_by_rights_are_believed_when_they_come_again():
    line = Line(lambda data: [(0.03, b"=0\n")])
    assert [line.put(question(name)) for name in (b"a", b"b", b"a", b"b")] == [b"=0"] * 4
    assert [name for _, name in line.asked] == [b"a?\n", b"b?\n", b"b?\n", b"a?\n", b"b?\n"]


def test_two_different_answers_are_both_thrown_away():
    first = [[(0.03, b"=a\n=b\n")]]
    line = Line(lambda data: first.pop() if first else [(0.03, b"=b\n")])
    assert line.ask(question(b"b")) is Verdict.DOUBTFUL
    assert line.put(question(b"b")) == b"=b"
    assert (line.exchange.late, line.exchange.doubtful) == (1, 2)


@pytest.mark.parametrize("cut", range(4))
def test_the_echo_is_no_answer_in_whatever_pieces(cut):
    anything = question(b"=a", accepts=lambda frame: True)

    def respond(data):
        return [(0.001, data[:cut]), (0.1, data[cut:]), (0.2, b"=1\n")]

    assert Line(respond).put(anything) == b"=1"
    assert Line(lambda data: [(0.01, data + b"=1\n")]).put(anything) == b"=1"


def test_an_answer_that_is_the_question_counts_unless_the_line_echoes():
    command = Question(data=b"=5\n", accepts=is_value, timeout_s=0.5, echoes=True)
    assert Line(lambda data: [(0.03, data)]).put(command) == b"=5"
    echoing = Line(lambda data: [(0.0, data), *([(0.03, b"=1\n")] if b"?" in data else [])])
    assert echoing.put(question(b"a")) == b"=1"
    assert echoing.put(command) is Verdict.UNANSWERED


def test_the_line_and_each_device_have_a_pause_of_their_own():
    line = Line(replies(), pause_s=0.1)
    line.put(question(b"a", device=1, pause_s=0.85))
    line.put(question(b"b", device=2))
    line.put(question(b"c", device=1, pause_s=0.85))
    times = [when for when, _ in line.asked]
    assert times[1] - times[0] == pytest.approx(0.13, abs=0.01)
    assert times[2] - times[0] == pytest.approx(0.88, abs=0.01)


def test_a_line_that_is_never_quiet_is_reported():
    line = Line(replies())
    line.put(question(b"a"))
    for step in range(10_000):
        line.send_at(line.now + step * 0.001, b"\xff")
    assert line.put(question(b"a")) is Verdict.GARBLED


def test_a_talkative_device_is_asked_all_the_same():
    line = Line(replies(), strict=False)
    for step in range(1000):
        line.send_at(line.now + step * 0.01, b"by itself\n")
    assert [line.put(question(name)) for name in (b"a", b"b")] == [b"=a", b"=b"]


def faulty(chance):
    """Answers with every fault there is: late, lost, doubled, damaged, in pieces, with echo and noise."""
    noise = bytes(byte for byte in range(256) if byte not in b"\n\r=")

    def respond(data):
        answer, out = b"=%s:%d\n" % (data.rstrip(b"?\n"), chance.randrange(3)), []
        delay_s = chance.uniform(0.02, 2.9) if chance.random() < 0.15 else chance.uniform(0.01, 0.2)
        if chance.random() < 0.2:
            out.append((chance.uniform(0, 0.05), data))
        if chance.random() < 0.2:
            out.append((chance.uniform(0, 3), bytes(chance.choices(noise, k=chance.randrange(1, 6)))))
        if chance.random() < 0.15:
            return out
        if chance.random() < 0.1:
            answer = answer[:2] + b"\xff" + answer[3:]
        cut = chance.randrange(len(answer)) if chance.random() < 0.3 else 0
        longest_s = 2.9 - delay_s if out else 10  # of one that noise may have damaged, the copy is the answer
        out += [(delay_s, answer[:cut]), (delay_s + 0.001 * bool(cut), answer[cut:])]
        if chance.random() < 0.15:
            out.append((delay_s + chance.uniform(0, longest_s), answer))
        return out

    return respond


@pytest.mark.parametrize("seed", range(40))
def test_no_answer_is_ever_taken_for_that_to_another_question(seed):
    """Within what the rules rest on: an answer is late by less than six timeouts."""
    chance = random.Random(seed)
    line = Line(faulty(chance), MarksFraming(start="=", end="\n"))
    good = dict.fromkeys((b"a", b"b", b"c", b"d"), 0)
    for _ in range(300):
        name = chance.choice(list(good))
        result = line.put(question(name, accepts=re.compile(rb"[a-d]:\d").fullmatch))
        if isinstance(result, bytes):
            assert result.startswith(b"%s:" % name), f"seed {seed}, {line.now:.3f} s"
            good[name] += 1
        line.idle(chance.choice([0.0, 0.0, 0.5]))
    assert min(good.values()) > 15
