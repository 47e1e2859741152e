"""Shows a bill beside the second opinion: each party's millilitres, and the cents' sum."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from demo.billing import Bill
from demo.master_files import hundredths
from demo.witness import UNATTRIBUTED, Expected


@dataclass(frozen=True, slots=True)
class Judged:
    """One row in one fraction, by truth and by the run."""

    row: str
    fraction: str
    truth: Expected
    metered_ml: int
    billed_ml: int

    @property
    def equal(self) -> bool:
        return (self.metered_ml, self.billed_ml) == (self.truth.metered_ml, self.truth.billed_ml)


class BillReport:
    """One bill's judgement. `equal`: all millilitres and all sums are what they must be."""

    def __init__(self, bill: Bill) -> None:
        self._bill = bill
        self.judged = tuple(_judge(bill))
        self._charged = {str(row["row"]): int(row["charged_cents"]) for row in bill.run["rows"]}

    @property
    def equal(self) -> bool:
        """True if each party's millilitres equal the truth and the shares' sum is the cost."""
        volumes = all(judged.equal for judged in self.judged) and bool(self.judged)
        return volumes and self._sum_holds and self._bill.run["state"] == "finalized"

    @property
    def _sum_holds(self) -> bool:
        bill = self._bill
        return sum(self._charged.values()) == int(bill.run["total_cents"]) == bill.costs_cents

    def write(self, path: Path) -> None:
        """Write all rows as CSV, volumes in ml and money in cents."""
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["row", "fraction", "truth_ml", "metered_ml", "minimum_ml", "billed_ml", "equal"])
            for one in self.judged:
                minimum = one.truth.minimum_ml
                values = (one.truth.metered_ml, one.metered_ml, minimum, one.billed_ml)
                writer.writerow([one.row, one.fraction, *values, "yes" if one.equal else "NO"])

    def print(self, console: Console, full_table: Path) -> None:
        """Print the rows that are worth a look, and the sums."""
        console.print(self._table())
        different = [judged for judged in self.judged if not judged.equal]
        rows = len({judged.row for judged in self.judged})
        console.print(
            f"{rows} rows in all, {len(different)} differ from the truth; all are in {full_table}\n"
            f"{len(self._bill.statements)} statements are in {full_table.parent / 'statements'}",
            highlight=False,
            soft_wrap=True,
        )
        total, charged = int(self._bill.run["total_cents"]), sum(self._charged.values())
        relation = "=" if self._sum_holds else "≠"
        console.print(
            f"Σ shares {hundredths(charged)} € {relation} apportionable costs {hundredths(total)} €; "
            f"millilitres and truth are {'NOT EQUAL' if different else 'EQUAL'}.",
            style="bold",
        )

    def _table(self) -> Table:
        title = "truth (controllers) and bill, in litres: all who share a dwelling, and what is nobody's"
        table = Table(title=title, box=SIMPLE_HEAD)
        table.add_column("dwelling/party", no_wrap=True)
        fractions = sorted({judged.fraction for judged in self.judged})
        for fraction in fractions:
            for heading in ("truth", "metered", "billed")[: self._columns(fraction)]:
                table.add_column(f"{fraction}\n{heading}", justify="right", no_wrap=True)
        table.add_column("charged\n€", justify="right", no_wrap=True)
        table.add_column("")
        by_key = {(judged.row, judged.fraction): judged for judged in self.judged}
        for row in self._shown_rows():
            found = {fraction: by_key.get((row, fraction)) for fraction in fractions}
            cells = [cell for name, one in found.items() for cell in _cells(one)[: self._columns(name)]]
            equal = all(one is None or one.equal for one in found.values())
            verdict, style = ("equal", "") if equal else ("DIFFERENT", "bold red")
            table.add_row(row, *cells, hundredths(self._charged.get(row, 0)), verdict, style=style)
        sums = [cell for name in fractions for cell in self._sum_cells(name)[: self._columns(name)]]
        table.add_row("Σ all rows", *sums, hundredths(sum(self._charged.values())), "", style="bold")
        return table

    def _columns(self, fraction: str) -> int:
        """Return how many columns a fraction needs: what is billed differs from what is metered by a minimum alone."""
        rows = [judged for judged in self.judged if judged.fraction == fraction]
        return 3 if any(judged.billed_ml != judged.metered_ml for judged in rows) else 2

    def _shown_rows(self) -> Iterator[str]:
        """Yield the rows that differ, those that share a dwelling, and those without a resident; sorted."""
        rows = sorted({judged.row for judged in self.judged} | set(self._charged))
        dwellings = [row.partition("/")[0] for row in rows]
        different = {judged.row for judged in self.judged if not judged.equal}
        for row, dwelling in zip(rows, dwellings, strict=True):
            if row in different or row == UNATTRIBUTED or dwellings.count(dwelling) > 1:
                yield row

    def _sum_cells(self, fraction: str) -> tuple[str, str, str]:
        rows = [judged for judged in self.judged if judged.fraction == fraction]
        sums = (
            sum(r.truth.metered_ml for r in rows),
            sum(r.metered_ml for r in rows),
            sum(r.billed_ml for r in rows),
        )
        return _litres(sums[0]), _litres(sums[1]), _litres(sums[2])


def _judge(bill: Bill) -> Iterator[Judged]:
    billed = {
        (str(row["row"]), str(part["fraction"])): (int(part["metered_ml"]), int(part["billed_ml"]))
        for row in bill.run["rows"]
        for part in row["fractions"]
    }
    for key in sorted({*billed, *bill.expected}):
        metered_ml, billed_ml = billed.get(key, (0, 0))
        yield Judged(*key, bill.expected.get(key, Expected(0, 0)), metered_ml, billed_ml)


def _cells(judged: Judged | None) -> tuple[str, str, str]:
    if judged is None:
        return "", "", ""
    return _litres(judged.truth.metered_ml), _litres(judged.metered_ml), _litres(judged.billed_ml)


def _litres(volume_ml: int) -> str:
    """Return litres, with a dot where they aren't whole."""
    return (
        f"{volume_ml // 1000:,}" if volume_ml % 1000 == 0 else f"{volume_ml // 1000:,}.{volume_ml % 1000:03d}"
    )
