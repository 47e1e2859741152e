"""`access-list set|show`, `transponder add`: who may use a lock, and which numbers stand behind the pseudonyms."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TextIO

import typer

from cloud_sink import presenting
from cloud_sink.commands.locks import LockArgument
from cloud_sink.commands.orders import opened_ordering
from cloud_sink.commands.terminal import ActorOption, ConfigOption, JsonOption, ReasonOption, make_author
from cloud_sink.errors import EXIT_REFUSED, InputRejected, NotPossible
from cloud_sink.keys import load_pseudonyms
from cloud_sink.orders.list_file import read_access_list, write_access_list
from cloud_sink.orders.model import AccessList, AccessListView
from cloud_sink.pseudonymising import read_numbers

lists = typer.Typer(no_args_is_help=True, help="Who may use a lock.")
transponders = typer.Typer(no_args_is_help=True, help="Which numbers stand behind pseudonyms.")
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="- reads standard input.")]


@lists.command(name="set")
def set_(
    lock: LockArgument,
    file: FileArgument,
    config: ConfigOption,
    again: Annotated[
        bool, typer.Option("--again", help="A new version even of the same: it is written to the lock anew.")
    ] = False,
    reason: ReasonOption = "",
    actor: ActorOption = None,
    json: JsonOption = False,
) -> None:
    """Say who may use a lock: a CSV with the columns credential (or uid), service, blocked. Nobody else may.

    Exit code 1: some are pseudonyms whose number isn't known (`cloud-sink transponder add`); the others are set.

    Example: cloud-sink access-list set 1f00a1 list.csv --config config/cloud-sink.toml
    """
    with opened_ordering(config) as (ordering, settings):
        pseudonyms = load_pseudonyms(settings.keys.pseudonym_key)
        with _opened(file) as source:
            read = read_access_list(source, pseudonyms)
        if read.uids:
            ordering.add_transponders(read.uids, pseudonyms)
        effect = ordering.set_access_list(lock, read.transponders, make_author(actor, reason), again=again)
    if json:
        typer.echo(presenting.to_json(effect))
    else:
        what = "is wanted from now on" if effect.changed else "is wanted already, nothing changes"
        typer.echo(
            f"{lock}: version {effect.version} {what}: {_count(len(read.transponders) - len(effect.unknown))}"
        )
    for credential in effect.unknown:
        typer.echo(
            f"{credential}: left out, its number isn't known: `cloud-sink transponder add FILE`", err=True
        )
    if effect.unknown:
        raise typer.Exit(EXIT_REFUSED)


@lists.command()
def show(
    lock: LockArgument,
    config: ConfigOption,
    entries: Annotated[bool, typer.Option("--entries", help="Who is in it, by pseudonym, as CSV.")] = False,
    json: JsonOption = False,
) -> None:
    """Show which list is wanted of a lock, which one it has, and those of before.

    Example: cloud-sink access-list show 1f00a1 --config config/cloud-sink.toml
    """
    with opened_ordering(config) as (ordering, _):
        found, versions = ordering.access_list(lock), ordering.access_lists(lock)
        if found is None:
            raise NotPossible(
                f"lock {lock}: nobody has set an access list: `cloud-sink access-list set` does"
            )
    if json:
        typer.echo(presenting.to_json(found))
    elif entries:
        write_access_list(found.transponders, sys.stdout)
    else:
        typer.echo(_tell_reported(found))
        for view in versions:
            typer.echo(_tell(view))


@transponders.command()
def add(
    file: FileArgument,
    config: ConfigOption,
    column: Annotated[str | None, typer.Option(help="Read CSV: the column with the numbers.")] = None,
    json: JsonOption = False,
) -> None:
    """Keep transponders' numbers, as they are printed, one a line: access lists can then name them by pseudonym.

    Example: cloud-sink transponder add raw.csv --column credential --config config/cloud-sink.toml
    """
    with opened_ordering(config) as (ordering, settings):
        pseudonyms = load_pseudonyms(settings.keys.pseudonym_key)
        with _opened(file) as source:
            numbers = read_numbers(source, column)
        effect = ordering.add_transponders(numbers, pseudonyms)
    typer.echo(presenting.to_json(effect) if json else f"{effect.added} added, {effect.known} known before")


@contextmanager
def _opened(file: Path) -> Iterator[TextIO]:
    if str(file) == "-":
        yield sys.stdin
        return
    try:
        with file.open(encoding="utf-8", newline="") as source:
            yield source
    except OSError as error:
        raise InputRejected([f"{file}: can't be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise InputRejected([f"{file}: isn't UTF-8: save it as CSV in UTF-8 ({error.reason})"]) from error


def _tell_reported(found: AccessList) -> str:
    reported = found.reported_version
    if reported is None:
        has = "it hasn't said which one it has"
    else:
        has = "it has that one" if reported == found.view.version else f"it still has version {reported}"
    room = "" if found.most_entries is None else f"; it takes {_count(found.most_entries)}"
    return f"lock {found.view.lock}: version {found.view.version} is wanted; {has}{room}"


def _tell(view: AccessListView) -> str:
    """`version 1795341600: 41 transponders, 2 of service, 1 blocked; set 2026-… by anna: moved in`"""
    why = f": {view.reason}" if view.reason else ""
    until = "" if view.until_at is None else f", until {presenting.instant(view.until_at)}"
    return (
        f"version {view.version}: {_count(view.entries)}, {view.service} of service, {view.blocked} blocked; set "
        f"{presenting.instant(view.set_at)} by {view.set_by}{why}{until}"
    )


def _count(transponders: int) -> str:
    return f"{transponders} transponder{'' if transponders == 1 else 's'}"
