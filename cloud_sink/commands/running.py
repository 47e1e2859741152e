"""`run`, `keygen`, `reprocess`, `pseudonym`: the sink itself, its key, and what was left out."""

import logging
import signal
import sys
import threading
from typing import Annotated

import msgspec
import typer

from cloud_sink import presenting
from cloud_sink.commands.terminal import (
    ConfigOption,
    JsonOption,
    LogFormatOption,
    exit_codes,
    setter,
    stop_on_signals,
)
from cloud_sink.config import load_config
from cloud_sink.interpreter import tune_interpreter
from cloud_sink.keys import load_pseudonyms, make_pseudonym_key
from cloud_sink.log import configure_log
from cloud_sink.metrics import SinkMonitor, serve_in_background
from cloud_sink.metrics_ledger import LedgerWatch
from cloud_sink.pseudonymising import pseudonymise_column, pseudonymise_lines
from cloud_sink.sink import Sink, reprocess_ledger
from cloud_sink.watchdog import notify_in_background
from wastelock.monitoring import parse_address


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    for command in (run, keygen, reprocess, pseudonym):
        app.command()(command)


def run(
    config: ConfigOption,
    verbose: Annotated[bool, typer.Option(help="Log each commit.")] = False,
    log_format: LogFormatOption = "auto",
) -> None:
    """Take in pages until SIGTERM or Ctrl-C; SIGHUP reads the key files again.

    Example: cloud-sink run --config config/cloud-sink.toml
    """
    configure_log(logging.DEBUG if verbose else logging.INFO, log_format)
    with exit_codes():
        stop, reload = stop_on_signals(), threading.Event()
        signal.signal(signal.SIGHUP, setter(reload))
        settings = load_config(config)
        sink = Sink(settings)
        if settings.metrics.listen is not None:
            watch = LedgerWatch(settings.ledger.url, settings.metrics.refresh_s)
            threading.Thread(target=watch.run, args=(stop,), name="ledger figures", daemon=True).start()
            monitor = SinkMonitor(sink.sight, watch)
            serve_in_background(parse_address(settings.metrics.listen), monitor.respond, stop)
        tune_interpreter()
        notify_in_background(sink.sight.loops, stop)
        sink.run(stop, reload)


def keygen(config: ConfigOption) -> None:
    """Make the pseudonym key that the configuration names, readable by its owner only. Never replaces one.

    Example: cloud-sink keygen --config config/cloud-sink.toml
    """
    with exit_codes():
        path = load_config(config).keys.pseudonym_key
        make_pseudonym_key(path)
        typer.echo(
            f"{path}: made. Keep a copy in a safe place: without it nobody's pours can be told apart any more."
        )


def reprocess(config: ConfigOption, json: JsonOption = False) -> None:
    """Try again what wasn't taken or couldn't be read: after keys were added or the sink was upgraded.

    Example: cloud-sink reprocess --config config/cloud-sink.toml
    """
    configure_log()
    with exit_codes():
        result = reprocess_ledger(load_config(config))
        typer.echo(msgspec.json.encode(result).decode() if json else presenting.counts(result))


def pseudonym(
    config: ConfigOption,
    column: Annotated[
        str | None, typer.Option(help="Read CSV, and replace the numbers in this column.")
    ] = None,
) -> None:
    """Turn transponders' numbers on standard input into pseudonyms, for master data: a line each, or a CSV's column.

    Example: cloud-sink pseudonym --config config/cloud-sink.toml --column credential < raw.csv > credentials.csv
    """
    with exit_codes():
        pseudonyms = load_pseudonyms(load_config(config).keys.pseudonym_key)
        if column is None:
            for line in pseudonymise_lines(sys.stdin, pseudonyms):
                typer.echo(line)
        else:
            pseudonymise_column(sys.stdin, sys.stdout, column, pseudonyms)
