"""What a bench found: figure, baseline of the same run, ratio, goal, and whether it was met. No I/O.

Figures are medians of repeated measurements. A shared machine makes them wander, so what is compared is the ratio to a
baseline that was measured in the same minutes; goals that are absolute say so.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median, quantiles
from typing import Literal

_FEW = 4  # samples: below that there is no middle half


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound for a row's figure or for its ratio to the baseline. `bound` is in the figure's unit, or a factor."""

    of: Literal["figure", "ratio"]
    sense: Literal["at least", "at most"]
    bound: float

    def is_met(self, value: float) -> bool:
        return value >= self.bound if self.sense == "at least" else value <= self.bound


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the figure is compared with, in the same unit, measured in the same run.

    `paired`: each sample was measured right before or after the row's sample of the same place. Then these two are
    compared, and the ratio is the median of their ratios.
    """

    what: str
    samples: tuple[float, ...]
    paired: bool = False

    @property
    def figure(self) -> float:
        return median(self.samples)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `samples`: what was measured, at least once; the figure is their median."""

    what: str
    unit: str
    samples: tuple[float, ...]
    baseline: Baseline | None = None
    goal: Goal | None = None
    bench: str = ""

    @property
    def figure(self) -> float:
        return median(self.samples)

    @property
    def ratios(self) -> tuple[float, ...]:
        """Figure by baseline, of each pair of samples or of all together; empty where there is none, or it is 0."""
        if self.baseline is None or self.baseline.figure == 0:
            return ()
        if self.baseline.paired:
            return tuple(mine / its for mine, its in zip(self.samples, self.baseline.samples, strict=True))
        return (self.figure / self.baseline.figure,)

    @property
    def ratio(self) -> float | None:
        """Figure by baseline, None where there is none."""
        return median(self.ratios) if self.ratios else None

    @property
    def spread(self) -> float:
        """Half of the range that the middle half of the samples takes, by their median (of up to four: of all)."""
        return _spread(self.samples)

    @property
    def met(self) -> bool | None:
        """True or False; None where the row has no goal. A goal for a ratio that there isn't is missed."""
        if self.goal is None:
            return None
        value = self.figure if self.goal.of == "figure" else self.ratio
        return value is not None and self.goal.is_met(value)

    def as_json(self) -> dict[str, object]:
        """Return everything that is known of the row, for machines."""
        return {
            "bench": self.bench,
            "what": self.what,
            "unit": self.unit,
            "figure": self.figure,
            "samples": list(self.samples),
            "baseline": None if self.baseline is None else self.baseline.figure,
            "baseline_what": None if self.baseline is None else self.baseline.what,
            "baseline_samples": [] if self.baseline is None else list(self.baseline.samples),
            "ratio": self.ratio,
            "ratios": list(self.ratios),
            "goal": None if self.goal is None else asdict(self.goal),
            "met": self.met,
        }


def _spread(samples: Sequence[float]) -> float:
    low, high = min(samples), max(samples)
    if len(samples) > _FEW:
        low, _, high = quantiles(samples, n=4)
    middle = median(samples)
    return (high - low) / 2 / middle if middle else 0.0


@dataclass(slots=True)
class _Column:
    title: str
    right: bool = False
    cells: list[str] = field(default_factory=list)


def render(rows: Sequence[Row]) -> str:
    """Return the table as text, one row a line, columns aligned."""
    columns = [
        _Column("bench"), _Column("measured"), _Column("figure", right=True), _Column("unit"),
        _Column("spread", right=True),
        _Column("baseline", right=True), _Column("ratio", right=True), _Column("goal"), _Column("met"),
    ]  # fmt: skip
    for row in rows:
        for column, cell in zip(columns, _cells(row), strict=True):
            column.cells.append(cell)
    widths = [max(map(len, (column.title, *column.cells))) for column in columns]
    lines = [_line(columns, widths, [column.title for column in columns]), "  ".join("-" * w for w in widths)]
    lines += [_line(columns, widths, list(cells)) for cells in zip(*(c.cells for c in columns), strict=True)]
    notes = _baseline_notes(rows)
    return "\n".join([*lines, "", *notes] if notes else lines)


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.bench,
        row.what,
        number(row.figure),
        row.unit,
        f"±{100 * row.spread:.0f} %" if len(row.samples) > 1 else "",
        "" if row.baseline is None else number(row.baseline.figure),
        _ratio_text(row),
        goal_text(row),
        {None: "", True: "yes", False: "NO"}[row.met],
    )


def _ratio_text(row: Row) -> str:
    if row.ratio is None:
        return ""
    spread = f" ±{100 * _spread(row.ratios):.0f} %" if len(row.ratios) > 1 else ""
    return f"{row.ratio:.2f}{spread}"


def goal_text(row: Row) -> str:
    """Return the goal as people read it: `≥ 10,000 records/s`, `ratio ≤ 1.5`; "" where there is none."""
    if row.goal is None:
        return ""
    sign = "≥" if row.goal.sense == "at least" else "≤"
    if row.goal.of == "ratio":
        return f"ratio {sign} {number(row.goal.bound)}"
    return f"{sign} {number(row.goal.bound)} {row.unit}"


def number(value: float) -> str:
    """Return a number with three or more significant digits and no more than tell something."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _line(columns: Sequence[_Column], widths: Sequence[int], cells: Sequence[str]) -> str:
    padded = [
        cell.rjust(width) if column.right else cell.ljust(width)
        for column, width, cell in zip(columns, widths, cells, strict=True)
    ]
    return "  ".join(padded).rstrip()


def _baseline_notes(rows: Sequence[Row]) -> list[str]:
    """Say what each baseline is, once."""
    notes = {(row.bench, row.baseline.what): None for row in rows if row.baseline is not None}
    return [f"baseline of {bench}: {what}" for bench, what in notes]
