"""Prints a comparison of truth and ledger: a table for each lock, the differences, and one sentence at the end."""

from rich.console import Console
from rich.table import Table

from demo.compare import Comparison

_LEAST_WIDTH = 110


def report_console() -> Console:
    """Return a console wide enough for the table, also where the output is a file."""
    console = Console()
    return console if console.is_terminal else Console(width=_LEAST_WIDTH)


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print all of it; the last line says whether truth and ledger are equal."""
    table = Table(title="truth (controllers) and ledger (cloud)")
    table.add_column("lock")
    columns = (
        "truth",
        "ledger",
        "missing",
        "extra",
        "doubled",
        "differing",
        "registers",
        "Σ truth",
        "Σ ledger",
    )
    for heading in columns:
        table.add_column(heading, justify="right")
    for lock in comparison.locks:
        faults = (len(lock.missing), len(lock.extra), len(lock.doubled), len(lock.differing))
        counts = (f"{n:,}" for n in (lock.truth, lock.ledger, *faults))
        registers = f"{len(lock.registers)} breaks" if lock.registers else "hold"
        volumes = (_litres(ml) for ml in (lock.truth_ml, lock.ledger_ml))
        table.add_row(lock.lock, *counts, registers, *volumes, style="" if lock.equal else "bold red")
    console.print(table)
    for line in comparison.differences():
        console.print(line, highlight=False, markup=False)
    verdict = "EQUAL: none lost, none twice" if comparison.equal else "NOT EQUAL"
    console.print(f"{comparison.events:,} events in truth; ledger and truth are {verdict}.", style="bold")


def _litres(ml: int) -> str:
    return f"{ml / 1000:,.0f} l"
