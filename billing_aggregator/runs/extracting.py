"""Takes out of the master data what one period's calculation needs: no names, in an order of its own."""

from collections.abc import Iterator
from datetime import date, timedelta

from billing_aggregator.engine.substitutes import Reference
from billing_aggregator.masterdata.facts import Period
from billing_aggregator.masterdata.snapshot import Snapshot
from billing_aggregator.runs.calculation import MasterPart
from billing_aggregator.runs.document import Cost, Payment


def master_part(snapshot: Snapshot, period: Period) -> MasterPart:
    """Take out of the master data what one period's calculation needs."""
    agreement = snapshot.agreement_for(period)
    first = period.days.first
    return MasterPart(
        property=snapshot.property.property,
        period=period.days,
        time_zone=snapshot.property.time_zone,
        owner=snapshot.owner,
        seed=period.seed,
        agreement=agreement,
        costs=tuple(
            sorted(
                (
                    Cost(
                        each.item,
                        each.fraction,
                        each.description,
                        each.gross_cents,
                        each.document,
                        each.document_sha256,
                        each.apportionable,
                    )
                    for each in snapshot.costs
                    if each.period_first == first
                ),
                key=lambda cost: cost.item,
            )
        ),
        payments=tuple(
            sorted(
                (
                    Payment(f"{each.dwelling}/{each.party}", each.payment, each.paid_on, each.amount_cents)
                    for each in snapshot.advances
                    if each.period_first == first
                ),
                key=lambda payment: (payment.row, payment.paid_on, payment.payment),
            )
        ),
        basis=tuple(sorted(snapshot.rows(period, agreement.vacancy_persons), key=lambda row: row.row)),
        stretches=tuple(snapshot.stretches(period.days)),
        old_readings=tuple(_references(snapshot, first)),
        hash=snapshot.hash,
    )


def _references(snapshot: Snapshot, first: date) -> Iterator[Reference]:
    """Yield what the system before this one read before the period. It knew nothing of persons."""
    for reading in snapshot.old_readings:
        end = reading.days.end
        if end is not None and end <= first:
            yield Reference(
                row=f"{reading.dwelling}/{reading.party}",
                fraction=reading.fraction,
                volume_ml=reading.volume_ml,
                days=reading.days.days,
                person_days=0,
                this_period=False,
                source=f"{reading.days.first}..{end - timedelta(days=1)}",
            )
