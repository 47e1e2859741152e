"""The command line of the cloud sink."""

import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

import structlog
import typer

from cloud_sink.config import Config, load_config
from cloud_sink.errors import EXIT_CONFIG, EXIT_SOFTWARE, ConfigError, SinkError
from cloud_sink.exporting import write_lines
from cloud_sink.keys import make_pseudonym_key
from cloud_sink.reading import LedgerReader
from cloud_sink.sink import Sink
from wastelock.page import parse_instant

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Takes signed pages off MQTT into the append-only ledger, exactly once, and answers questions about it.\n\n"
    "Example: cloud-sink run --config config/cloud-sink.toml",
)
ConfigOption = Annotated[Path, typer.Option("--config", help="The sink's configuration (TOML).")]


def main() -> None:
    """Entry point of the program `cloud-sink`."""
    app()


@app.command()
def run(
    config: ConfigOption, verbose: Annotated[bool, typer.Option(help="Log each commit.")] = False
) -> None:
    """Take in pages until SIGTERM or Ctrl-C; SIGHUP reads the key files again.

    Example: cloud-sink run --config config/cloud-sink.toml
    """
    _log_to_stderr(logging.DEBUG if verbose else logging.INFO)
    with _exit_codes():
        stop, reload = threading.Event(), threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        signal.signal(signal.SIGHUP, lambda *_: reload.set())
        Sink(load_config(config)).run(stop, reload)


@app.command()
def keygen(config: ConfigOption) -> None:
    """Make the pseudonym key that the configuration names, readable by its owner only. Never replaces one.

    Example: cloud-sink keygen --config config/cloud-sink.toml
    """
    with _exit_codes():
        path = load_config(config).keys.pseudonym_key
        make_pseudonym_key(path)
        typer.echo(
            f"{path}: made. Keep a copy in a safe place: without it nobody's pours can be told apart any more."
        )


@app.command()
def export(
    config: ConfigOption,
    lock: Annotated[str | None, typer.Option(help="Only this lock (serial number in hexadecimal).")] = None,
    since: Annotated[str | None, typer.Option(help="Committed at or after: 2026-11-22T09:00:00Z.")] = None,
) -> None:
    """Print each entry as a JSON line, in the order in which they were committed.

    Example: cloud-sink export --config config/cloud-sink.toml --lock 1f00a3 --since 2026-11-01T00:00:00Z
    """
    with _reader(load_config_or_exit(config)) as reader:
        after = reader.position_before(_instant(since)) if since else 0
        write_lines(reader.all_entries(after, lock), sys.stdout.buffer)


def load_config_or_exit(path: Path) -> Config:
    with _exit_codes():
        return load_config(path)


@contextmanager
def _reader(config: Config) -> Iterator[LedgerReader]:
    with _exit_codes():
        reader = LedgerReader(config.ledger.url)
        try:
            yield reader
        finally:
            reader.close()


def _instant(text: str) -> datetime:
    try:
        return parse_instant(text)
    except ValueError as error:
        raise typer.BadParameter(f"expected an instant such as 2026-11-22T09:31:01Z: {error}") from error


@contextmanager
def _exit_codes() -> Iterator[None]:
    """The only place that catches the base class: each error becomes a message and an exit code."""
    try:
        yield
    except ConfigError as error:
        for problem in error.problems:
            typer.echo(f"cloud-sink: {problem}", err=True)
        raise typer.Exit(EXIT_CONFIG) from error
    except SinkError as error:
        cause = f": {error.__cause__!r}" if error.__cause__ else ""
        typer.echo(f"cloud-sink: {error}{cause}", err=True)
        raise typer.Exit(EXIT_SOFTWARE) from error


def _log_to_stderr(level: int) -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
