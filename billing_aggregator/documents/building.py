"""From a revision, the names and the pours to each party's statement. Pure: exact values in, exact values out.

The document has the money and the millilitres, the name book whom to write to, the ledger the party's own pours. What
doesn't fit together (pours that aren't the metered volume) is found when the content is verified.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from functools import cached_property
from itertools import groupby

from billing_aggregator.documents.content import (
    AdvanceLine,
    Cap,
    ChamberLine,
    ChangeLine,
    Chart,
    Correction,
    CostLine,
    Deadlines,
    Evidence,
    FractionPart,
    House,
    MonthVolumes,
    PoolLine,
    RegisterSpan,
    Span,
    StatementContent,
    SumLine,
    Tenancy,
)
from billing_aggregator.documents.names import NameBook
from billing_aggregator.engine.deadlines import claim_until, objections_until
from billing_aggregator.engine.weights import Stretch
from billing_aggregator.model import (
    CAP_ROW,
    UNATTRIBUTED_ROW,
    OwnPour,
    Pool,
    PourCount,
    RowBasis,
    RowUsage,
    RowVolumes,
)
from billing_aggregator.runs.document import Balance, RevisionDocument, balances_of, pools_of


@dataclass(frozen=True)
class Sources:
    """Everything that statements of one revision are made from.

    `sha256`: the revision's name. `previous`: the revision that this one corrects; `year_before`: the last revision of
    the period before, for the chart. `pours`: each row's own. `stretches`: all of the period, for the arithmetic of the
    base weights. `provisional_as_of`: set if this isn't meant to be final.
    """

    document: RevisionDocument
    sha256: str
    names: NameBook
    pours: Mapping[str, tuple[OwnPour, ...]]
    dated: date
    previous: RevisionDocument | None = None
    year_before: RevisionDocument | None = None
    provisional_as_of: date | None = None
    stretches: tuple[Stretch, ...] = ()

    @cached_property
    def usage(self) -> Mapping[tuple[str, str], RowUsage]:
        return {(usage.row, usage.fraction): usage for usage in self.document.usage.rows}

    @cached_property
    def usage_before(self) -> Mapping[tuple[str, str], RowUsage]:
        if self.year_before is None:
            return {}
        return {(usage.row, usage.fraction): usage for usage in self.year_before.usage.rows}

    @cached_property
    def house_months(self) -> Mapping[str, Mapping[str, int]]:
        """By fraction and month: what all rows together threw, ml."""
        sums: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for usage in self.document.usage.rows:
            for month, volume_ml in usage.months.items():
                sums[usage.fraction][month] += volume_ml
        return sums

    @cached_property
    def dwellings(self) -> int:
        return len({row.dwelling for row in self.document.basis})

    @cached_property
    def balances(self) -> Mapping[str, Balance]:
        return balances_of(self.document)

    def balance(self, row: str) -> Balance:
        """Return the row's money: nothing where no fraction had costs."""
        return self.balances.get(row) or Balance(row, 0, 0, 0, 0, 0, 0)

    @cached_property
    def billed(self) -> Mapping[str, int]:
        """By row: billed ml over all fractions, what nobody can be named for among it."""
        sums: dict[str, int] = defaultdict(int)
        for part in self.document.fractions:
            for volumes in part.volumes:
                sums[volumes.row] += volumes.billed_ml
        return sums


def list_addressees(sources: Sources) -> tuple[RowBasis, ...]:
    """Return the rows that get a statement, by row: whoever has a dwelling, and whoever has lost it.

    Somebody whom a correction drops, or who paid in advance for a dwelling that isn't his, has no weight left: he is
    told so, and what he gets back.
    """
    known = {basis.row: basis for basis in sources.document.basis}
    before = balances_of(sources.previous) if sources.previous else {}
    rows = sorted({*known, *sources.balances, *before} - {UNATTRIBUTED_ROW, CAP_ROW})
    return tuple(known.get(row) or RowBasis(row, *_parts_of(row), 0, 0, 0, 0, 0) for row in rows)


def _parts_of(row: str) -> tuple[str, str]:
    dwelling, _, party = row.partition("/")
    return dwelling, party


def build_statements(sources: Sources) -> Iterator[StatementContent]:
    """Yield the statement of each addressee."""
    for basis in list_addressees(sources):
        yield build_statement(sources, basis)


def name_engine(document: RevisionDocument) -> str:
    """Return which rules a revision was reckoned by, as it is printed."""
    return f"billing-aggregator {document.pins.engine_version}, tzdata {document.pins.tzdata_version}"


def build_statement(sources: Sources, basis: RowBasis) -> StatementContent:
    """Return one row's statement."""
    document, names = sources.document, sources.names
    person = names.person(basis.party)
    pins = document.pins
    return StatementContent(
        language=person.language,
        dated=sources.dated,
        revision=document.revision,
        provisional_as_of=sources.provisional_as_of,
        sender=names.person(names.landlord).address,
        addressee=person.address,
        house=House(document.property, names.property_name, names.place, document.time_zone, document.period),
        tenancy=_tenancy(sources, basis),
        agreement=document.agreement,
        costs=tuple(
            CostLine(cost.description, cost.document, cost.fraction, cost.gross_cents, cost.apportionable)
            for cost in document.costs
        ),
        fractions=tuple(_parts(document, basis.row)),
        advances=tuple(
            AdvanceLine(payment.paid_on, payment.amount_cents)
            for payment in sorted(document.payments, key=lambda payment: (payment.paid_on, payment.payment))
            if payment.row == basis.row
        ),
        balance_cents=sources.balance(basis.row).balance_cents,
        sums=tuple(_sums(sources, basis.row)),
        chambers=tuple(_chambers(sources, basis)),
        substitutes=tuple(line for line in document.substitutes if line.row == basis.row),
        charts=tuple(_chart(sources, basis.row, part.fraction) for part in document.fractions),
        pours=sources.pours.get(basis.row, ()),
        deadlines=Deadlines(
            claim_until(document.period), document.receipt_on, objections_until(document.receipt_on)
        ),
        evidence=Evidence(
            sources.sha256,
            pins.entries_hash,
            pins.masterdata_hash,
            pins.ledger_position,
            name_engine(document),
        ),
        correction=_correction(sources, basis.row),
        cap=_cap(document, basis.row),
    )


def _tenancy(sources: Sources, basis: RowBasis) -> Tenancy:
    names = sources.names
    own = sorted(
        (stretch for stretch in sources.stretches if stretch.row == basis.row),
        key=lambda stretch: stretch.days.first,
    )
    spans = tuple(
        Span(sum(stretch.days.days for stretch in alike), *values)
        for values, alike in groupby(own, key=lambda stretch: (stretch.area_dm2, stretch.persons))
    )
    return Tenancy(
        dwelling=basis.dwelling,
        dwelling_label=names.dwellings.get(basis.dwelling, ""),
        party=basis.party,
        days=basis.days,
        person_days=basis.person_days,
        is_vacancy=basis.party == names.landlord,
        spans=spans,
    )


def _parts(document: RevisionDocument, row: str) -> Iterator[FractionPart]:
    for part in document.fractions:
        volumes = next((each for each in part.volumes if each.row == row), RowVolumes(row, 0, 0, 0, 0))
        yield FractionPart(
            fraction=part.fraction,
            own_cents=part.own_cents,
            common_cents=part.common_cents,
            total_cents=part.total_cents,
            volumes=volumes,
            base=_pool_line(part.base, row),
            usage=_pool_line(part.usage, row),
            base_only_because=part.base_only_because,
        )


def _pool_line(pool: Pool, row: str) -> PoolLine:
    own = next((share for share in pool.shares if share.row == row), None)
    everything = sum(share.weight for share in pool.shares)
    if own is None:
        return PoolLine(pool.total_cents, pool.key, 0, everything, Fraction(0), 0)
    return PoolLine(pool.total_cents, pool.key, own.weight, everything, own.exact, own.allocated_cents)


def _sums(sources: Sources, row: str) -> Iterator[SumLine]:
    """One line of the party's own, one of all others, one each for unattributed pours and for what is capped."""
    kinds: dict[str, list[Balance]] = {"own": [], "others": [], "unattributed": [], "capped": []}
    special = {row: "own", UNATTRIBUTED_ROW: "unattributed", CAP_ROW: "capped"}
    for balance in sources.document.balances:
        kinds[special.get(balance.row, "others")].append(balance)
    for who, balances in kinds.items():
        if balances or who in ("own", "others"):
            yield SumLine(
                who,
                len(balances),
                sum(sources.billed.get(balance.row, 0) for balance in balances),
                sum(balance.base_cents for balance in balances),
                sum(balance.usage_cents for balance in balances),
                sum(balance.cap_cents for balance in balances),
            )


def _chambers(sources: Sources, basis: RowBasis) -> Iterator[ChamberLine]:
    """The chambers that the party used or may use, each with its register."""
    used: dict[tuple[str, int, str], PourCount] = {}
    for part in sources.document.fractions:
        usage = sources.usage.get((basis.row, part.fraction))
        for count in usage.chambers if usage else ():
            used[count.lock, count.chamber, part.fraction] = count
    names = sources.names
    reachable = {key for key in names.chamber_ml if names.may_use(key[0], basis.dwelling)}
    spans: dict[tuple[str, int], list[RegisterSpan]] = defaultdict(list)
    for run in sources.document.usage.registers:
        spans[run.lock, run.chamber].append(
            RegisterSpan(run.register_start, run.register_end, run.lost, run.unexplained)
        )
    for lock, chamber, fraction in sorted(set(used) | reachable):
        count = used.get((lock, chamber, fraction), PourCount(lock, chamber, 0, 0))
        size_ml = names.chamber_ml.get((lock, chamber, fraction), 0)
        registers = tuple(spans[lock, chamber])
        yield ChamberLine(
            lock, chamber, fraction, size_ml, count.pours, count.degraded, count.volume_ml, registers
        )


def _chart(sources: Sources, row: str, fraction: str) -> Chart:
    own = sources.usage.get((row, fraction))
    before = sources.usage_before.get((row, fraction))
    house = sources.house_months.get(fraction, {})
    return Chart(
        fraction,
        tuple(
            MonthVolumes(
                month=month,
                own_ml=own.months.get(month, 0) if own else 0,
                average_ml=house.get(month, 0) // max(1, sources.dwellings),
                previous_ml=before.months.get(_a_year_before(month), 0) if before else None,
            )
            for month in _months(sources.document)
        ),
    )


def _months(document: RevisionDocument) -> Iterator[str]:
    first, end = document.period.first, document.period.end
    if end is None:
        raise ValueError(f"the period from {first} on has no end")
    day = first.replace(day=1)
    while day < end:
        yield f"{day:%Y-%m}"
        day = (day + timedelta(days=31)).replace(day=1)


def _a_year_before(month: str) -> str:
    return f"{int(month[:4]) - 1}{month[4:]}"


def _correction(sources: Sources, row: str) -> Correction | None:
    """What this revision moved for the row, pool by pool, against the one that it corrects."""
    before, after = sources.previous, sources.document
    if before is None:
        return None
    now, then = sources.balance(row), balances_of(before).get(row)
    old, new = pools_of(before), pools_of(after)
    changes = [
        ChangeLine(name, _cents(old.get(name), row), _cents(new.get(name), row)) for name in {**new, **old}
    ]
    changes += [
        ChangeLine("cap", then.cap_cents if then else 0, now.cap_cents),
        ChangeLine("advances", -then.advances_cents if then else 0, -now.advances_cents),
    ]
    moved = tuple(change for change in changes if change.before_cents != change.after_cents)
    return Correction(before.revision, after.reason, moved)


def _cents(pool: Pool | None, row: str) -> int:
    shares = pool.shares if pool else ()
    return next((share.allocated_cents for share in shares if share.row == row), 0)


def _cap(document: RevisionDocument, row: str) -> Cap | None:
    cap = next((each for each in document.caps if each.row == row), None)
    return Cap(cap.baseline_cents, cap.waived_cents, cap.lifted_because) if cap else None
