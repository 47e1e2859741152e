"""Whether a command whose signature holds is carried out. Pure: a table of questions, asked in this order.

seen before?   a later attempt is answered again; the same one, not marked as a repetition, is a replay
judgeable?     without a trusted clock nobody can say whether it has expired
new?           issued while this spool already remembered commands, and not among what it has forgotten
in its time?   not expired, not from the future, not longer valid than a day
for here?      its lock is one of this gateway's
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum, auto

from edge_agent.orders.memory import Horizon, Order

LONGEST_LIFE_MS = 24 * 3_600_000 + 300_000
FUTURE_MS = 3_600_000  # so far two clocks that both are right by their own account may differ


class Verdict(Enum):
    """What to do about it."""

    ACCEPT = auto()
    ANSWER_AGAIN = auto()
    IGNORE = auto()  # the broker repeats itself
    REPLAYED = auto()
    REJECT = auto()
    EXPIRED = auto()
    NO_ROOM = auto()  # not answered: it comes again


@dataclass(frozen=True, slots=True)
class Judgement:
    """`why`: told to the cloud where the verdict is, and in the alarm. `alarm`: its name, None where none is due."""

    verdict: Verdict
    why: str = ""
    alarm: str | None = None


def judge(
    order: Order, dup: bool, known: Order | None, reach: Horizon, now_ms: int | None, locks: Collection[str]
) -> Judgement:
    """Return what becomes of a command. `now_ms`: None where the gateway's clock can't be trusted."""
    if known is not None:
        return _judge_known(order, dup, known)
    if reach.is_full:
        return Judgement(
            Verdict.NO_ROOM,
            "so many commands are under way that no further one can be remembered",
            "orders too many",
        )
    if now_ms is None:
        return Judgement(
            Verdict.REJECT,
            "this gateway's clock isn't set, so nobody can say whether the command has expired",
        )
    if order.expires_at_ms <= now_ms:
        late_s = (now_ms - order.expires_at_ms) // 1000
        return Judgement(Verdict.EXPIRED, f"it came {late_s} s after it had expired", "order expired")
    objection = _object(order, reach, now_ms, locks)
    return Judgement(Verdict.REJECT, objection, "order rejected") if objection else Judgement(Verdict.ACCEPT)


def _judge_known(order: Order, dup: bool, known: Order) -> Judgement:
    if not known.means_the_same(order):
        return Judgement(
            Verdict.REPLAYED, "another command has the id of one that was here before", "order replayed"
        )
    if order.attempt > known.attempt:
        return Judgement(Verdict.ANSWER_AGAIN)
    if dup:
        return Judgement(Verdict.IGNORE)
    return Judgement(
        Verdict.REPLAYED,
        f"attempt {order.attempt} of a command came again, which the cloud doesn't do: somebody replays it",
        "order replayed",
    )


def _object(order: Order, reach: Horizon, now_ms: int, locks: Collection[str]) -> str | None:
    """Return what speaks against carrying out a command that is in its time, None if nothing does."""
    if reach.since_ms is None or order.issued_at_ms < reach.since_ms:
        return (
            "it was issued before this gateway's memory of commands began (a new or damaged card): whether it was "
            "carried out isn't known; send a new one"
        )
    if order.expires_at_ms <= reach.forgotten_until_ms:
        return "this gateway's clock was ahead once, and commands of this time were forgotten then: send a new one"
    if order.expires_at_ms - order.issued_at_ms > LONGEST_LIFE_MS:
        return "it would be valid for longer than a day"
    if order.issued_at_ms - now_ms > FUTURE_MS:
        return "it was issued in the future: compare the cloud's clock and the gateway's"
    if order.lock not in locks:
        return f"lock {order.lock} isn't at this gateway by its configuration"
    return None
