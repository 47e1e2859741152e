"""Takes in what comes on down/command and down/desired: nothing counts whose signature doesn't hold for this topic.

arrival ──▶ signed by the cloud, for us? ──▶ readable? ──▶ command: judged and remembered (committed)
                │ no                            │ no       desired: newer than what is kept? kept (committed)
                └──▶ an alarm, nothing else ◀───┘
"""

from collections.abc import Callable, Collection

import structlog
from pydantic import ValidationError

from edge_agent.arrival import Arrival
from edge_agent.errors import UntrustedOrder
from edge_agent.orders.book import OrderBook, Store
from edge_agent.orders.judging import Verdict
from edge_agent.orders.memory import Order, State
from edge_agent.orders.order_alarms import OrderAlarms
from edge_agent.orders.trust import OrderTrust
from edge_agent.orders.wishes import (
    Newness,
    Reading,
    UnreadableDesired,
    Wishes,
    keep_newer,
    kept_wishes,
    read_desired,
)
from edge_agent.spool_pages import to_ms
from wastelock.orders import Command
from wastelock.topics import GatewayTopics

_log = structlog.get_logger(__name__)

COMMAND_BYTES_MAX = 16 * 1024
DESIRED_BYTES_MAX = 8 * 1024 * 1024  # 32 locks with the longest lists take some 5 MiB
_CORRELATION_BYTES_MAX = 256
_NAMED_MOST = 5


class OrderIntake:
    """Used by one thread. `wishes` is what the cloud wants now; `on_wishes` is told when it changes."""

    def __init__(
        self,
        topics: GatewayTopics,
        locks: Collection[str],
        trust: OrderTrust,
        store: Store,
        book: OrderBook,
        alarms: OrderAlarms,
        clock_is_set: Callable[[], bool],
    ) -> None:
        self.wishes = Wishes()
        self._topics = topics
        self._locks = frozenset(locks)
        self._trust = trust
        self._store = store
        self._book = book
        self._alarms = alarms
        self._clock_is_set = clock_is_set

    def load(self) -> None:
        """Take up what was desired last."""
        payload = self._store.transact(lambda connection: kept_wishes(connection, self._topics.desired))
        if payload is None:
            return
        try:
            self._follow(read_desired(payload, self._locks))
        except UnreadableDesired:
            self._misread(self._topics.desired)

    def take(self, arrival: Arrival) -> bool:
        """Take in one message; True if something changed. Raises SpoolUnavailable or SpoolFull: it comes again."""
        if not arrival.payload and arrival.topic == self._topics.desired:
            return False  # how a retained message is taken back: what is desired stays as it is
        try:
            self._trust.check(arrival)
        except UntrustedOrder as error:
            self._alarms.happened(error.alarm, str(error))
            return False
        finally:
            self._alarms.lasts("order keys", self._trust.trouble)
        try:
            if arrival.topic == self._topics.command:
                return self._take_command(arrival)
            return self._take_desired(arrival)
        except (ValidationError, UnreadableDesired):
            self._misread(arrival.topic)
            return False

    def _take_command(self, arrival: Arrival) -> bool:
        if len(arrival.payload) > COMMAND_BYTES_MAX:
            self._too_large(arrival, COMMAND_BYTES_MAX)
            return False
        order = _order(Command.model_validate_json(arrival.payload), arrival.correlation)
        judgement = self._book.take_in(order, arrival.dup, self._clock_is_set(), self._locks)
        _log.info(
            "order came", order=order.id, lock=order.lock, action=order.action, attempt=order.attempt,
            verdict=judgement.verdict.name.lower(), why=judgement.why or None,
        )  # fmt: skip
        if judgement.alarm is not None:
            self._alarms.happened(
                judgement.alarm, f"{order.action} for lock {order.lock}, order {order.id}: {judgement.why}"
            )
        return judgement.verdict not in (Verdict.IGNORE, Verdict.REPLAYED, Verdict.NO_ROOM)

    def _take_desired(self, arrival: Arrival) -> bool:
        if len(arrival.payload) > DESIRED_BYTES_MAX:
            self._too_large(arrival, DESIRED_BYTES_MAX)
            return False
        topic, payload = arrival.topic, arrival.payload
        reading = read_desired(payload, self._locks)
        revision = reading.wishes.revision
        assert revision is not None
        newness = self._store.transact(lambda connection: keep_newer(connection, topic, revision, payload))
        if newness in (Newness.OLDER, Newness.CONTRADICTING):
            known = f"revision {self.wishes.revision} is in force"
            what = "came again" if newness is Newness.OLDER else "came with another content"
            self._alarms.happened(
                "order replayed", f"revision {revision} of the desired state {what}, but {known}"
            )
            return False
        if newness is Newness.SAME:
            return False  # it is retained: each session begins with it
        self._follow(reading)
        return True

    def _follow(self, reading: Reading) -> None:
        self.wishes = reading.wishes
        _log.info("desired state", revision=self.wishes.revision, locks=len(self.wishes.locks))
        named = ", ".join(reading.unknown[:_NAMED_MOST])
        self._alarms.lasts(
            "desired unknown locks",
            f"the desired state names locks that aren't at this gateway by its configuration: {named}; add them here, "
            "or describe them where they are"
            if named
            else None,
        )

    def _misread(self, topic: str) -> None:
        # Nothing of what stands in it: in a desired state that may be a transponder's number.
        self._alarms.happened(
            "order not understood", f"an order on {topic} can't be read: install the newer agent"
        )

    def _too_large(self, arrival: Arrival, limit: int) -> None:
        self._alarms.happened(
            "order not understood",
            f"an order on {arrival.topic} has {len(arrival.payload)} bytes: at most {limit} are read",
        )


def _order(command: Command, correlation: bytes | None) -> Order:
    return Order(
        id=command.id,
        lock=command.lock,
        action=command.action,
        enable_mask=command.enable_mask,
        issued_at_ms=to_ms(command.issued_at),
        expires_at_ms=to_ms(command.expires_at),
        attempt=command.attempt,
        correlation=correlation
        if correlation is None or len(correlation) <= _CORRELATION_BYTES_MAX
        else None,
        state=State.ACCEPTED,
    )
