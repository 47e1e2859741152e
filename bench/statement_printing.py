"""What a printed statement costs: letter of two pages, chart, annex with 157 pours, PDF/A-3a and PDF/UA-1, on one core.

figure    PDFs per second of CPU time, from exact content to bytes
baseline  typst alone, an almost empty page with the same fonts and standards

Statements of one property, as they are printed in a run: what differs is the party, its pours and all its figures.
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import typst

from bench.table import Baseline, Goal, Row
from bench.workplace import BenchFailed, Workplace
from billing_aggregator.documents.blocks import Letter
from billing_aggregator.documents.content import StatementContent
from billing_aggregator.documents.letter import word_statement
from billing_aggregator.documents.typesetting import Typesetter
from tests.unit.billing_aggregator.statement_contents import make_statement

_UNIT = "PDFs/CPU-s"
_GOAL = Goal("figure", "at least", 20)
_POURS = 157  # a year's of an average household: 110 million of 700,000
_EMPTY = """#set document(title: "Empty", date: datetime(year: 2026, month: 3, day: 2))
#set text(lang: "de")
= Statement
Party #sys.inputs.number"""


def run(place: Workplace) -> list[Row]:
    many = place.pick(40, 10)
    small = _contents(1, many * place.pick(7, 3))
    large = _contents(4, many * place.pick(7, 3))
    subjects: dict[str, Callable[[], None]] = {
        "one fraction": _printing(small, many),
        "four fractions, twelve costs": _printing(large, many),
        "empty": _empty_pages(place.directory, many),
    }
    place.say(f"{many} statements of each kind, over and over")
    rates: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(place.pick(7, 3)):
        for name, subject in subjects.items():
            rates[name].append(many / _cpu_s(subject))
    baseline = Baseline("typst, an almost empty page", tuple(rates.pop("empty")))
    goals = {"one fraction": _GOAL}
    return [
        Row(f"statement, {name}", _UNIT, tuple(mine), baseline, goals.get(name))
        for name, mine in rates.items()
    ]


def _cpu_s(action: Callable[[], None]) -> float:
    began_s = time.process_time()
    action()
    return time.process_time() - began_s


def _contents(fractions: int, count: int) -> Iterator[StatementContent]:
    """Return statements, made before anything is measured; no two are alike, so that none can be had from another."""
    costs = 12 if fractions > 1 else 2
    pours = range(_POURS - 20, _POURS + 21)
    made = [
        make_statement(fractions, costs, pours[number % len(pours)], party=f"T{number}")
        for number in range(count)
    ]
    return iter(made)


def _printing(contents: Iterator[StatementContent], many: int) -> Callable[[], None]:
    typesetter = Typesetter(Letter)

    def print_some() -> None:
        for content in islice(contents, many):
            if not typesetter.typeset(word_statement(content)).archival:
                raise BenchFailed("a statement isn't PDF/A")

    return print_some


def _empty_pages(directory: Path, many: int) -> Callable[[], None]:
    page = directory / "empty.typ"
    page.write_text(_EMPTY)
    compiler = typst.Compiler(page, font_paths=typst.Fonts(include_system_fonts=False))
    dated = datetime(2026, 3, 2, tzinfo=UTC)
    counter = iter(range(10**9))

    def print_some() -> None:
        for _ in range(many):
            compiler.compile(
                format="pdf",
                sys_inputs={"number": str(next(counter))},
                pdf_standards=["a-3a", "ua-1"],
                timestamp=dated,
            )

    return print_some
