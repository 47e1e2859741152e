"""The landlord's overview of a property and period: every row, costs, registers, reviews with their decisions.

It has the consumption of all households, by row and name: for the landlord, and for whoever may inspect it (§ 556 (4)
BGB), not for posting in the stairwell.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta

from billing_aggregator.days import day_of
from billing_aggregator.documents.blocks import AnyBlock, Column, Frame, Hashes, Prose, Report, Table
from billing_aggregator.documents.building import name_engine
from billing_aggregator.documents.names import NameBook
from billing_aggregator.documents.texts import Words, words_of
from billing_aggregator.model import CAP_ROW, UNATTRIBUTED_ROW, Decision, FractionResult, Pool, Review
from billing_aggregator.runs.document import Balance, RevisionDocument


def word_overview(
    document: RevisionDocument, sha256: str, names: NameBook, dated: date, language: str, provisional: bool
) -> Report:
    """Return the overview in words. `sha256`: the revision's name; `dated`: the day that is printed on it."""
    words = words_of(language)
    period = document.period
    if period.end is None:
        raise ValueError(f"the period from {period.first} on has no end")
    span = words("span", first=words.day(period.first), last=words.day(period.end - timedelta(days=1)))
    revision = f"{words('info.revision')} {document.revision}"
    frame = Frame(
        language=language,
        title=f"{words('overview.title')}, {document.property}, {span}",
        author=names.person(names.landlord).address.name,
        dated=(dated.year, dated.month, dated.day),
        watermark=words("watermark") if provisional else "",
        footer=f"{document.property} · {span} · {revision}",
        page=words("page", page="{page}", pages="{pages}"),
    )
    return Report(
        frame=frame,
        heading=words("overview.title"),
        subheading=f"{names.property_name} · {names.place} · {span} · {revision}",
        facts=tuple(_facts(document, words)),
        blocks=tuple(_blocks(document, sha256, names, words)),
    )


def _facts(document: RevisionDocument, words: Words) -> Iterator[tuple[str, str]]:
    agreement, total = document.agreement, _total(document.balances)
    yield words("overview.total"), words.money(document.total_cents)
    yield words("overview.charged"), words.money(total.charged_cents)
    yield words("overview.advances"), words.money(total.advances_cents)
    yield words("overview.balance"), words.money(total.balance_cents)
    billed = sum(volumes.billed_ml for part in document.fractions for volumes in part.volumes)
    unattributed = sum(document.usage.unattributed.values())
    thousandths = unattributed * 1000 // billed if billed else 0
    share = words.decimal(thousandths, 1)
    text = words("overview.unattributed_text", litres=words.litres(unattributed), share=f"{share} %")
    yield words("overview.unattributed"), text
    key = document.fractions[0].base.key if document.fractions else ""
    yield (
        words("overview.key"),
        words(
            "overview.key_text",
            base=agreement.base_share,
            usage=agreement.usage_share,
            unit=words.name_of("unit", key),
            minimum=words.litres(agreement.minimum_ml_per_person_week),
            seed=document.seed,
        ),
    )


def _blocks(document: RevisionDocument, sha256: str, names: NameBook, words: Words) -> Iterator[AnyBlock]:
    yield _rows(document, names, words)
    for part in document.fractions:
        yield _fraction(part, words)
    yield _costs(document, words)
    yield _registers(document, words)
    if document.substitutes:
        yield _substitutes(document, words)
    yield _reviews(document, words)
    pins = document.pins
    yield Hashes(
        title=words("overview.evidence"),
        items=(
            (words("evidence.revision", revision=document.revision), sha256),
            (words("evidence.entries", position=words.number(pins.ledger_position)), pins.entries_hash),
            (words("evidence.masterdata"), pins.masterdata_hash),
            (words("evidence.engine"), name_engine(document)),
        ),
    )


def _rows(document: RevisionDocument, names: NameBook, words: Words) -> Table:
    basis = {row.row: row for row in document.basis}
    billed: dict[str, int] = {}
    for part in document.fractions:
        for volumes in part.volumes:
            billed[volumes.row] = billed.get(volumes.row, 0) + volumes.billed_ml

    def cells(balance: Balance) -> tuple[str, ...]:
        known = basis.get(balance.row)
        owners = balance.row in (UNATTRIBUTED_ROW, CAP_ROW)
        party = names.landlord if owners else balance.row.partition("/")[2]
        name = names.person(party).address.name
        days = words.number(known.days) if known else ""
        litres = words.litres(billed.get(balance.row, 0), unit=False)
        return (balance.row, name, days, litres, *_money(balance, words))

    total = _total(document.balances)
    return Table(
        title=words("overview.rows"),
        columns=(
            Column(words("overview.row"), share=3, right=False),
            Column(words("overview.name"), share=4, right=False),
            Column(words("overview.days")),
            Column(words("overview.litres")),
            *(
                Column(words(f"overview.{name}"))
                for name in ("base", "usage", "cap", "charged", "advances", "balance")
            ),
        ),
        rows=tuple(cells(balance) for balance in document.balances),
        foot=(
            (
                words("sums.total"),
                "",
                "",
                words.litres(sum(billed.values()), unit=False),
                *_money(total, words),
            ),
        ),
    )


def _total(balances: Sequence[Balance]) -> Balance:
    return Balance(
        row="",
        base_cents=sum(balance.base_cents for balance in balances),
        usage_cents=sum(balance.usage_cents for balance in balances),
        cap_cents=sum(balance.cap_cents for balance in balances),
        charged_cents=sum(balance.charged_cents for balance in balances),
        advances_cents=sum(balance.advances_cents for balance in balances),
        balance_cents=sum(balance.balance_cents for balance in balances),
    )


def _money(balance: Balance, words: Words) -> tuple[str, ...]:
    return (
        words.money(balance.base_cents),
        words.money(balance.usage_cents),
        words.money(balance.cap_cents),
        words.money(balance.charged_cents),
        words.money(balance.advances_cents),
        words.money(balance.balance_cents),
    )


def _fraction(part: FractionResult, words: Words) -> Table:
    base, usage = _by_row(part.base), _by_row(part.usage)
    rows = tuple(
        (
            volumes.row,
            words.weight(part.base.key, base.get(volumes.row, (0, 0))[0]),
            words.money(base.get(volumes.row, (0, 0))[1]),
            words.litres(volumes.metered_ml, unit=False),
            words.litres(volumes.substitute_ml, unit=False),
            words.litres(volumes.minimum_ml, unit=False),
            words.litres(volumes.billed_ml, unit=False),
            words.money(usage.get(volumes.row, (0, 0))[1]),
        )
        for volumes in part.volumes
    )
    sums = (
        words("sums.total"),
        words.weight(part.base.key, sum(weight for weight, _ in base.values())),
        words.money(sum(cents for _, cents in base.values())),
        words.litres(sum(volumes.metered_ml for volumes in part.volumes), unit=False),
        words.litres(sum(volumes.substitute_ml for volumes in part.volumes), unit=False),
        words.litres(sum(volumes.minimum_ml for volumes in part.volumes), unit=False),
        words.litres(sum(volumes.billed_ml for volumes in part.volumes), unit=False),
        words.money(sum(cents for _, cents in usage.values())),
    )
    names = ("metered", "substitute", "minimum", "billed", "usage")
    return Table(
        title=words(
            "overview.fraction",
            fraction=words.name_of("fraction", part.fraction),
            base=words.money(part.base.total_cents),
            usage=words.money(part.usage.total_cents),
        ),
        columns=(
            Column(words("overview.row"), share=1, right=False),
            Column(words("overview.weight", unit=words.name_of("unit", part.base.key))),
            Column(words("overview.base")),
            *(Column(words(f"overview.{name}")) for name in names),
        ),
        rows=rows,
        foot=(sums,),
    )


def _by_row(pool: Pool) -> Mapping[str, tuple[int, int]]:
    return {share.row: (share.weight, share.allocated_cents) for share in pool.shares}


def _costs(document: RevisionDocument, words: Words) -> Table:
    total = sum(cost.gross_cents for cost in document.costs if cost.apportionable)
    return Table(
        title=words("costs.title"),
        columns=(
            Column(words("costs.item"), share=3, right=False),
            Column(words("costs.document"), share=2, right=False),
            Column("SHA-256", right=False),
            Column(words("costs.fraction"), share=1, right=False),
            Column(words("costs.amount")),
        ),
        rows=tuple(
            (
                cost.description
                if cost.apportionable
                else f"{cost.description} ({words('costs.not_apportionable')})",
                cost.document,
                f"{cost.document_sha256[:16]}…" if cost.document_sha256 else "",
                words.name_of("fraction", cost.fraction),
                words.money(cost.gross_cents),
            )
            for cost in document.costs
        ),
        foot=((words("costs.apportionable"), "", "", "", words.money(total)),),
    )


def _registers(document: RevisionDocument, words: Words) -> Table:
    heads = ("pours", "lost", "buffered", "unexplained")
    return Table(
        title=words("overview.registers"),
        columns=(
            Column(words("chambers.lock"), share=1, right=False),
            Column(words("overview.epoch"), share=1, right=False),
            Column(words("chambers.start")),
            Column(words("chambers.end")),
            Column(words("chambers.cycles")),
            *(Column(words(f"overview.{name}")) for name in heads),
        ),
        rows=tuple(
            (
                f"{run.lock} / {run.chamber}",
                f"{run.epoch}, {words.number(run.first_seq)}–{words.number(run.last_seq)}",
                words.number(run.register_start),
                words.number(run.register_end),
                words.number((run.register_end - run.register_start) % 2**32),
                words.number(run.pours),
                words.number(run.lost),
                words.number(run.buffered),
                words.number(run.unexplained),
            )
            for run in document.usage.registers
        ),
    )


def _substitutes(document: RevisionDocument, words: Words) -> Table:
    return Table(
        title=words("overview.substitutes"),
        columns=(
            Column(words("overview.row"), share=2, right=False),
            Column(words("costs.fraction"), share=1, right=False),
            Column(words("chambers.lock"), share=1, right=False),
            Column(words("overview.litres")),
            Column(words("overview.method"), share=3, right=False),
        ),
        rows=tuple(
            (
                line.row,
                words.name_of("fraction", line.fraction),
                f"{line.lock} / {line.chamber}",
                words.litres(line.volume_ml, unit=False),
                f"{words.name_of('method', line.method)}: {', '.join(line.sources) or '–'}",
            )
            for line in document.substitutes
        ),
    )


def _reviews(document: RevisionDocument, words: Words) -> AnyBlock:
    if not document.reviews:
        return Prose(title=words("overview.reviews"), paragraphs=(words("overview.reviews_none"),))
    decided = {decision.review: decision for decision in document.decisions}
    return Table(
        title=words("overview.reviews"),
        columns=(
            Column(words("overview.kind"), share=3, right=False),
            Column(words("overview.detail"), share=6, right=False),
            Column(words("overview.litres")),
            Column(words("overview.decision"), share=3, right=False),
            Column(words("overview.reason"), share=4, right=False),
            Column(words("overview.by"), share=2, right=False),
        ),
        rows=tuple(
            _review(
                review, decided.get(review.review) or decided.get(review.group), document.time_zone, words
            )
            for review in document.reviews
        ),
    )


def _review(review: Review, decision: Decision | None, zone: str, words: Words) -> tuple[str, ...]:
    choice, reason, by = words("overview.undecided", nominal=review.nominal), "", ""
    if decision:
        choice, reason = decision.choice, decision.reason
        by = f"{decision.actor}, {words.day(day_of(decision.decided_at, zone))}"
    return (
        words.name_of("review", review.kind),
        review.detail,
        words.litres(review.volume_ml, unit=False) if review.volume_ml else "",
        choice,
        reason,
        by,
    )
