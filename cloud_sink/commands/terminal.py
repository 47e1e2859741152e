"""What all commands share: options, exit codes, signals."""

import getpass
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Annotated, Literal

import typer

from cloud_sink.config import load_config
from cloud_sink.errors import (
    EXIT_CONFIG,
    EXIT_REFUSED,
    EXIT_REJECTED,
    EXIT_SOFTWARE,
    ConfigError,
    InputRejected,
    NotPossible,
    SinkError,
)
from cloud_sink.operating import Author, Operations
from cloud_sink.reading import LedgerReader
from wastelock.page import parse_instant

ConfigOption = Annotated[Path, typer.Option("--config", help="The sink's configuration (TOML).")]
LockOption = Annotated[str | None, typer.Option(help="Only this lock (serial number in hexadecimal).")]
JsonOption = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]
ActorOption = Annotated[
    str | None, typer.Option("--actor", help="Who does it; by default the operating system's user.")
]
LogFormatOption = Annotated[
    Literal["auto", "json", "logfmt"],
    typer.Option("--log-format", help="Of the log; auto: logfmt on a terminal, else JSON."),
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; kept with what was done.")]

_EXIT_CODES: tuple[tuple[type[SinkError], int], ...] = (
    (ConfigError, EXIT_CONFIG),
    (InputRejected, EXIT_REJECTED),
    (NotPossible, EXIT_REFUSED),
)


@contextmanager
def exit_codes() -> Iterator[None]:
    """The only place that catches the base class: each error becomes a message and an exit code."""
    try:
        yield
    except SinkError as error:
        problems = error.problems if isinstance(error, ConfigError | InputRejected) else [str(error)]
        for problem in problems:
            typer.echo(f"cloud-sink: {problem}", err=True)
        code = next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), EXIT_SOFTWARE)
        raise typer.Exit(code) from error


@contextmanager
def opened_reader(config: Path) -> Iterator[LedgerReader]:
    """The ledger that this configuration names, for one command that only reads."""
    with exit_codes():
        reader = LedgerReader(load_config(config).ledger.url)
        try:
            yield reader
        finally:
            reader.close()


@contextmanager
def opened_operations(config: Path) -> Iterator[Operations]:
    """The same ledger, for one command that decides something."""
    with exit_codes():
        operations = Operations(load_config(config).ledger.url, now)
        try:
            yield operations
        finally:
            operations.close()


def make_author(actor: str | None, reason: str) -> Author:
    """Return who does it, and why: what --actor says, or the operating system's user."""
    if actor is not None and not actor.strip():
        raise typer.BadParameter("--actor must name somebody")
    return Author(actor.strip() if actor is not None else getpass.getuser(), reason)


def now() -> datetime:
    """Return the present instant."""
    return datetime.now(UTC)


def parse_since(text: str, option: str) -> datetime:
    """Return the instant that an option names."""
    try:
        return parse_instant(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"{option}: expected an instant such as 2026-11-22T09:31:01Z: {error}"
        ) from error


def stop_on_signals() -> threading.Event:
    """Return an event that SIGTERM and Ctrl-C set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, setter(stop))
    return stop


def setter(event: threading.Event) -> Callable[[int, FrameType | None], None]:
    """Return a signal handler that sets an event; by another thread, since this one may just hold the event's lock."""
    return lambda _number, _frame: threading.Thread(target=event.set).start()
