"""Packet identifiers that a broker uses again at once, through losses of connection and of acknowledgements.

MQTT 3.1.1 and 5.0, sections 2.2.1 and 4.4: an identifier is free once the broker has the acknowledgement; what it has
not is sent again on the next connection, in its order, with DUP.
"""

from collections import deque
from types import SimpleNamespace

from hypothesis import example, given
from hypothesis import strategies as st

from iofog_sdk.mqtt.messages import DuplicateFilter

WINDOW = 3


class Broker:
    """A broker, a client, and what is on the wires between them."""

    def __init__(self, *, keeps_unprocessed):
        self.keeps_unprocessed = keeps_unprocessed
        self.known = DuplicateFilter(keeps_unprocessed=keeps_unprocessed)
        self.waiting, self.in_flight = deque(), {}
        self.to_client, self.to_broker = deque(), deque()
        self.processing, self.taken, self.connection, self.now = [], [], 0, 0.0

    def publish(self, payload):
        self.waiting.append(payload)
        self.send()

    def send(self):
        while self.waiting and len(self.in_flight) < WINDOW:
            mid = next(mid for mid in range(1, WINDOW + 1) if mid not in self.in_flight)
            self.in_flight[mid] = self.waiting.popleft()
            self.to_client.append((mid, self.in_flight[mid], False))

    def client_receives(self):
        if not self.to_client:
            return
        mid, payload, dup = self.to_client.popleft()
        connection = self.connection

        def answer():
            self.now += 1
            if connection != self.connection:
                return None
            self.to_broker.append(mid)
            return self.now

        message = SimpleNamespace(mid=mid, topic="t", payload=payload, dup=dup)
        if (finish := self.known.begin(message, answer)) is not None:
            self.processing.append((payload, finish))

    def client_processes(self):
        if self.processing:
            payload, finish = self.processing.pop(0)
            self.taken.append(payload)
            finish()

    def broker_receives(self):
        if self.to_broker:
            self.in_flight.pop(self.to_broker.popleft(), None)
            self.send()

    def ping(self):
        """Its answer comes behind everything that was on the wires."""
        asked_at = self.now + 0.5
        while self.to_broker:
            self.broker_receives()
        while self.to_client:
            self.client_receives()
        self.known.confirm(asked_at)

    def lose(self):
        self.connection += 1
        self.to_client.clear()
        self.to_broker.clear()
        if not self.keeps_unprocessed:
            self.processing.clear()
        self.known.reconnected(session_present=True)
        self.to_client.extend((mid, payload, True) for mid, payload in self.in_flight.items())

    def settle(self):
        while self.waiting or self.in_flight or self.processing:
            self.client_receives()
            self.client_processes()
            self.broker_receives()


STEPS = ["client_receives", "client_processes", "broker_receives", "ping", "lose"]


@given(st.lists(st.sampled_from(["publish", "publish", *STEPS]), max_size=60), st.booleans())
def test_every_message_is_taken_once_whatever_is_lost_on_the_way(steps, keeps_unprocessed):
    broker, published = Broker(keeps_unprocessed=keeps_unprocessed), 0
    for step in steps:
        if step == "publish":
            published += 1
            broker.publish(b"%d" % published)
        else:
            getattr(broker, step)()
    broker.settle()
    assert sorted(broker.taken, key=int) == [b"%d" % number for number in range(1, published + 1)]


@given(st.lists(st.sampled_from(["publish", "publish", *STEPS]), max_size=60), st.booleans())
@example(steps=["publish", "lose", "client_processes", "client_receives", "lose"], keeps_unprocessed=True)
def test_of_messages_that_are_alike_none_is_taken_for_one_that_the_broker_has_the_acknowledgement_of(
    steps, keeps_unprocessed
):
    """What came before a ping was answered: so its identifier can be in use for another message by now."""
    broker, published = Broker(keeps_unprocessed=keeps_unprocessed), 0
    for step in steps:
        if step == "publish":
            published += 1
            broker.publish(b"on")
        elif step == "lose":
            broker.ping()
            published += 1
            broker.publish(b"on")  # it does not arrive
            broker.lose()
        else:
            getattr(broker, step)()
    broker.settle()
    assert len(broker.taken) == published
