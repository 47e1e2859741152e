"""From inputs to a revision document: the worked case, its correction, the cap, and that bytes are canonical."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from billing_aggregator.model import CAP_ROW, Decision, MissingRecords, Review, ReviewKind
from billing_aggregator.runs.calculation import Inputs, calculate
from billing_aggregator.runs.capping import LIFT, Sent, cap_review
from billing_aggregator.runs.document import (
    DocumentUnreadable,
    RevisionDocument,
    balances_of,
    decode,
    digest,
    encode,
    open_reviews,
    pools_of,
)
from billing_aggregator.runs.preview import Cause, Move, describe_differences, list_moves
from tests.unit.billing_aggregator.run_inputs import (
    ADVANCES,
    LATE,
    corrected_inputs,
    received,
    usage_of,
    worked_inputs,
)


def charged(document: RevisionDocument) -> dict[str, int]:
    return {row: balance.charged_cents for row, balance in balances_of(document).items()}


def with_advances(inputs: Inputs, cents: dict[str, int]) -> Inputs:
    payments = tuple(
        replace(inputs.master.payments[0], row=row, amount_cents=each) for row, each in cents.items()
    )
    return replace(inputs, master=replace(inputs.master, payments=payments))


def test_worked_case_comes_out_to_the_cent_with_balances() -> None:
    document = calculate(worked_inputs())
    assert charged(document) == {
        "WE1/T1": 29476,
        "WE2/T2": 4355,
        "WE2/T3": 13603,
        "WE3/T4": 44389,
        "WE4/T5": 5066,
        "WE4/owner": 3112,
    }
    assert sum(charged(document).values()) == document.total_cents == 100_001
    balances = balances_of(document)
    assert (balances["WE1/T1"].advances_cents, balances["WE1/T1"].balance_cents) == (30_000, -524)
    assert balances["WE4/T5"].balance_cents == 5066 - ADVANCES["WE4/T5"]
    assert document.caps == ()


def test_same_inputs_in_another_order_give_the_same_bytes_and_these_read_back() -> None:
    inputs = worked_inputs()
    master = inputs.master
    turned = replace(
        inputs,
        usage=replace(inputs.usage, rows=inputs.usage.rows),
        master=replace(master, stretches=master.stretches[::-1]),
    )
    content = encode(calculate(inputs))
    assert encode(calculate(turned)) == content
    assert decode(content) == calculate(inputs)
    assert encode(decode(content)) == content
    assert b" " not in content.replace(b"lost transponder", b"")
    assert b'"exact":"' in content
    with pytest.raises(DocumentUnreadable, match="isn't a revision document"):
        decode(b'{"format":1}')


def test_correction_moves_only_those_concerned_and_says_why() -> None:
    """Sticky rounding: T3 -12.40, T4 +12.40, everybody else 0, the uninvolved T1 too."""
    first = calculate(worked_inputs())
    second = calculate(corrected_inputs(first))
    moves = list_moves(first, second)
    assert [(move.row, move.moved, move.causes) for move in moves] == [
        ("WE2/T3", -1240, (Cause.OWN_VOLUME,)),
        ("WE3/T4", 1240, (Cause.OWN_VOLUME,)),
    ]
    assert second.previous_sha256 == digest(encode(first))


def test_a_corrected_cost_moves_everybody_by_cost() -> None:
    first = calculate(worked_inputs())
    inputs = corrected_inputs(first)
    costs = (replace(inputs.master.costs[0], gross_cents=90_000),)
    cheaper = replace(worked_inputs(), before=inputs.before, revision=2)
    second = calculate(replace(cheaper, master=replace(cheaper.master, costs=costs)))
    moves = {move.row: move for move in list_moves(first, second)}
    assert set(moves) == set(balances_of(first))
    assert all(move.causes == (Cause.COST,) and move.moved < 0 for move in moves.values())


def test_claims_of_a_late_revision_are_capped_at_what_came_in_time() -> None:
    """§ 556 (3) sentence 3 BGB; VIII ZR 190/06: the result counts. T3 123.63, T4 stays, the owner bears 12.40."""
    first = calculate(with_advances(worked_inputs(), {"WE1/T1": 0}))
    late = with_advances(corrected_inputs(first, LATE, received(first, date(2026, 3, 31))), {"WE1/T1": 0})
    document = calculate(late)
    assert charged(document)["WE2/T3"] == 12_363
    assert charged(document)["WE3/T4"] == 44_389
    assert charged(document)[CAP_ROW] == 1_240
    assert sum(charged(document).values()) == 100_001
    by_pool = {name: [each for each in document.charged if each.pool == name] for name in pools_of(document)}
    assert {name: sum(each.charged_cents for each in shares) for name, shares in by_pool.items()} == {
        "residual/base": 30_000,
        "residual/usage": 70_001,
    }
    assert list_moves(first, document)[1:] == (
        Move("WE3/T4", 44_389, 44_389, 44_389, 44_389, (Cause.CAP, Cause.OWN_VOLUME)),
        Move(CAP_ROW, 0, 1240, 0, 1240, (Cause.CAP,)),
    )


def test_without_an_entry_of_receipt_nothing_is_claimed_after_the_12_months() -> None:
    """§ 556 (3) sentence 3 BGB: who claims has to prove that the statement came in time; a credit stays."""
    first = calculate(worked_inputs())
    document = calculate(corrected_inputs(first, LATE))
    balances = balances_of(document)
    assert {row for row, balance in balances.items() if balance.balance_cents > 0} == {CAP_ROW, "WE4/owner"}
    assert balances["WE1/T1"].balance_cents == -524


def test_a_lifted_cap_claims_all_in_this_revision_and_is_the_next_ones_bound() -> None:
    first = calculate(worked_inputs())
    receipts = received(first, date(2026, 3, 31))
    lift = Decision(
        cap_review(first.period.first, 2, "WE3/T4"),
        LIFT,
        "his own delay",
        "b.weber",
        datetime(2027, 1, 3, tzinfo=UTC),
    )
    second = calculate(replace(corrected_inputs(first, LATE, receipts), decisions=(lift,)))
    assert balances_of(second)["WE3/T4"].balance_cents == 44_389 + 1_240
    assert [cap.lifted_because for cap in second.caps if cap.row == "WE3/T4"] == ["his own delay"]
    # A third revision with still more for T4: bound by the second one's result, the lift doesn't go on.
    third_inputs = replace(
        corrected_inputs(second, LATE, receipts),
        before=Sent((first, second), frozenset({1, 2}), receipts),
        decisions=(lift,),
    )
    more = {
        row.row: row.metered_ml + (100_000 if row.row == "WE3/T4" else 0) for row in third_inputs.usage.rows
    }
    third = calculate(replace(third_inputs, usage=usage_of(more)))
    assert balances_of(third)["WE3/T4"].balance_cents == 45_629
    assert third.decisions == ()


def test_a_receipt_entered_as_late_caps_the_claim_and_is_a_review_of_the_next_revision() -> None:
    """§ 556 (3) BGB: planned in time, but it came too late."""
    first = calculate(worked_inputs())
    document = calculate(corrected_inputs(first, LATE, received(first, date(2027, 1, 1))))
    assert balances_of(document)["WE3/T4"].balance_cents == 0
    assert {review.kind for review in open_reviews(document)} == {ReviewKind.LATE_DELIVERY}


def test_a_review_is_open_until_it_or_its_group_is_decided_by_one_of_its_choices() -> None:
    review = Review("r1", ReviewKind.BYPASS, "flap open", "none", ("none", "billed"), group="g")
    inputs = replace(worked_inputs(), usage=replace(usage_of(), reviews=(review,)))

    def decided(name: str, choice: str) -> RevisionDocument:
        decision = Decision(name, choice, "looked", "a.berg", datetime(2026, 2, 1, tzinfo=UTC))
        return calculate(replace(inputs, decisions=(decision,)))

    assert open_reviews(calculate(inputs)) == (review,)
    assert open_reviews(decided("r1", "gone since")) == (review,)
    assert open_reviews(decided("r1", "none")) == ()
    assert open_reviews(decided("g", "billed")) == ()
    assert decided("another period's", "none").decisions == ()


def test_differences_name_the_place_and_both_values() -> None:
    first = calculate(worked_inputs())
    missing = (MissingRecords("1f00a3", 7, 3, 4, True, "overwritten"),)
    other = replace(first, total_cents=1, usage=replace(first.usage, missing=missing))
    assert describe_differences(first, other) == ["total_cents: 100001 -> 1", "usage.missing: 0 -> 1 entries"]
    assert describe_differences(first, first) == []
