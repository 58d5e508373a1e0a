"""Outbox, delivery and link as one machine at random, and what a node that ends connections over a message costs."""

import asyncio

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from device_bridge import OutboxSettings
from device_bridge.outbox.delivery import NOT_SENDABLE, REFUSED, Delivery
from device_bridge.outbox.durable import Outbox

from .outbox_machine import AlwaysMachine, Machine, Node


@pytest.mark.campaign
@pytest.mark.parametrize("machine", [Machine, AlwaysMachine])
def test_outbox_delivery_and_link_keep_their_promise_through_everything(machine):
    most = settings().max_examples
    run_state_machine_as_test(machine, settings=settings(max_examples=most // 5, stateful_step_count=30))


@pytest.mark.clock("movable")
@pytest.mark.parametrize("poison", [{3}, {1, 2}, {3, 4, 5}, {2, 4}])
async def test_messages_over_which_the_node_ends_every_connection_are_given_up_at_last(poison):
    box, node = Outbox(OutboxSettings(durability="memory")), Node()
    await box.open()
    node.poison = poison
    for number in range(1, 7):
        box.put(b"%d " % number, 1)
    sending = asyncio.ensure_future(Delivery(box, node, lambda entry: entry.body).run())
    for second in range(400):
        await asyncio.sleep(1)
        if not node.connected and second % 5 == 0:
            node.up.set()
            await asyncio.sleep(0)
        node.answer(10)
    assert node.received == [number for number in range(1, 7) if number not in poison]
    assert box.dropped == {REFUSED: len(poison)}
    assert box.is_empty
    sending.cancel()


@pytest.mark.clock("movable")
async def test_a_node_that_ends_every_connection_costs_no_message():
    box, node = Outbox(OutboxSettings(durability="memory")), Node()
    await box.open()
    for number in range(1, 7):
        box.put(b"%d " % number, 1)
    node.poison = set(range(1, 7))
    sending = asyncio.ensure_future(Delivery(box, node, lambda entry: entry.body).run())
    for second in range(600):
        await asyncio.sleep(1)
        node.up.set()
        await asyncio.sleep(0)
        if second == 500:
            node.poison = set()
        node.answer(10)
    assert node.received == [1, 2, 3, 4, 5, 6]
    assert not box.dropped
    sending.cancel()


@pytest.mark.clock("movable")
async def test_what_a_link_refuses_or_cannot_read_is_counted_and_holds_nothing_up():
    box, node = Outbox(OutboxSettings(durability="memory")), Node()
    await box.open()
    node.refuses = {2}

    def body(entry):
        if entry.number == 4:
            raise ValueError("not a message")
        return entry.body

    for number in range(1, 7):
        box.put(b"%d " % number, 1)
    sending = asyncio.ensure_future(Delivery(box, node, body).run())
    await asyncio.sleep(0.1)
    node.answer(10)
    await asyncio.sleep(0.1)
    assert node.received == [1, 3, 5, 6]
    assert box.dropped == {NOT_SENDABLE: 2}
    sending.cancel()


@pytest.mark.clock("movable")
@pytest.mark.parametrize(("most", "kept"), [(10, [1, 2, 3, 4, 5, 21, 22, 23, 24, 25]), (2, [1, 25]), (1, [1])])
async def test_a_small_outbox_drops_the_oldest_that_is_not_in_flight_while_the_node_answers_nothing(most, kept):
    box, node = Outbox(OutboxSettings(durability="memory", max_messages=most, on_full="drop_oldest")), Node()
    await box.open()
    sending = asyncio.ensure_future(Delivery(box, node, lambda entry: entry.body).run())
    for number in range(1, 26):
        box.put(b"%d " % number, 1)
        await asyncio.sleep(1)
    assert box.dropped == {"outbox full": 25 - most}
    while not box.is_empty:
        node.answer(10)
        await asyncio.sleep(1)
    assert node.received == kept
    sending.cancel()


@pytest.mark.clock("movable")
async def test_an_outcome_that_cannot_be_dealt_with_ends_the_delivery_and_not_in_silence(monkeypatch):
    box, node = Outbox(OutboxSettings(durability="memory")), Node()
    await box.open()
    sending = asyncio.ensure_future(Delivery(box, node, lambda entry: entry.body).run())
    box.put(b"1 ", 1)
    await asyncio.sleep(1)
    monkeypatch.setattr(box, "acknowledge", lambda: box.nobody_thought_of_it)
    node.answer(1)
    with pytest.raises(AttributeError, match="nobody_thought_of_it"):
        await sending
