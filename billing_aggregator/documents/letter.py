"""A statement in words: from exact content to the letter that is typeset (design 4, "What a statement shows")."""

from datetime import timedelta

from billing_aggregator.documents.blocks import AnyBlock, Frame, Letter, Prose, Result
from billing_aggregator.documents.content import StatementContent, verify
from billing_aggregator.documents.money_blocks import (
    word_advances,
    word_correction,
    word_costs,
    word_key,
    word_proof,
    word_share,
)
from billing_aggregator.documents.rights_blocks import word_evidence, word_rights
from billing_aggregator.documents.texts import Words, words_of
from billing_aggregator.documents.usage_blocks import (
    word_annex,
    word_chambers,
    word_charts,
    word_consumption,
)
from billing_aggregator.model import DayRange

MAX_REGISTERS_ON_PAGE = 8  # more of them go to the annex, so that the letter itself stays short


def word_statement(content: StatementContent) -> Letter:
    """Return the letter in the content's language; StatementUnsound if its figures contradict each other."""
    verify(content)
    words = words_of(content.language)
    chambers = word_chambers(content, words)
    few = sum(max(1, len(line.registers)) for line in content.chambers) <= MAX_REGISTERS_ON_PAGE
    elsewhere = Prose(paragraphs=(words("chambers.elsewhere", count=len(content.chambers)),))
    blocks: list[AnyBlock] = [
        *word_correction(content, words),
        word_costs(content, words),
        word_key(content, words),
        word_share(content, words),
        word_advances(content, words),
        word_consumption(content, words),
        chambers if few else elsewhere,
        word_charts(content, words),
        word_proof(content, words),
        *word_rights(content, words),
        *word_evidence(content, words),
    ]
    return Letter(
        frame=_word_frame(content, words),
        sender=" · ".join(
            part
            for part in (
                content.sender.name,
                content.sender.street,
                f"{content.sender.postcode} {content.sender.city}".strip(),
            )
            if part
        ),
        addressee=_word_addressee(content),
        info=_word_info(content, words),
        heading=words(_title(content)),
        subheading=f"{content.house.name} · {word_span(content.house.period, words)}",
        opening=_word_opening(content, words),
        result=_word_result(content, words),
        blocks=tuple(blocks),
        annex=(*word_annex(content, words), *(() if few else (chambers,))),
    )


def word_span(days: DayRange, words: Words) -> str:
    """Return the first and the last day, both included."""
    if days.end is None:
        raise ValueError(f"the period from {days.first} on has no end")
    return words("span", first=words.day(days.first), last=words.day(days.end - timedelta(days=1)))


def _title(content: StatementContent) -> str:
    if content.tenancy.is_vacancy:
        return "title.vacancy"
    return "title.corrected" if content.correction else "title"


def _word_frame(content: StatementContent, words: Words) -> Frame:
    dated = content.dated
    return Frame(
        language=content.language,
        title=f"{words(_title(content))}, {content.house.property}, {content.tenancy.row}",
        author=content.sender.name,
        dated=(dated.year, dated.month, dated.day),
        watermark=words("watermark") if content.provisional_as_of else "",
        footer=f"{content.house.property} · {content.tenancy.row} · {words('info.revision')} {content.revision}",
        page=words("page", page="{page}", pages="{pages}"),
    )


def _word_addressee(content: StatementContent) -> tuple[str, ...]:
    to = content.addressee
    return tuple(line for line in (to.name, to.street, f"{to.postcode} {to.city}".strip()) if line)


def _word_info(content: StatementContent, words: Words) -> tuple[tuple[str, str], ...]:
    tenancy, period = content.tenancy, content.house.period
    dwelling = tenancy.dwelling_label or tenancy.dwelling
    return (
        (words("info.dated"), words.day(content.dated)),
        (words("info.property"), content.house.property),
        (words("info.dwelling"), dwelling),
        (words("info.row"), tenancy.row),
        (words("info.period"), word_span(period, words)),
        (words("info.own_days"), words("days.of", own=tenancy.days, all=period.days)),
        (words("info.revision"), str(content.revision)),
    )


def _word_opening(content: StatementContent, words: Words) -> tuple[str, ...]:
    lines = [words("salutation"), words("intro", house=content.house.name, place=content.house.place)]
    if content.tenancy.is_vacancy:
        lines = [words("intro.vacancy")]
    if content.provisional_as_of:
        lines.append(words("intro.provisional", day=words.day(content.provisional_as_of)))
    return tuple(lines)


def _word_result(content: StatementContent, words: Words) -> Result:
    lines = [
        (
            words("result.share", total=words.money(content.apportionable_cents)),
            words.money(content.share_cents),
        ),
        (words("result.advances"), words.money(-content.advances_cents)),
    ]
    if content.waived_cents:
        lines.append((words("result.cap"), words.money(-content.waived_cents)))
    balance = content.balance_cents
    return Result(
        label=words(_result_label(content)),
        amount=words.money(abs(balance)),
        lines=tuple(lines),
        note=words(_result_note(content)),
    )


def _result_label(content: StatementContent) -> str:
    balance = content.balance_cents
    if content.tenancy.is_vacancy and balance > 0:
        return "result.owner"
    kind = "due" if balance > 0 else "credit" if balance < 0 else "even"
    return f"result.{kind}_provisional" if content.provisional_as_of else f"result.{kind}"


def _result_note(content: StatementContent) -> str:
    if content.provisional_as_of or content.balance_cents == 0:
        return "result.nothing"
    if content.tenancy.is_vacancy:
        return "result.internal"
    return "result.pay" if content.balance_cents > 0 else "result.refund"
