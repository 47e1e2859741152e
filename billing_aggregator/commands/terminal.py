"""What all commands share: options, exit codes, tables for people, JSON for programs, progress on standard error."""

import getpass
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from billing_aggregator.config import load_config
from billing_aggregator.errors import BillingError, ConfigError, InputRejected, StoreUnavailable
from billing_aggregator.runs.books import Books, open_books
from billing_aggregator.runs.document import encode_values

PROGRAM = "billing-aggregator"
_PIPE_WIDTH = 250
EXIT_REFUSED = 1  # an illegal step, nothing by that name, or two things that should be equal differ
EXIT_REJECTED = 65  # sysexits.h EX_DATAERR: correct the input
EXIT_TRY_LATER = 75  # EX_TEMPFAIL
EXIT_CONFIG = 78  # EX_CONFIG: a restart won't help

ConfigOption = Annotated[Path, typer.Option("--config", help="Billing's configuration (TOML).")]
JsonOption = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]
ActorOption = Annotated[
    str | None, typer.Option("--actor", help="Who does it; by default the operating system's user.")
]
RequiredReason = Annotated[str, typer.Option("--reason", help="Why; kept with the step.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; kept with the step.")]


def now() -> datetime:
    """Return the present instant, whole milliseconds as the database keeps them."""
    present = datetime.now(UTC)
    return present.replace(microsecond=present.microsecond // 1000 * 1000)


def name_actor(actor: str | None) -> str:
    """Return who does it: what --actor says, or the operating system's user."""
    if actor is not None and not actor.strip():
        raise typer.BadParameter("--actor must name somebody")
    return actor.strip() if actor is not None else getpass.getuser()


def parse_day(text: str | None, option: str) -> date | None:
    """Return the day that an option names, None if it isn't given."""
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{option}: {text!r} isn't a day: expected 2026-01-31") from None


def parse_instant(text: str | None, option: str) -> datetime | None:
    """Return the instant (UTC, whole milliseconds) that an option names, None if it isn't given."""
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is None:
            raise ValueError("it has no offset")
    except ValueError as error:
        raise typer.BadParameter(
            f"{option}: {text!r} is no instant ({error}): expected one such as 2026-03-01T12:00:00Z"
        ) from None
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000).astimezone(UTC)


@contextmanager
def opened(config: Path) -> Iterator[Books]:
    """The books that this configuration names, for one command; errors become messages and exit codes."""
    with exit_codes(), open_books(load_config(config), now) as books:
        yield books


@contextmanager
def exit_codes() -> Iterator[None]:
    """The only place that catches the base class: each error becomes a message and an exit code."""
    try:
        yield
    except BillingError as error:
        _say(error)
        raise typer.Exit(_exit_code(error)) from error


def print_json(values: object) -> None:
    """Print plain values as one line of canonical JSON (fractions "n/d")."""
    sys.stdout.write(encode_values(values).decode() + "\n")


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], right: str = ""
) -> None:
    """Print a table for people. `right`: first letters of the columns' places, "r" for those set to the right."""
    table = Table(title=title, title_justify="left")
    for place, column in enumerate(columns):
        side: Literal["left", "right"] = "right" if right[place : place + 1] == "r" else "left"
        table.add_column(
            column, justify=side, overflow="fold"
        )  # what is too wide goes on below: ids aren't cut
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    # Into a file or a pipe nothing is cut: there is no edge of a screen.
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else _PIPE_WIDTH).print(table)


def say(text: str) -> None:
    """Print a line for people."""
    sys.stdout.write(text + "\n")


@contextmanager
def progress(what: str, total: int) -> Iterator[Progress]:
    """Progress on standard error, where that is a terminal; `progress.advance(progress.task_ids[0])` moves it."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )
    with bar:
        bar.add_task(what, total=total)
        yield bar


def _say(error: BillingError) -> None:
    if isinstance(error, InputRejected):
        lines: Sequence[object] = error.problems
    elif isinstance(error, ConfigError):
        lines = error.problems
    else:
        lines = str(error).splitlines()
    for line in lines:
        sys.stderr.write(f"{PROGRAM}: {line}\n")


def _exit_code(error: BillingError) -> int:
    if isinstance(error, ConfigError):
        return EXIT_CONFIG
    if isinstance(error, InputRejected):
        return EXIT_REJECTED
    return EXIT_TRY_LATER if isinstance(error, StoreUnavailable) else EXIT_REFUSED
