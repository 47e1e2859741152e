"""The command line of the cloud sink."""

import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from random import Random
from types import FrameType
from typing import Annotated

import msgspec
import structlog
import typer

from cloud_sink import presenting
from cloud_sink.config import ProjectionsSection, load_config
from cloud_sink.errors import EXIT_CONFIG, EXIT_SOFTWARE, ConfigError, SinkError
from cloud_sink.exporting import write_lines
from cloud_sink.gaps import PageGap, RecordGap
from cloud_sink.keys import load_pseudonyms, make_pseudonym_key
from cloud_sink.patience import Patience
from cloud_sink.presenting import progress_on_stderr
from cloud_sink.projector import Projector
from cloud_sink.pseudonymising import pseudonymise_column, pseudonymise_lines
from cloud_sink.reading import LedgerReader
from cloud_sink.sink import Sink, reprocess_ledger, tune_interpreter
from wastelock.page import parse_instant

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Takes signed pages off MQTT into the append-only ledger, exactly once, and answers questions about it.\n\n"
    "Example: cloud-sink run --config config/cloud-sink.toml",
)
ConfigOption = Annotated[Path, typer.Option("--config", help="The sink's configuration (TOML).")]
LockOption = Annotated[str | None, typer.Option(help="Only this lock (serial number in hexadecimal).")]
JsonOption = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]


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
        for number, event in ((signal.SIGTERM, stop), (signal.SIGINT, stop), (signal.SIGHUP, reload)):
            signal.signal(number, _setter(event))
        sink = Sink(load_config(config))
        tune_interpreter()
        sink.run(stop, reload)


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
    lock: LockOption = None,
    since: Annotated[str | None, typer.Option(help="Committed at or after: 2026-11-22T09:00:00Z.")] = None,
) -> None:
    """Print each entry as a JSON line, in the order in which they were committed.

    Example: cloud-sink export --config config/cloud-sink.toml --lock 1f00a3 --since 2026-11-01T00:00:00Z
    """
    with _reader(config) as reader:
        after = reader.position_before(_instant(since)) if since else 0
        write_lines(reader.all_entries(after, lock), sys.stdout.buffer)


@app.command()
def gaps(config: ConfigOption, lock: LockOption = None, json: JsonOption = False) -> None:
    """List missing records of locks and missing pages of gateways, each buffered or lost, and why.

    Example: cloud-sink gaps --config config/cloud-sink.toml --lock 1f00a3
    """
    with _reader(config) as reader:
        found: list[PageGap | RecordGap] = [*reader.record_gaps(lock), *([] if lock else reader.page_gaps())]
        presenting.print_all(found, presenting.gap, json, sys.stdout, "nothing is missing")


@app.command()
def reconcile(config: ConfigOption, lock: LockOption = None, json: JsonOption = False) -> None:
    """Compare each chamber's pours with its register: the proof that none is missing and none is there twice.

    Example: cloud-sink reconcile --config config/cloud-sink.toml
    """
    with _reader(config) as reader:
        presenting.print_all(
            reader.runs(lock), presenting.run, json, sys.stdout, "no register was ever recorded"
        )


@app.command()
def disputes(
    config: ConfigOption,
    json: JsonOption = False,
    resolved: Annotated[bool, typer.Option("--resolved", help="Also those that are resolved.")] = False,
) -> None:
    """List contradictions: pages and records of which two versions came, broken chains, wrong MACs.

    Example: cloud-sink disputes --config config/cloud-sink.toml
    """
    with _reader(config) as reader:
        found = reader.disputes(resolved=resolved)
        presenting.print_all(found, presenting.dispute, json, sys.stdout, "nothing is disputed")


@app.command()
def quarantine(config: ConfigOption, json: JsonOption = False) -> None:
    """List messages that weren't taken, and records that were but can't be read.

    Example: cloud-sink quarantine --config config/cloud-sink.toml
    """
    with _reader(config) as reader:
        found = reader.quarantine()
        presenting.print_all(found, presenting.quarantined, json, sys.stdout, "the quarantine is empty")


@app.command()
def journals(config: ConfigOption, json: JsonOption = False) -> None:
    """List the gateways' journals and how far custody of each goes.

    Example: cloud-sink journals --config config/cloud-sink.toml
    """
    with _reader(config) as reader:
        presenting.print_all(reader.journals(), presenting.journal, json, sys.stdout, "no page ever came")


@app.command()
def reprocess(config: ConfigOption, json: JsonOption = False) -> None:
    """Try again what wasn't taken or couldn't be read: after keys were added or the sink was upgraded.

    Example: cloud-sink reprocess --config config/cloud-sink.toml
    """
    _log_to_stderr(logging.INFO)
    with _exit_codes():
        result = reprocess_ledger(load_config(config))
        typer.echo(msgspec.json.encode(result).decode() if json else presenting.counts(result))


@app.command()
def project(
    config: ConfigOption,
    once: Annotated[bool, typer.Option("--once", help="Catch up with the ledger, then end.")] = False,
) -> None:
    """Keep usage per day up to date as entries arrive, until SIGTERM or Ctrl-C: billing sums it instead of raw entries.

    Example: cloud-sink project --config config/cloud-sink.toml --once
    """
    _log_to_stderr(logging.INFO)
    with _exit_codes(), _projector(config) as (projector, settings):
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _setter(stop))
        if once:
            with progress_on_stderr("usage per day") as progress:
                projector.catch_up(stop, progress)
        else:
            projector.run(stop, settings.idle_s, Patience(Random()))


@app.command()
def rebuild(
    config: ConfigOption,
    projection: Annotated[str, typer.Argument(help="Which projection: usage.")],
) -> None:
    """Drop a projection and build it anew from the ledger; the same comes out as if it had been kept all the time.

    Example: cloud-sink rebuild usage --config config/cloud-sink.toml
    """
    if projection != "usage":
        raise typer.BadParameter(f"there is no projection {projection!r}: expected usage")
    _log_to_stderr(logging.INFO)
    with _exit_codes(), _projector(config) as (projector, _):
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _setter(stop))
        projector.prepare(anew=True)
        with progress_on_stderr("usage per day") as progress:
            projector.catch_up(stop, progress)


@app.command()
def pseudonym(
    config: ConfigOption,
    column: Annotated[
        str | None, typer.Option(help="Read CSV, and replace the numbers in this column.")
    ] = None,
) -> None:
    """Turn transponders' numbers on standard input into pseudonyms, for master data: a line each, or a CSV's column.

    Example: cloud-sink pseudonym --config config/cloud-sink.toml --column credential < raw.csv > credentials.csv
    """
    with _exit_codes():
        pseudonyms = load_pseudonyms(load_config(config).keys.pseudonym_key)
        if column is None:
            for line in pseudonymise_lines(sys.stdin, pseudonyms):
                typer.echo(line)
        else:
            pseudonymise_column(sys.stdin, sys.stdout, column, pseudonyms)


@contextmanager
def _projector(config: Path) -> Iterator[tuple[Projector, ProjectionsSection]]:
    loaded = load_config(config)
    settings = loaded.projections
    projector = Projector(
        loaded.ledger.url, loaded.projections_url, settings.time_zone, settings.batch_entries
    )
    try:
        yield projector, settings
    finally:
        projector.close()


def _setter(event: threading.Event) -> Callable[[int, FrameType | None], None]:
    """Return a signal handler that sets an event; by another thread, since this one may just hold the event's lock."""
    return lambda _number, _frame: threading.Thread(target=event.set).start()


@contextmanager
def _reader(config: Path) -> Iterator[LedgerReader]:
    with _exit_codes():
        reader = LedgerReader(load_config(config).ledger.url)
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
        typer.echo(f"cloud-sink: {error}", err=True)
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
    )
