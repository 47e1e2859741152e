"""`export`, `gaps`, `reconcile`, `disputes`, `quarantine`, `journals`: they read the ledger beside a running sink."""

import sys
from typing import Annotated

import typer

from cloud_sink import presenting
from cloud_sink.commands.terminal import ConfigOption, JsonOption, LockOption, opened_reader, parse_since
from cloud_sink.exporting import write_lines
from cloud_sink.gaps import PageGap, RecordGap


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    for command in (export, gaps, reconcile, disputes, quarantine, journals):
        app.command()(command)


def export(
    config: ConfigOption,
    lock: LockOption = None,
    since: Annotated[str | None, typer.Option(help="Committed at or after: 2026-11-22T09:00:00Z.")] = None,
) -> None:
    """Print each entry as a JSON line, in the order in which they were committed.

    Example: cloud-sink export --config config/cloud-sink.toml --lock 1f00a3 --since 2026-11-01T00:00:00Z
    """
    with opened_reader(config) as reader:
        after = reader.position_before(parse_since(since, "--since")) if since else 0
        write_lines(reader.all_entries(after, lock), sys.stdout.buffer)


def gaps(config: ConfigOption, lock: LockOption = None, json: JsonOption = False) -> None:
    """List missing records of locks and missing pages of gateways, each buffered or lost, and why.

    Example: cloud-sink gaps --config config/cloud-sink.toml --lock 1f00a3
    """
    with opened_reader(config) as reader:
        found: list[PageGap | RecordGap] = [*reader.record_gaps(lock), *([] if lock else reader.page_gaps())]
        presenting.print_all(found, presenting.gap, json, sys.stdout, "nothing is missing")


def reconcile(config: ConfigOption, lock: LockOption = None, json: JsonOption = False) -> None:
    """Compare each chamber's pours with its register: the proof that none is missing and none is there twice.

    Example: cloud-sink reconcile --config config/cloud-sink.toml
    """
    with opened_reader(config) as reader:
        presenting.print_all(
            reader.runs(lock), presenting.run, json, sys.stdout, "no register was ever recorded"
        )


def disputes(
    config: ConfigOption,
    json: JsonOption = False,
    resolved: Annotated[bool, typer.Option("--resolved", help="Also those that are resolved.")] = False,
) -> None:
    """List contradictions: pages and records of which two versions came, broken chains, wrong MACs.

    Example: cloud-sink disputes --config config/cloud-sink.toml
    """
    with opened_reader(config) as reader:
        found = reader.disputes(resolved=resolved)
        presenting.print_all(found, presenting.dispute, json, sys.stdout, "nothing is disputed")


def quarantine(config: ConfigOption, json: JsonOption = False) -> None:
    """List messages that weren't taken, and records that were but can't be read.

    Example: cloud-sink quarantine --config config/cloud-sink.toml
    """
    with opened_reader(config) as reader:
        found = reader.quarantine()
        presenting.print_all(found, presenting.quarantined, json, sys.stdout, "the quarantine is empty")


def journals(config: ConfigOption, json: JsonOption = False) -> None:
    """List the gateways' journals and how far custody of each goes.

    Example: cloud-sink journals --config config/cloud-sink.toml
    """
    with opened_reader(config) as reader:
        presenting.print_all(reader.journals(), presenting.journal, json, sys.stdout, "no page ever came")
