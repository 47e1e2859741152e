"""`edge-agent spool ls|show|verify|export|import`: the spool in a technician's hand."""

import json
import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.errors import ConfigError, NotTaken
from edge_agent.technician.terminal import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    exit_codes,
    progress_on_stderr,
)

if TYPE_CHECKING:
    from edge_agent.config import AgentConfig
    from edge_agent.technician.bringing import Brought
    from edge_agent.technician.exporting import Exported
    from edge_agent.technician.spool_listing import Listing, ShownPage
    from wastelock.page import SigningKey

app = typer.Typer(no_args_is_help=True, help="What is in the spool, and how it gets out without a network.")
JournalOption = Annotated[
    str | None,
    typer.Option("--journal", help="UUID of a journal, or how it begins; by default the one in use."),
]
SpoolOption = Annotated[
    Path | None,
    typer.Option(
        "--spool", help="Another spool, e.g. of an old card; by default the gateway's.", metavar="FILE"
    ),
]


@app.command("ls")
def list_pages(
    config: ConfigOption = DEFAULT_CONFIG,
    journal: JournalOption = None,
    waiting: Annotated[
        bool, typer.Option("--unreceived", help="Only pages that the ledger hasn't confirmed yet.")
    ] = False,
    most: Annotated[int, typer.Option("--most", min=1, max=100_000, help="Newest pages to list.")] = 20,
    spool: SpoolOption = None,
    as_json: JsonOption = False,
) -> None:
    """List journals and the newest pages, and who has custody of each.

    Example: edge-agent spool ls --config /etc/wastelock/edge-agent.toml --unreceived
    """
    from edge_agent.technician.spool_listing import list_spool

    with exit_codes():
        listing = list_spool(spool or _load(config).spool.path, most, journal, waiting=waiting)
    if as_json:
        print(json.dumps(asdict(listing)))
    else:
        _print_listing(listing)


@app.command()
def show(
    page: Annotated[int, typer.Argument(metavar="PAGE", min=1, help="Number of the page.")],
    config: ConfigOption = DEFAULT_CONFIG,
    journal: JournalOption = None,
    raw: Annotated[bool, typer.Option("--raw", help="Also transponders' numbers: personal data.")] = False,
    spool: SpoolOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a page: its records, its place in the chain, its signature. Transponders' numbers are withheld.

    Example: edge-agent spool show 1842 --config /etc/wastelock/edge-agent.toml
    """
    from edge_agent.technician.spool_listing import show_page

    with exit_codes():
        loaded = _load(config)
        shown = show_page(spool or loaded.spool.path, page, journal, _key_or_none(loaded), raw=raw)
    if as_json:
        print(json.dumps(asdict(shown)))
    else:
        _print_page(shown)


@app.command()
def verify(
    config: ConfigOption = DEFAULT_CONFIG, spool: SpoolOption = None, as_json: JsonOption = False
) -> None:
    """Check every page: hash, place in the chain, signature, records. Reads only, beside a running agent too.

    Exit code 0: all of it holds; 1: something doesn't, and what.

    Example: edge-agent spool verify --config /etc/wastelock/edge-agent.toml
    """
    from edge_agent.technician.spool_listing import opened_reader
    from edge_agent.upgrade_rehearsal import replay

    with exit_codes():
        loaded = _load(config)
        path, key = spool or loaded.spool.path, _key_or_none(loaded)
        with opened_reader(path) as reader, progress_on_stderr("pages") as progress:
            seen = replay(reader, key, progress)
    if as_json:
        print(json.dumps(asdict(seen)))
        return
    print(f"{path}: good: {seen.records} records in {seen.pages} pages of {seen.journals} journals")
    others = seen.pages - seen.signatures
    print(f"{seen.signatures} signatures hold", end="")
    print(f"; {others} are by other keys or can't be checked by this user: the ledger can" if others else "")
    print(f"{seen.unreceipted_pages} pages wait for the ledger")


@app.command()
def export(
    to: Annotated[
        Path, typer.Option("--to", help="A directory, for parts in it, or one file's name.", metavar="PATH")
    ],
    config: ConfigOption = DEFAULT_CONFIG,
    since: Annotated[
        str | None, typer.Option("--since", help="Only pages sealed from then on: 2026-11-22T09:00:00Z.")
    ] = None,
    unreceived: Annotated[
        bool, typer.Option("--unreceived", help="Only pages that the ledger hasn't confirmed yet.")
    ] = False,
    part_mib: Annotated[
        int, typer.Option("--part-mib", min=8, max=3000, help="Size of a part, in MiB.")
    ] = 64,
    spool: SpoolOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write pages to a USB stick as signed files, which `cloud-sink import` takes. The same command again goes on.

    The files hold transponders' numbers, as pages do: delete them once the ledger has them.

    Example: edge-agent spool export --to /mnt --unreceived
    """
    with exit_codes():
        exported = _export(_load(config), to, _instant(since), unreceived, part_mib, spool)
    if as_json:
        print(json.dumps(asdict(exported)))
    else:
        _print_exported(exported)


@app.command("import")
def import_(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Receipts, archives, or another card's spool.db.")
    ],
    config: ConfigOption = DEFAULT_CONFIG,
    another_key: Annotated[
        bool,
        typer.Option("--another-key", help="Of an archive: believe it, though signed with an earlier key."),
    ] = False,
    unsigned: Annotated[
        bool, typer.Option("--unsigned", help="Of receipts: believe them without a signature that holds.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Take back what came by hand: the ledger's receipts, or the pages of an old card. The agent takes it up by itself.

    Example: edge-agent spool import /mnt/lindenhof_gw-0001_20261122T100000_01.wlreceipts
    """
    with exit_codes():
        loaded = _load(config)
        brought = []
        for file in files:
            brought.append(_bring(loaded, file, another_key, unsigned))
            if not as_json:
                print(f"{file}: {brought[-1].what}")
                for note in brought[-1].notes:
                    print(f"  {note}")
    if as_json:
        print(json.dumps([asdict(each) for each in brought]))
    else:
        print(
            "laid down for the agent, which takes it up within seconds, or when it starts: `edge-agent spool ls`"
        )


def _bring(loaded: "AgentConfig", file: Path, another_key: bool, unsigned: bool) -> "Brought":
    from edge_agent.clock import utc_now
    from edge_agent.technician.bringing import SQLITE_MAGIC, Bringing
    from edge_agent.technician.signing import own_key
    from wastelock.archive import ARCHIVE_OPENING
    from wastelock.signed_file import SIGNED_FILE_BYTES_MAX

    try:
        with file.open("rb") as opened:
            head = opened.read(SIGNED_FILE_BYTES_MAX)
    except OSError as error:
        raise NotTaken(f"{file}: can't be read ({error.strerror}): is the stick mounted?") from error
    bringing = Bringing(loaded, utc_now)
    if head.startswith(SQLITE_MAGIC):
        return bringing.spool(file)
    if head.startswith(ARCHIVE_OPENING):
        return bringing.archive(file, own_key(loaded), another_key=another_key)
    return bringing.receipts(head, unsigned=unsigned)


def _export(
    loaded: "AgentConfig",
    to: Path,
    since: datetime | None,
    unreceived: bool,
    part_mib: int,
    spool: Path | None,
) -> "Exported":
    from contextlib import closing

    from edge_agent.clock import utc_now
    from edge_agent.spool_pages import Sealer
    from edge_agent.spool_reader import SpoolReader
    from edge_agent.technician.exporting import MIB, Export, Selection
    from edge_agent.technician.signing import own_key
    from wastelock.topics import GatewayTopics

    key = own_key(loaded)
    path = spool or loaded.spool.path
    if to.exists() and path.exists() and to.stat().st_dev == path.stat().st_dev:
        print(f"{to} is on the same disk as the spool: is the stick mounted?", file=sys.stderr)
    sealer = Sealer(GatewayTopics(loaded.gateway.site, loaded.gateway.id), key)
    with closing(SpoolReader(path)) as reader, progress_on_stderr("pages") as progress:
        export_ = Export(reader, sealer, to, utc_now)
        try:
            return export_.run(Selection(since, unreceived), part_mib * MIB, progress)
        except KeyboardInterrupt:
            done = export_.done
            print(
                f"interrupted: {done.pages} pages are safe in {len(done.files)} files; the same command goes on",
                file=sys.stderr,
            )
            raise typer.Exit(1) from None


def _print_listing(listing: "Listing") -> None:
    print(f"{listing.spool}: {listing.pages} pages")
    print("\njournal                               state     sealed  committed  pruned   here  waiting")
    for each in listing.journals:
        print(
            f"{each.journal}  {each.state:8}{each.newest_page:8}{each.committed_through:11}{each.pruned_through:8}"
            f"{each.pages:7}{each.waiting:9}  {each.reason}"
        )
    if not listing.lines:
        print("\nno pages to list")
        return
    print("\n    page  custody   sealed                    records   bytes  locks")
    for line in listing.lines:
        print(
            f"{line.page:8}  {line.custody:8}  {line.sealed_at}  {line.records:7}{line.size_bytes:8}  "
            f"{', '.join(line.locks)}"
        )


def _print_page(shown: "ShownPage") -> None:
    line = shown.line
    custody = "received by the ledger" if line.custody == "received" else "waits for the ledger's receipt"
    print(f"page {line.page} of journal {line.journal}: {custody}")
    print(
        f"sealed     {line.sealed_at}, clock {shown.clock}; {line.size_bytes} bytes, {line.records} records"
    )
    print(f"hash       {shown.hash}")
    print(f"follows    {shown.prev or '-'}: {shown.chain}")
    print(f"signature  {shown.signature}")
    print(
        "\nlock              epoch       seq  what            chamber  volume ml  register  CRC     transponder"
    )
    for each in shown.records:
        print(
            f"{each.lock:16}{each.epoch:7}{each.seq:10}  {each.kind:15}{each.chamber or '-':>8}{each.volume_ml:11}"
            f"{each.register:10}  {'holds' if each.crc_holds else 'BROKEN':6}  {each.transponder or '-'}"
        )


def _print_exported(exported: "Exported") -> None:
    for file in exported.files:
        print(file)
    if exported.files:
        print(
            f"{exported.pages} pages written, {exported.size_bytes / 1_048_576:.1f} MiB, read back and good"
        )
    else:
        print("there is nothing to write")
    if exported.already:
        print(f"{exported.already} pages lay there already")
    for file in exported.spoilt:
        print(f"{file} isn't whole: its pages were written once more; delete it")
    for why in exported.left_out:
        print(why)
    if exported.files:
        print(
            "next, in the cloud: cloud-sink import FILE --config CONFIG; back here: edge-agent spool import RECEIPT"
        )


def _load(config: Path) -> "AgentConfig":
    from edge_agent.config_rules import load_config

    return load_config(config, check_files=False)


def _key_or_none(config: "AgentConfig") -> "SigningKey | None":
    from edge_agent.config_rules import load_signing_key

    try:
        return load_signing_key(config.gateway.signing_key)
    except ConfigError:
        return None  # whoever only looks needn't be able to sign


def _instant(text: str | None) -> datetime | None:
    from wastelock.page import parse_instant

    if text is None:
        return None
    try:
        return parse_instant(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"--since: expected an instant such as 2026-11-22T09:00:00Z: {error}"
        ) from error
