"""The blocks about money: costs, allocation key, the party's share, advances, what a revision changed, the proof."""

from billing_aggregator.days import day_of
from billing_aggregator.documents.blocks import AnyBlock, Column, Pairs, Prose, Table, Terms
from billing_aggregator.documents.content import PoolLine, StatementContent, SumLine
from billing_aggregator.documents.texts import Words
from billing_aggregator.engine.weights import KEY_NAMES
from billing_aggregator.model import BaseKey


def word_costs(content: StatementContent, words: Words) -> Table:
    """The total costs by item, each with the document that proves it (§ 259 BGB)."""
    rows = tuple(
        (
            line.description,
            line.document,
            words.name_of("fraction", line.fraction),
            words.money(line.gross_cents),
        )
        for line in content.costs
    )
    return Table(
        title=words("costs.title"),
        columns=(
            Column(words("costs.item"), share=3, right=False),
            Column(words("costs.document"), share=2, right=False),
            Column(words("costs.fraction"), right=False),
            Column(words("costs.amount")),
        ),
        rows=rows,
        foot=tuple(_cost_sums(content, words)),
        notes=_common_costs(content, words),
    )


def _cost_sums(content: StatementContent, words: Words) -> list[tuple[str, ...]]:
    gross = sum(line.gross_cents for line in content.costs)
    passed_on = content.apportionable_cents
    sums: list[tuple[str, ...]] = [(words("costs.apportionable"), "", "", words.money(passed_on))]
    if gross != passed_on:
        sums.insert(0, (words("costs.sum"), "", "", words.money(gross)))
        sums.insert(1, (words("costs.not_apportionable"), "", "", words.money(passed_on - gross)))
    return sums


def _common_costs(content: StatementContent, words: Words) -> tuple[str, ...]:
    if not any(part.common_cents for part in content.fractions):
        return ()
    parts = [
        words(
            "costs.common_part",
            fraction=words.name_of("fraction", part.fraction),
            own=words.money(part.own_cents),
            common=words.money(part.common_cents),
            total=words.money(part.total_cents),
        )
        for part in content.fractions
    ]
    return (words("costs.common", parts="; ".join(parts)),)


def word_key(content: StatementContent, words: Words) -> Terms:
    """The allocation key and its explanation in words (§ 556a BGB)."""
    agreement = content.agreement
    whole = agreement.base_share + agreement.usage_share
    declared = day_of(agreement.declared_at, content.house.time_zone)
    split = words(
        "key.split_text",
        base=words.percent(agreement.base_share, whole),
        usage=words.percent(agreement.usage_share, whole),
        by_law=agreement.by_law,
        declared=words.day(declared),
        effective=words.day(agreement.effective_from),
    )
    vacancy = max(1, agreement.vacancy_persons)
    rounding = "key.rounding_revised" if content.correction else "key.rounding_text"
    return Terms(
        title=words("key.title"),
        items=(
            (words("key.split"), split),
            (
                words("key.base"),
                words(f"key.base.{agreement.base_key}", vacancy=vacancy) + _weight(content, words),
            ),
            (words("key.usage"), words("key.usage_text")),
            *_minimum(content, words),
            (words("key.rounding"), words(rounding)),
        ),
    )


def _weight(content: StatementContent, words: Words) -> str:
    """Return how the party's own base weight comes about, where it is a sum of products that is known."""
    base = content.fractions[0].base if content.fractions else None
    spans = content.tenancy.spans
    if base is None or not spans or content.tenancy.is_vacancy:
        return ""
    if base.key == KEY_NAMES[BaseKey.AREA]:
        sizes = [words("key.square_metres", area=words.decimal(span.area_dm2, 2)) for span in spans]
        known = sum(span.area_dm2 * span.days for span in spans)
    elif base.key == KEY_NAMES[BaseKey.PERSONS]:
        sizes = [words("key.persons", count=words.number(span.persons)) for span in spans]
        known = sum(span.persons * span.days for span in spans)
    else:
        return ""
    if known != base.own_weight:
        return ""
    terms = [
        words("key.times_days", size=size, days=words.number(span.days))
        for size, span in zip(sizes, spans, strict=True)
    ]
    return " " + words("key.own", terms=" + ".join(terms), weight=words.weight(base.key, base.own_weight))


def _minimum(content: StatementContent, words: Words) -> tuple[tuple[str, str], ...]:
    agreement, person_days = content.agreement, content.tenancy.person_days
    named = [part for part in content.fractions if part.fraction in agreement.minimum_fractions]
    per_week = agreement.minimum_ml_per_person_week
    if not named or not per_week:
        return ()
    text = words(
        "key.minimum_text",
        litres=words.litres(per_week),
        fractions=", ".join(words.name_of("fraction", part.fraction) for part in named),
        person_days=words.number(person_days),
        minimum=words.litres(named[0].volumes.minimum_ml),
    )
    return ((words("key.minimum"), text),)


def word_share(content: StatementContent, words: Words) -> Table:
    """The party's share with its arithmetic, so that anybody can recompute it by hand."""
    rows: list[tuple[str, ...]] = []
    for part in content.fractions:
        name = words.name_of("fraction", part.fraction)
        rows.append(_pool(words("share.base", fraction=name), part.base, words))
        rows.append(_pool(words("share.usage", fraction=name), part.usage, words))
    share = words.money(content.share_cents)
    return Table(
        title=words("share.title"),
        columns=(
            Column(words("share.pool"), share=1, right=False),
            Column(words("share.total")),
            Column(words("share.own")),
            Column(words("share.all")),
            Column(words("share.unit"), right=False),
            Column(words("share.exact")),
            Column(words("share.cents")),
        ),
        rows=tuple(rows),
        foot=((words("share.sum"), words.money(content.apportionable_cents), "", "", "", "", share),),
        notes=(words("share.note"), *_base_only(content, words), *_other_key(content, words)),
    )


def _pool(label: str, pool: PoolLine, words: Words) -> tuple[str, ...]:
    return (
        label,
        words.money(pool.total_cents),
        words.weight(pool.key, pool.own_weight),
        words.weight(pool.key, pool.all_weights),
        words.name_of("unit", pool.key),
        words.exact_money(pool.exact),
        words.money(pool.cents),
    )


def _base_only(content: StatementContent, words: Words) -> tuple[str, ...]:
    return tuple(
        words(
            "share.base_only",
            fraction=words.name_of("fraction", part.fraction),
            reason=_reason(part.base_only_because, content.agreement.affected_area_percent, words),
        )
        for part in content.fractions
        if part.base_only_because
    )


def _other_key(content: StatementContent, words: Words) -> tuple[str, ...]:
    """Say it where nobody had a weight by the agreement's key, so that area and days were taken."""
    agreed = KEY_NAMES[content.agreement.base_key]
    changed = any(part.base.key != agreed for part in content.fractions)
    return (words("share.other_key"),) if changed else ()


def _reason(because: str, percent: int, words: Words) -> str:
    key = f"base_only.{because}"
    return words(key, percent=percent) if key in words else because


def word_advances(content: StatementContent, words: Words) -> Pairs:
    """What was paid in advance, payment by payment: actual payments, not what was owed."""
    if not content.advances:
        return Pairs(title=words("advances.title"), note=words("advances.none"))
    note = words(
        "advances.sum", count=words.number(len(content.advances)), sum=words.money(content.advances_cents)
    )
    items = tuple((words.day(line.paid_on), words.money(line.amount_cents)) for line in content.advances)
    return Pairs(title=words("advances.title"), note=note, items=items)


def word_correction(content: StatementContent, words: Words) -> tuple[AnyBlock, ...]:
    """What changed against the revision before, and what the cap does (§ 556 (3) BGB)."""
    cap = _cap(content, words)
    if content.correction is None:
        return (Prose(paragraphs=cap),) if cap else ()
    correction = content.correction
    title = words("correction.title", previous=correction.previous)
    reason = words("correction.reason", reason=correction.reason)
    if not correction.changes:
        return (Prose(title=title, paragraphs=(reason, words("correction.nothing"), *cap)),)
    rows = tuple(
        (
            _changed(line.what, words),
            words.money(line.before_cents),
            words.money(line.after_cents),
            words.money(line.after_cents - line.before_cents, sign=True),
        )
        for line in correction.changes
    )
    moved = sum(line.after_cents - line.before_cents for line in correction.changes)
    table = Table(
        title=title,
        columns=(
            Column(words("correction.what"), share=1, right=False),
            Column(words("correction.before")),
            Column(words("correction.after")),
            Column(words("correction.difference")),
        ),
        rows=rows,
        foot=((words("correction.balance"), "", "", words.money(moved, sign=True)),),
        notes=(reason, *cap),
    )
    return (table,)


def _changed(what: str, words: Words) -> str:
    fraction, _, pool = what.rpartition("/")
    if not fraction:
        return words(f"correction.{what}")
    return words(f"share.{pool}", fraction=words.name_of("fraction", fraction))


def _cap(content: StatementContent, words: Words) -> tuple[str, ...]:
    if content.cap is None:
        return ()
    until = words.day(content.deadlines.claim_until)
    if content.cap.lifted_because:
        return (words("cap.lifted", until=until, reason=content.cap.lifted_because),)
    if not content.cap.waived_cents:
        return ()
    baseline = words.money(content.cap.baseline_cents)
    return (words("cap.note", until=until, baseline=baseline, waived=words.money(content.cap.waived_cents)),)


def word_proof(content: StatementContent, words: Words) -> Table:
    """All shares, the owner's for unattributed pours and for what is capped included, make up the total."""
    lines = content.sums
    capped = any(line.cap_cents for line in lines)
    columns = [
        Column(words("sums.who"), share=1, right=False),
        Column(words("sums.billed")),
        Column(words("sums.base")),
        Column(words("sums.usage")),
        *([Column(words("sums.cap"))] if capped else []),
        Column(words("sums.charged")),
    ]
    total = SumLine(
        "total",
        sum(line.rows for line in lines),
        sum(line.billed_ml for line in lines),
        sum(line.base_cents for line in lines),
        sum(line.usage_cents for line in lines),
        sum(line.cap_cents for line in lines),
    )
    return Table(
        title=words("sums.title"),
        columns=tuple(columns),
        rows=tuple(_sum_cells(line, capped, words) for line in lines),
        foot=(_sum_cells(total, capped, words),),
    )


def _sum_cells(line: SumLine, capped: bool, words: Words) -> tuple[str, ...]:
    return (
        words(f"sums.{line.who}", rows=words.number(line.rows)),
        words.litres(line.billed_ml, unit=False),
        words.money(line.base_cents),
        words.money(line.usage_cents),
        *([words.money(line.cap_cents)] if capped else []),
        words.money(line.charged_cents),
    )
