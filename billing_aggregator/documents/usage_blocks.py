"""The blocks about waste: millilitres, chambers and registers, the months compared, the annex of own pours."""

from collections import Counter
from itertools import groupby

from billing_aggregator.documents.blocks import Bars, Charts, Column, Group, Listing, Table
from billing_aggregator.documents.content import ChamberLine, Chart, StatementContent
from billing_aggregator.documents.texts import Words
from billing_aggregator.model import OwnPour

_TICKS = 4
_CREDENTIAL_DIGITS = 6
_FIGURE = "\N{FIGURE SPACE}"


def word_consumption(content: StatementContent, words: Words) -> Table:
    """Per fraction: metered, substitutes, minimum, billed; whether the minimum applied; each substitute's method."""
    rows = tuple(
        (
            words.name_of("fraction", part.fraction),
            words.litres(part.volumes.metered_ml),
            words.litres(part.volumes.substitute_ml),
            words.litres(part.volumes.minimum_ml),
            words.litres(part.volumes.billed_ml),
        )
        for part in content.fractions
    )
    return Table(
        title=words("usage.title"),
        columns=(
            Column(words("usage.fraction"), share=1, right=False),
            Column(words("usage.metered")),
            Column(words("usage.substitute")),
            Column(words("usage.minimum")),
            Column(words("usage.billed")),
        ),
        rows=rows,
        notes=(*_minimum_applied(content, words), *_substitutes(content, words)),
    )


def _minimum_applied(content: StatementContent, words: Words) -> tuple[str, ...]:
    applied = tuple(
        words("usage.minimum_applied", fraction=words.name_of("fraction", part.fraction))
        for part in content.fractions
        if part.volumes.minimum_ml > part.volumes.metered_ml + part.volumes.substitute_ml
    )
    return applied or (words("usage.minimum_not_applied"),)


def _substitutes(content: StatementContent, words: Words) -> tuple[str, ...]:
    return tuple(
        words(
            "usage.substitute_line",
            fraction=words.name_of("fraction", line.fraction),
            lock=line.lock,
            chamber=line.chamber,
            litres=words.litres(line.volume_ml),
            method=words.name_of("method", line.method),
            sources=", ".join(line.sources) or "–",
        )
        for line in content.substitutes
    )


def word_chambers(content: StatementContent, words: Words) -> Table:
    """Own pours and register readings by chamber: the difference of a register is the sum of everybody's pours."""
    columns = (
        Column(words("chambers.lock"), share=1, right=False),
        Column(words("chambers.fraction"), share=1, right=False),
        Column(words("chambers.size")),
        Column(words("chambers.pours")),
        Column(words("chambers.litres")),
        Column(words("chambers.start")),
        Column(words("chambers.end")),
        Column(words("chambers.cycles")),
    )
    notes = [words("chambers.note")]
    degraded = sum(line.degraded for line in content.chambers)
    lost = sum(span.lost for line in content.chambers for span in line.registers)
    if degraded:
        notes.append(words("chambers.degraded", count=words.number(degraded)))
    if lost:
        notes.append(words("chambers.lost", count=words.number(lost)))
    rows = tuple(_chamber(line, words) for line in content.chambers)
    return Table(title=words("chambers.title"), columns=columns, rows=rows, notes=tuple(notes))


def _chamber(line: ChamberLine, words: Words) -> tuple[str, ...]:
    spans = line.registers
    return (
        f"{line.lock} / {line.chamber}",
        words.name_of("fraction", line.fraction),
        words.litres(line.chamber_ml),
        words.number(line.pours),
        words.litres(line.volume_ml, unit=False),
        "\n".join(words.number(span.start) for span in spans),
        "\n".join(words.number(span.end) for span in spans),
        "\n".join(words.number(span.cycles) for span in spans),
    )


def word_charts(content: StatementContent, words: Words) -> Charts:
    """The months' consumption against the house's average and the year before, one chart a fraction."""
    known = any(month.previous_ml is not None for chart in content.charts for month in chart.months)
    legend = [words("chart.own"), words("chart.average")]
    if known:
        legend.append(words("chart.previous"))
    return Charts(
        title=words("chart.title"),
        legend=tuple(legend),
        charts=tuple(_bars(chart, words) for chart in content.charts),
        notes=() if known else (words("chart.no_previous"),),
    )


def _bars(chart: Chart, words: Words) -> Bars:
    months = chart.months
    highest = max((max(m.own_ml, m.average_ml, m.previous_ml or 0) for m in months), default=0)
    step = _tick_ml(highest)
    top = max(step, -(-highest // step) * step)
    caption = words.name_of("fraction", chart.fraction)
    values = ", ".join(f"{words.month(m.month)} {words.litres(m.own_ml, unit=False)}" for m in months)
    return Bars(
        caption=caption,
        months=tuple(words.month(m.month) for m in months),
        own=tuple(m.own_ml for m in months),
        average=tuple(m.average_ml for m in months),
        previous=tuple(m.previous_ml for m in months),
        top=top,
        ticks=tuple((at, words.litres(at, unit=False)) for at in range(0, top + 1, step)),
        alt=words("chart.alt", fraction=caption, values=values),
    )


def _tick_ml(highest_ml: int) -> int:
    """Return the step between ticks: 1, 2 or 5 times a power of ten litres, so that there are at most five."""
    step, factors = 1000, (2, 5, 2)
    for index in range(30):
        if step * _TICKS >= highest_ml:
            return step
        # 1 -> 2 -> 5 -> 10: times 2, times 2.5, times 2
        step = step * factors[index % 3] // (1, 2, 1)[index % 3]
    raise ValueError(f"{highest_ml} ml in one month")


def word_annex(content: StatementContent, words: Words) -> tuple[Listing, ...]:
    """The party's own pours, one line each, with local time and offset; jams hang below their pour."""
    pours = sorted(content.pours, key=lambda pour: (pour.at, pour.lock, pour.epoch, pour.seq))
    if not pours:
        return (Listing(title=words("annex.title"), intro=words("annex.none")),)
    chips = sorted({pour.credential for pour in pours} - {""})
    names = ("at", "litres", "record", "lock", *(("chip",) if len(chips) > 1 else ()))
    heads = tuple(words(f"annex.{name}") for name in names)
    cells = _pad(heads, [_pour(pour, len(chips) > 1, words) for pour in pours])
    intro = words(
        "annex.intro",
        count=words.number(len(pours)),
        litres=words.litres(sum(pour.volume_ml for pour in pours)),
        clocks=_clocks(pours, words),
        chips=", ".join(chip[:_CREDENTIAL_DIGITS] for chip in chips) or "–",
    )
    lines = list(zip(pours, cells, strict=True))
    groups = tuple(
        _group(month, list(members), words)
        for month, members in groupby(lines, key=lambda line: f"{line[0].at:%Y-%m}")
    )
    return (Listing(title=words("annex.title"), intro=intro, heads=heads, groups=groups),)


def _group(month: str, lines: list[tuple[OwnPour, tuple[str, ...]]], words: Words) -> Group:
    litres = words.litres(sum(pour.volume_ml for pour, _ in lines))
    remarks = ((index, _remark(pour, words)) for index, (pour, _) in enumerate(lines))
    return Group(
        words("annex.month", month=words.long_month(month), count=words.number(len(lines)), litres=litres),
        tuple(cells for _, cells in lines),
        tuple((index, text) for index, text in remarks if text),
    )


def _pour(pour: OwnPour, with_chip: bool, words: Words) -> tuple[str, ...]:
    cells = (
        f"{words.clock(pour.at)} ±{_span(pour.uncertainty_s, words)}",
        words.litres(pour.volume_ml, unit=False),
        f"{pour.epoch}/{pour.seq}",
        f"{pour.lock}/{pour.chamber}",
    )
    return (*cells, pour.credential[:_CREDENTIAL_DIGITS]) if with_chip else cells


def _pad(heads: tuple[str, ...], lines: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Make a column's cells equally long with figure spaces, which are a digit wide: times begin, figures end alike."""
    widths = [max(map(len, column)) for column in zip(heads, *lines, strict=True)]

    def pad(line: tuple[str, ...]) -> tuple[str, ...]:
        rest = zip(line[1:], widths[1:], strict=True)
        return (line[0].ljust(widths[0], _FIGURE), *(cell.rjust(width, _FIGURE) for cell, width in rest))

    return [pad(line) for line in lines]


def _remark(pour: OwnPour, words: Words) -> str:
    texts = [words("annex.jam", time=f"{jam:%H:%M:%S}") for jam in pour.jams]
    if pour.degraded:
        texts.append(words("annex.degraded"))
    return "; ".join(texts)


def _clocks(pours: list[OwnPour], words: Words) -> str:
    """Return how good the times are: for each grade how many pours, and the worst uncertainty among them."""
    worst: dict[str, int] = {}
    for pour in pours:
        worst[pour.clock] = max(worst.get(pour.clock, 0), pour.uncertainty_s)
    counts = Counter(pour.clock for pour in pours)
    return ", ".join(
        f"{words.name_of('clock', grade)} ({words.number(counts[grade])}, ±{_span(worst[grade], words)})"
        for grade in sorted(worst, key=lambda grade: worst[grade])
    )


def _span(seconds: int, words: Words) -> str:
    """Return a time span in its largest fitting unit, rounded up: an uncertainty is never understated."""
    for unit_s, key in ((86_400, "span.days"), (3600, "span.hours"), (60, "span.minutes")):
        if seconds >= 2 * unit_s:
            return words(key, count=words.number(-(-seconds // unit_s)))
    return words("span.seconds", count=words.number(seconds))
