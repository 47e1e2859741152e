"""What came over the broker and waits for the desk: little of it, and the newest desired state is never dropped."""

import pytest

from edge_agent.arrival import Arrival
from edge_agent.orders.inbox import OrderInbox
from tests.unit.edge_agent.gateway import TOPICS


def all_in(inbox: OrderInbox) -> list[bytes]:
    found = []
    while (arrival := inbox.next()) is not None:
        found.append(arrival.payload)
    return found


def test_desired_states_go_before_commands_and_both_in_the_order_in_which_they_came() -> None:
    inbox = OrderInbox(TOPICS)
    for topic, payload in ((TOPICS.command, b"c1"), (TOPICS.desired, b"d1"), (TOPICS.command, b"c2")):
        inbox.listeners[topic](Arrival(topic, payload))
    assert inbox.wake.is_set() and all_in(inbox) == [b"d1", b"c1", b"c2"]


@pytest.mark.parametrize(
    ("topic", "room", "left"),
    [
        (TOPICS.desired, 4, [b"1", b"2", b"3", b"4"]),
        (TOPICS.command, 256, [b"%d" % n for n in range(1, 257)]),
    ],
)
def test_what_is_put_back_gives_way_to_what_came_meanwhile(topic: str, room: int, left: list[bytes]) -> None:
    inbox = OrderInbox(TOPICS)
    inbox.listeners[topic](Arrival(topic, b"0"))
    taken = inbox.next()
    assert taken is not None
    for number in range(1, room + 1):
        inbox.listeners[topic](Arrival(topic, b"%d" % number))
    inbox.put_back(taken)
    assert all_in(inbox) == left


def test_what_is_put_back_is_the_next_again() -> None:
    inbox = OrderInbox(TOPICS)
    for payload in (b"1", b"2"):
        inbox.listeners[TOPICS.command](Arrival(TOPICS.command, payload))
    taken = inbox.next()
    assert taken is not None
    inbox.put_back(taken)
    assert all_in(inbox) == [b"1", b"2"]
