"""`import`: what came by hand: archives of pages from a gateway whose network is dead, protocols of commissionings."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cloud_sink import presenting
from cloud_sink.commands.terminal import ConfigOption, JsonOption, exit_codes, now
from cloud_sink.config import load_config
from cloud_sink.errors import EXIT_REFUSED, EXIT_REJECTED, InputRejected
from cloud_sink.importing import Imported, Importing
from cloud_sink.orders.signing_key import load_signing_key
from cloud_sink.sink import opened_book
from wastelock.archive import ARCHIVE_SUFFIX
from wastelock.page import SigningKey
from wastelock.signed_file import RECEIPTS_SUFFIX, Receipts, seal_file
from wastelock.topics import GatewayTopics


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command(name="import")(import_)


def import_(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Archives, or directories of such; protocols.")
    ],
    config: ConfigOption,
    receipts_to: Annotated[
        Path | None,
        typer.Option("--receipts", help="Directory for receipts' files; by default beside each archive."),
    ] = None,
    salvage: Annotated[
        bool, typer.Option("--salvage", help="Of archives that aren't whole: take the pages that are.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Take in what `edge-agent spool export` wrote, as if it had come over the broker; twice does no harm.

    For each archive a file of receipts is written, for `edge-agent spool import`. Exit code 0: all of it is in the
    ledger; 1: some pages were refused, are in dispute or can't be read; 65: a file was refused as a whole.

    Example: cloud-sink import /media/stick --config config/cloud-sink.toml
    """
    taken: list[Imported] = []
    problems: list[str] = []
    with exit_codes():
        settings = load_config(config)
        keys = settings.keys.files().load()
        signing_key = settings.orders.signing_key
        key = None if signing_key is None else load_signing_key(signing_key)
        with opened_book(settings, keys, now) as (_, book):
            importing = Importing(book, keys, now)
            for file in _listed(files):
                try:
                    taken.append(_take(importing, file, receipts_to, salvage, key))
                except InputRejected as error:
                    problems += error.problems
    presenting.print_all(taken, _tell, json, sys.stdout, "nothing was taken")
    for problem in problems:
        typer.echo(f"cloud-sink: {problem}", err=True)
    if problems:
        raise typer.Exit(EXIT_REJECTED)
    if not all(each.is_good for each in taken):
        raise typer.Exit(EXIT_REFUSED)


def _listed(files: list[Path]) -> list[Path]:
    """Return the files meant: those named, and all archives in the directories named."""
    listed: list[Path] = []
    for file in files:
        if file.is_dir():
            found = sorted(file.glob(f"*{ARCHIVE_SUFFIX}"))
            if not found:
                raise InputRejected([f"{file}: holds no archive (*{ARCHIVE_SUFFIX}): name another directory"])
            listed += found
        else:
            listed.append(file)
    return listed


def _take(
    importing: Importing, file: Path, receipts_to: Path | None, salvage: bool, key: SigningKey | None
) -> Imported:
    with presenting.progress_on_stderr(file.name) as progress:
        imported, receipts = importing.take(file, salvage=salvage, progress=progress)
    if receipts is not None:
        target = (receipts_to or file.parent) / f"{file.stem}{RECEIPTS_SUFFIX}"
        imported.receipts = str(_write_receipts(target, receipts, key))
    return imported


def _write_receipts(target: Path, receipts: Receipts, key: SigningKey | None) -> Path:
    """Write the file under a passing name first: half a file is worse than none."""
    topics = GatewayTopics(receipts.site, receipts.gateway)
    content = seal_file("receipts", receipts, topics.receipts_file, key).to_json()
    passing = target.with_name(f".{target.name}.part")
    try:
        passing.write_bytes(content)
        passing.replace(target)
    except OSError as error:
        raise InputRejected(
            [f"{target}: can't be written ({error.strerror}): its pages are in the ledger; name a directory with "
             "--receipts and import once more"]
        ) from error  # fmt: skip
    return target


def _tell(item: Imported) -> str:
    """`FILE: lindenhof/gw-0001: 120 pages, 20 new (131 entries), 100 known`"""
    lines = [
        f"{item.file}: {item.site}/{item.gateway}: {item.pages} pages, {item.new} new ({item.entries} entries), "
        f"{item.known} known"
    ]
    lines += [f"  {count} refused: {reason}" for reason, count in item.refused.items()]
    if item.disputes or item.unread:
        lines.append(f"  {item.disputes} disputes, {item.unread} unread: `cloud-sink disputes`, `quarantine`")
    for journal, spans in item.missing.items():
        ranges = ", ".join(f"{first}..{last}" for first, last in spans[:10])
        lines.append(f"  of journal {journal} pages {ranges} are missing: still at the gateway")
    if item.receipts is not None:
        lines.append(f"  receipts for the gateway: {item.receipts}")
    return "\n".join(lines)
