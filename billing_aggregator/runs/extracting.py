"""Takes out of the master data what one period's calculation needs: no names, in an order of its own."""

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
        hash=snapshot.hash,
    )
