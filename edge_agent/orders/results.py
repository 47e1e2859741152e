"""Tells the cloud what became of orders: each outcome is kept until the broker has taken it, and sent till then."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from edge_agent.errors import BrokerUnavailable
from edge_agent.orders.book import OrderBook
from edge_agent.orders.memory import Untold
from edge_agent.orders.order_alarms import OrderAlarms
from edge_agent.spool_pages import Sealer
from edge_agent.uplink import NO_MATCHING_SUBSCRIBERS, Acknowledgement

IN_HAND_MAX = 4
_AGAIN_S = 10.0
_SILENCE_S = 60.0  # paho repeats what is in its hands after a reconnect; this is for what it forgot
_ALARM = "results not taken"


class Line(Protocol):
    """What of the uplink is needed here."""

    @property
    def is_connected(self) -> bool: ...

    def publish_result(self, payload: bytes, kid: str, signature: str, correlation: bytes | None) -> int: ...

    def take_acknowledgements_for_results(self) -> list[Acknowledgement]: ...


@dataclass(slots=True)
class _InHand:
    outcome: int
    at_s: float


class ResultSender:
    """Used by one thread. Signed when they are sent, so by the key that is in force then."""

    def __init__(
        self, book: OrderBook, line: Line, sealer: Sealer, alarms: OrderAlarms, clock: Callable[[], float]
    ) -> None:
        self._book = book
        self._line = line
        self._sealer = sealer
        self._alarms = alarms
        self._clock = clock
        self._in_hand: dict[int, _InHand] = {}  # by message id
        self._not_before: dict[int, float] = {}
        self._may_have_more = True

    def look_again(self) -> None:
        """There is a new outcome."""
        self._may_have_more = True

    def step(self) -> None:
        """Take in what the broker took, send what it hasn't."""
        self._take_acknowledgements()
        if not self._line.is_connected or not (self._may_have_more or self._not_before):
            return
        now_s = self._clock()
        self._in_hand = {mid: h for mid, h in self._in_hand.items() if now_s - h.at_s < _SILENCE_S}
        under_way = {held.outcome for held in self._in_hand.values()}
        untold = self._book.untold(IN_HAND_MAX)
        self._may_have_more = bool(untold)
        self._not_before = {outcome: at for outcome, at in self._not_before.items() if at > now_s}
        for outcome in untold:
            if outcome.id in under_way or outcome.id in self._not_before:
                continue
            if not self._send(outcome, now_s):
                return

    def _send(self, outcome: Untold, now_s: float) -> bool:
        key, topic = self._sealer.key, self._sealer.topics.result
        try:
            mid = self._line.publish_result(
                outcome.payload, key.kid, key.sign(topic, outcome.payload), outcome.correlation
            )
        except BrokerUnavailable:
            return False
        self._in_hand[mid] = _InHand(outcome.id, now_s)
        return True

    def _take_acknowledgements(self) -> None:
        told = []
        for ack in self._line.take_acknowledgements_for_results():
            held = self._in_hand.pop(ack.mid, None)
            if held is None:
                continue
            if ack.code >= 0x80 or ack.code == NO_MATCHING_SUBSCRIBERS:
                self._not_before[held.outcome] = self._clock() + _AGAIN_S
                self._report(ack)
            else:
                told.append(held.outcome)
                self._not_before.pop(held.outcome, None)
        if told:
            self._book.note_told(told)
            self._alarms.lasts(_ALARM, None)
            self._may_have_more = True

    def _report(self, ack: Acknowledgement) -> None:
        why = f"the broker refuses them ({ack.name})"
        if ack.code == NO_MATCHING_SUBSCRIBERS:
            why = "nobody is subscribed to them (does a sink with [orders] run?)"
        self._alarms.lasts(_ALARM, f"results of orders are kept and sent again: {why}")
