"""Inputs of a run for tests: the worked case as usage and master data would give it, in memory."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime

from billing_aggregator.model import PourCount, PropertyUsage, RowUsage
from billing_aggregator.runs.calculation import Inputs, MasterPart
from billing_aggregator.runs.capping import Sent
from billing_aggregator.runs.document import Cost, Payment, Receipt, RevisionDocument
from tests.unit.billing_aggregator.worked_case import AGREEMENT, METERED, PERIOD, SEED, STRETCHES, worked_rows

ADVANCES = {"WE1/T1": 30_000, "WE2/T3": 0, "WE3/T4": 0, "WE4/T5": 6_000}
NOTHING_BEFORE = Sent((), frozenset(), ())
IN_TIME = date(2026, 3, 31)
LATE = date(2027, 2, 1)


def usage_of(metered: Mapping[str, int] = METERED) -> PropertyUsage:
    """Return what the ledger would say of these millilitres: all through one chamber in March."""
    rows = tuple(
        RowUsage(row, "residual", ml, (PourCount("1f00a3", 1, ml // 5000, ml),), {"2025-03": ml})
        for row, ml in metered.items()
    )
    return PropertyUsage(rows, {}, (), (), (), 0, 4711, "e" * 64)


def worked_inputs(metered: Mapping[str, int] = METERED) -> Inputs:
    """Return the worked case as the first revision, received in time, with some advances."""
    master = MasterPart(
        property="A",
        period=PERIOD,
        time_zone="Europe/Berlin",
        owner="owner",
        seed=SEED,
        agreement=AGREEMENT,
        costs=(Cost("1", "residual", "Stadtreinigung", 100_001, "R-17", "d" * 64, True),),
        payments=tuple(
            Payment(row, f"P-{row.replace('/', '-')}", date(2025, 6, 1), cents)
            for row, cents in ADVANCES.items()
            if cents
        ),
        basis=worked_rows(),
        stretches=STRETCHES,
        old_readings=(),
        hash="a" * 64,
    )
    return Inputs(
        master=master,
        usage=usage_of(metered),
        decisions=(),
        before=NOTHING_BEFORE,
        history=None,
        revision=1,
        reason="",
        receipt_on=IN_TIME,
        known_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
        config_hash="c" * 64,
    )


def corrected_inputs(
    first: RevisionDocument, receipt_on: date = IN_TIME, receipts: tuple[Receipt, ...] = ()
) -> Inputs:
    """Return the second revision: four pours of 20 l moved from T3 to T4, a lost transponder."""
    moved = {**METERED, "WE2/T3": METERED["WE2/T3"] - 80_000, "WE3/T4": METERED["WE3/T4"] + 80_000}
    return replace(
        worked_inputs(moved),
        before=Sent((first,), frozenset({first.revision}), receipts),
        revision=first.revision + 1,
        reason="lost transponder",
        receipt_on=receipt_on,
    )


def received(document: RevisionDocument, on: date) -> tuple[Receipt, ...]:
    """Return receipts of all of a revision's rows on one day."""
    return tuple(Receipt(document.revision, row.row, on) for row in document.basis)
