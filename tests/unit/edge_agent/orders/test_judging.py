"""What becomes of a command whose signature holds: the table, row by row, and what holds of all commands."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.orders.judging import FUTURE_MS, LONGEST_LIFE_MS, Judgement, Verdict, judge
from edge_agent.orders.memory import TRANSITIONS, Horizon, Order, State

NOW = 1_795_338_000_000
ORDER = Order("order-1", "1f00a1", "self_test", None, NOW - 1000, NOW + 60_000, 2, b"corr", State.ACCEPTED)
REACH = Horizon(since_ms=NOW - 10_000, forgotten_until_ms=0, is_full=False)
HERE = ("1f00a1",)


def judged(
    order: Order = ORDER, known: Order | None = None, dup: bool = False, reach: Horizon = REACH
) -> Judgement:
    return judge(order, dup, known, reach, NOW, HERE)


ROWS = {
    "a new one": (judged(), Verdict.ACCEPT, None),
    "of another lock": (judged(replace(ORDER, lock="1f00a2")), Verdict.REJECT, "order rejected"),
    "expired": (judged(replace(ORDER, expires_at_ms=NOW)), Verdict.EXPIRED, "order expired"),
    "expired, of another lock": (
        judged(replace(ORDER, expires_at_ms=NOW, lock="1f00a2")), Verdict.EXPIRED, "order expired",
    ),
    "issued before this memory": (
        judged(replace(ORDER, issued_at_ms=NOW - 10_001)), Verdict.REJECT, "order rejected",
    ),
    "no memory yet": (judged(reach=Horizon(None, 0, False)), Verdict.REJECT, "order rejected"),
    "among what was forgotten": (
        judged(reach=replace(REACH, forgotten_until_ms=NOW + 60_000)), Verdict.REJECT, "order rejected",
    ),
    "just after what was forgotten": (
        judged(reach=replace(REACH, forgotten_until_ms=NOW + 59_999)), Verdict.ACCEPT, None,
    ),
    "valid for too long": (
        judged(replace(ORDER, expires_at_ms=ORDER.issued_at_ms + LONGEST_LIFE_MS + 1)),
        Verdict.REJECT, "order rejected",
    ),
    "from the future": (
        judged(replace(ORDER, issued_at_ms=NOW + FUTURE_MS + 1, expires_at_ms=NOW + FUTURE_MS + 60_000)),
        Verdict.REJECT, "order rejected",
    ),
    "no room": (judged(reach=replace(REACH, is_full=True)), Verdict.NO_ROOM, "orders too many"),
    "known, no room": (
        judged(known=replace(ORDER, attempt=1), reach=replace(REACH, is_full=True)), Verdict.ANSWER_AGAIN, None,
    ),
    "a later attempt": (judged(known=replace(ORDER, attempt=1)), Verdict.ANSWER_AGAIN, None),
    "a later attempt after its end": (
        judged(
            replace(ORDER, expires_at_ms=NOW - 1),
            known=replace(ORDER, expires_at_ms=NOW - 1, attempt=1, state=State.DONE),
        ),
        Verdict.ANSWER_AGAIN, None,
    ),
    "the same attempt": (judged(known=ORDER), Verdict.REPLAYED, "order replayed"),
    "the same attempt, marked as repeated": (judged(known=ORDER, dup=True), Verdict.IGNORE, None),
    "an earlier attempt": (judged(known=replace(ORDER, attempt=3)), Verdict.REPLAYED, "order replayed"),
    "another of the same name": (
        judged(known=replace(ORDER, action="reboot", attempt=1)), Verdict.REPLAYED, "order replayed",
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS)
def test_each_kind_of_command_has_its_verdict_and_its_alarm(row: str) -> None:
    judgement, verdict, alarm = ROWS[row]
    assert (judgement.verdict, judgement.alarm) == (verdict, alarm)
    assert bool(judgement.why) == (verdict not in (Verdict.ACCEPT, Verdict.ANSWER_AGAIN, Verdict.IGNORE))


def test_without_a_trusted_clock_nothing_new_is_carried_out_and_the_reason_is_told() -> None:
    judgement = judge(ORDER, False, None, REACH, None, HERE)
    assert judgement.verdict is Verdict.REJECT and "clock isn't set" in judgement.why
    assert judge(ORDER, False, replace(ORDER, attempt=1), REACH, None, HERE).verdict is Verdict.ANSWER_AGAIN


INSTANTS = st.integers(NOW - 200_000_000, NOW + 200_000_000)


@given(
    issued=INSTANTS, life=st.integers(1, 200_000_000), attempt=st.integers(1, 3),
    known_attempt=st.none() | st.integers(1, 3), since=st.none() | INSTANTS, forgotten=INSTANTS,
    now=st.none() | INSTANTS, dup=st.booleans(), lock=st.sampled_from(["1f00a1", "1f00a2"]),
)  # fmt: skip
def test_nothing_is_accepted_but_what_is_new_in_its_time_for_here_and_surely_never_seen(
    issued: int, life: int, attempt: int, known_attempt: int | None, since: int | None, forgotten: int,
    now: int | None, dup: bool, lock: str,
) -> None:  # fmt: skip
    order = Order("x", lock, "reboot", None, issued, issued + life, attempt, None, State.ACCEPTED)
    known = None if known_attempt is None else replace(order, attempt=known_attempt, state=State.DONE)
    judgement = judge(order, dup, known, Horizon(since, forgotten, False), now, HERE)
    if judgement.verdict is not Verdict.ACCEPT:
        return
    assert known is None and now is not None and since is not None and lock in HERE
    assert issued >= since and order.expires_at_ms > max(now, forgotten)
    assert life <= LONGEST_LIFE_MS and issued <= now + FUTURE_MS


def test_final_states_have_no_way_out_and_every_other_leads_to_each_of_them() -> None:
    final = {state for state in State if not TRANSITIONS[state]}
    assert final == {State.DONE, State.REJECTED, State.EXPIRED, State.FAILED}
    for state, end in product(set(State) - final, final):
        assert end in TRANSITIONS[state]
