"""What stands in a run's way, in words that say what to do; why rows move, in each case."""

from dataclasses import replace
from datetime import date
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from billing_aggregator.model import BaseKey, RegisterRun, Review, ReviewKind
from billing_aggregator.runs.calculation import calculate
from billing_aggregator.runs.document import RevisionDocument, balances_of, decode, encode
from billing_aggregator.runs.gates import find_obstacles
from billing_aggregator.runs.preview import Cause, list_moves
from tests.unit.billing_aggregator.run_inputs import (
    IN_TIME,
    LATE,
    corrected_inputs,
    received,
    usage_of,
    worked_inputs,
)
from tests.unit.billing_aggregator.worked_case import METERED

TODAY = date(2026, 3, 1)
ROWS = sorted(METERED)


def with_usage(**changes: Any) -> RevisionDocument:
    return calculate(replace(worked_inputs(), usage=replace(usage_of(), **changes)))


def test_nothing_stands_in_the_way_of_the_worked_case() -> None:
    assert find_obstacles(calculate(worked_inputs()), TODAY) == ()


def test_a_period_that_is_not_over_and_pours_on_their_way_are_waited_for() -> None:
    early, buffered = find_obstacles(with_usage(buffered_pours=3), date(2025, 12, 31))
    assert "the period isn't over: it ends before 2026-01-01" in early
    assert "3 pours or records are still on their way" in buffered and "cloud-sink gaps" in buffered


def test_an_unexplained_register_blocks_even_if_no_review_asks_about_it() -> None:
    register = RegisterRun("1f00a3", 2, 7, 1, 90, 0, 90, 88, 0, 0, 2)
    (text,) = find_obstacles(with_usage(registers=(register,)), TODAY)
    assert text.startswith("lock 1f00a3 chamber 2: 2 pours") and "reconcile A/2025-01-01" in text
    review = Review("r", ReviewKind.REGISTER_UNEXPLAINED, "2 pours", "accept", ("accept",), None, "1f00a3", 2)
    (asked,) = find_obstacles(with_usage(registers=(register,), reviews=(review,)), TODAY)
    assert "run decide A/2025-01-01 r accept" in asked


def test_thousands_of_reviews_are_told_in_a_bounded_message() -> None:
    reviews = tuple(
        Review(f"r{number:04}", ReviewKind.BYPASS, "flap open", "none", ("none",)) for number in range(3000)
    )
    found = find_obstacles(with_usage(reviews=reviews), TODAY)
    assert len(found) == 21
    assert found[-1].startswith("and 2980 more reviews")


def test_each_reason_for_a_move_is_named() -> None:
    first = calculate(worked_inputs())
    again = corrected_inputs(first)
    same_usage = replace(again, usage=usage_of())

    def causes(**changes: Any) -> dict[str, tuple[Cause, ...]]:
        master = replace(same_usage.master, **changes)
        document = calculate(replace(same_usage, master=master))
        return {move.row: move.causes for move in list_moves(first, document)}

    agreement = same_usage.master.agreement
    assert set(causes(agreement=replace(agreement, base_share=50, usage_share=50)).values()) == {
        (Cause.AGREEMENT,)
    }
    assert causes(payments=())["WE1/T1"] == (Cause.ADVANCES,)
    larger = tuple(
        replace(row, area_dm2_days=row.area_dm2_days + 100_000) if row.row == "WE1/T1" else row
        for row in same_usage.master.basis
    )
    found = causes(basis=larger)
    assert (found["WE1/T1"], found["WE3/T4"]) == ((Cause.OWN_DAYS,), (Cause.OTHERS,))
    assert causes(agreement=replace(agreement, base_key=BaseKey.PERSONS))["WE3/T4"] == (Cause.AGREEMENT,)


def test_a_cent_that_moves_by_rounding_alone_is_named_so() -> None:
    first = calculate(worked_inputs())
    part = first.fractions[0]
    shares = (replace(part.base.shares[0], allocated_cents=8001), *part.base.shares[1:])
    moved = replace(part, base=replace(part.base, shares=shares))
    balances = (replace(first.balances[0], balance_cents=-523), *first.balances[1:])
    (move,) = list_moves(first, replace(first, fractions=(moved,), balances=balances))
    assert (move.row, move.moved, move.causes) == ("WE1/T1", 1, (Cause.ROUNDING,))


volumes = st.fixed_dictionaries({row: st.integers(0, 5_000_000) for row in ROWS})


@given(first=volumes, second=volumes, late=st.booleans(), in_time=st.booleans())
def test_whatever_was_thrown_charges_make_up_the_total_and_documents_read_back(
    first: dict[str, int], second: dict[str, int], late: bool, in_time: bool
) -> None:
    """Also after a correction that comes too late, whoever got the first revision when (§ 556 (3) BGB)."""
    one = calculate(worked_inputs(first))
    receipts = received(one, IN_TIME) if in_time else ()
    inputs = replace(corrected_inputs(one, LATE if late else IN_TIME, receipts), usage=usage_of(second))
    two = calculate(inputs)
    for document in (one, two):
        assert sum(balance.charged_cents for balance in document.balances) == 100_001
        assert sum(share.charged_cents for share in document.charged) == 100_001
        assert decode(encode(document)) == document
        charged = dict.fromkeys(balances_of(document), 0)
        for share in document.charged:
            charged[share.row] += share.charged_cents
        assert charged == {row: each.charged_cents for row, each in balances_of(document).items()}
    if late:
        before = balances_of(one)
        for row, balance in balances_of(two).items():
            bound = before[row].balance_cents if in_time and row in before else 0
            assert balance.balance_cents <= bound or row.endswith("/owner")
