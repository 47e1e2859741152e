"""`import`: what came by hand: archives of pages from a gateway whose network is dead, protocols of commissionings."""

import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import Annotated

import typer

from cloud_sink import presenting
from cloud_sink.commands.terminal import ConfigOption, JsonOption, exit_codes, now
from cloud_sink.config import load_config
from cloud_sink.errors import EXIT_REFUSED, EXIT_REJECTED, InputRejected
from cloud_sink.importing import Imported, Importing
from cloud_sink.importing_protocols import ImportedProtocol, ImportingProtocols
from cloud_sink.operating import Operations
from cloud_sink.orders.signing_key import load_signing_key
from cloud_sink.sink import opened_book
from wastelock.archive import ARCHIVE_SUFFIX
from wastelock.page import SigningKey
from wastelock.protocol import PROTOCOL_SUFFIX
from wastelock.signed_file import RECEIPTS_SUFFIX, Receipts, seal_file
from wastelock.topics import GatewayTopics

_HEAD_BYTES = 256


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
    """Take in pages and protocols that came by hand, as if they had come over the broker; twice does no harm.

    For each archive a file of receipts is written, for `edge-agent spool import`. A protocol moves its lock along its
    life, and its registers are compared with the ledger's. Exit code 0: all is well; 1: pages were refused or are in
    dispute, registers differ or can't be compared yet; 65: a file was refused as a whole.

    Example: cloud-sink import /media/stick --config config/cloud-sink.toml
    """
    taken: list[Imported | ImportedProtocol] = []
    problems: list[str] = []
    with exit_codes():
        settings = load_config(config)
        keys = settings.keys.files().load()
        signing_key = settings.orders.signing_key
        key = None if signing_key is None else load_signing_key(signing_key)
        with (
            opened_book(settings, keys, now) as (database, book),
            closing(Operations(settings.ledger.url, now)) as operations,
        ):
            importing = Importing(book, keys, now)
            protocols = ImportingProtocols(database, operations, keys, now)
            for file in _listed(files):
                try:
                    if _is_protocol(file):
                        taken.append(protocols.take(file))
                    else:
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


def _is_protocol(file: Path) -> bool:
    """True if a file says of itself that it is a protocol; one that can't be read is told of by whoever takes it."""
    with suppress(OSError), file.open("rb") as opened:
        return b'"wastelock":"protocol"' in opened.read(_HEAD_BYTES)
    return False


def _listed(files: list[Path]) -> list[Path]:
    """Return the files meant: those named; of directories archives, then protocols, which speak of their records."""
    listed: list[Path] = []
    for file in files:
        if file.is_dir():
            found = [*sorted(file.glob(f"*{ARCHIVE_SUFFIX}")), *sorted(file.glob(f"*{PROTOCOL_SUFFIX}"))]
            if not found:
                raise InputRejected(
                    [f"{file}: holds no *{ARCHIVE_SUFFIX} and no *{PROTOCOL_SUFFIX}: name another directory"]
                )
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


def _tell(item: Imported | ImportedProtocol) -> str:
    return _tell_protocol(item) if isinstance(item, ImportedProtocol) else _tell_archive(item)


def _tell_protocol(item: ImportedProtocol) -> str:
    """`FILE: lindenhof/gw-0001: commissioning, passed: 1f00a1 in_service; 4 registers agree with the ledger`"""
    moved = ", ".join(f"{lock} {to}" for lock, to in item.moved.items())
    done = moved or ("known already" if item.known else "nothing moved")
    lines = [
        f"{item.file}: {item.site}/{item.gateway}: {item.kind}, {'passed' if item.passed else 'not passed'}: {done}; "
        f"{item.agreeing} registers agree with the ledger"
    ]
    lines += [f"  CONTRADICTS: {each}" for each in item.differing]
    lines += [f"  moves nothing: {each}" for each in item.overtaken]
    lines += [f"  waits: {each}" for each in item.waiting]
    return "\n".join(lines)


def _tell_archive(item: Imported) -> str:
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
    if item.broken_off is not None:
        lines.append(f"  not read to its end: {item.broken_off}")
    if item.receipts is not None:
        lines.append(f"  receipts for the gateway: {item.receipts}")
    return "\n".join(lines)
