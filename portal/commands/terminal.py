"""What all commands share: options, exit codes, tables for people, JSON for programs."""

import getpass
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from portal.accounts.book import Accounts
from portal.config import load_config
from portal.errors import (
    EXIT_CONFIG,
    EXIT_REFUSED,
    EXIT_SOFTWARE,
    ConfigError,
    NotThere,
    PortalError,
    Refused,
)
from portal.words.catalog import load_words

_PIPE_WIDTH = 250

ConfigOption = Annotated[Path, typer.Option("--config", help="The portal's configuration (TOML).")]
LogFormatOption = Annotated[
    Literal["auto", "json", "logfmt"],
    typer.Option("--log-format", help="Of the log; auto: logfmt on a terminal, else JSON."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]


def name_actor() -> str:
    """Return who does it, for the log of writes: the operating system's user."""
    return f"cli:{getpass.getuser()}"


@contextmanager
def open_accounts(config: Path) -> Iterator[Accounts]:
    """The accounts that this configuration names, for one command; errors become messages and exit codes."""
    with exit_codes():
        accounts = Accounts(load_config(config).accounts)
        try:
            accounts.prepare()
            yield accounts
        finally:
            accounts.close()


@contextmanager
def exit_codes() -> Iterator[None]:
    """The only place that catches the base class: each error becomes a message and an exit code."""
    try:
        yield
    except ConfigError as error:
        _say(error.problems)
        raise typer.Exit(EXIT_CONFIG) from error
    except (Refused, NotThere) as error:
        _say([explain(error)])
        raise typer.Exit(EXIT_REFUSED) from error
    except PortalError as error:
        _say(str(error).splitlines())
        raise typer.Exit(EXIT_SOFTWARE) from error


def explain(error: Refused | NotThere) -> str:
    """Return in words why something isn't possible."""
    return load_words()["en"].t(error.word, **error.values) if isinstance(error, Refused) else str(error)


def print_all(
    rows: Sequence[Any], as_json: bool, columns: Sequence[str], cells: Iterable[Sequence[object]], none: str
) -> None:
    """Print each as a line of JSON, or all as a table; `none` where there are none."""
    if as_json:
        for row in rows:
            sys.stdout.write(msgspec.json.encode(row).decode() + "\n")
        return
    if not rows:
        sys.stdout.write(none + "\n")
        return
    table = Table(*columns)
    for line in cells:
        table.add_row(*("" if cell is None else escape(str(cell)) for cell in line))
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else _PIPE_WIDTH).print(table)


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stderr.write(f"portal: {line}\n")
