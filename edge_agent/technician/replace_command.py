"""`edge-agent replace controller|gateway`: something was swapped; registers before and after prove the pours."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from edge_agent.errors import NotReady, NotTaken
from edge_agent.technician.commission_command import (
    JsonOption,
    LanguageOption,
    OutOption,
    RemarkOption,
    TechnicianOption,
)
from edge_agent.technician.terminal import (
    DEFAULT_CONFIG,
    ConfigOption,
    ends_by_signal_as_by_ctrl_c,
    exit_codes,
    user_name,
)

if TYPE_CHECKING:
    from edge_agent.config import AgentConfig
    from edge_agent.technician.protocol_files import ProtocolFiles
    from wastelock.page import PageRecord
    from wastelock.protocol import Protocol

app = typer.Typer(
    no_args_is_help=True, help="A controller or the gateway was swapped: registers before and after."
)


@app.command()
def controller(
    lock: Annotated[str, typer.Argument(metavar="LOCK", help="The old controller's serial number: 1f00a1.")],
    config: ConfigOption = DEFAULT_CONFIG,
    new: Annotated[
        str | None, typer.Option("--new", help="The new one's serial number; by default whoever answers.")
    ] = None,
    minutes: Annotated[float, typer.Option("--wait", min=0, max=600, help="For each step, in minutes.")] = 15,
    out: OutOption = None,
    technician: TechnicianOption = None,
    language: LanguageOption = "en",
    remark: RemarkOption = "",
    as_json: JsonOption = False,
) -> None:
    """Swap a lock's controller: closing registers of the old one, opening registers of the new one, configuration.

    While the old one answers it is locked, and its records are brought onto this disk first. Where it is dead, its last
    record on this disk counts. Then give the new one the old one's address, and wait.

    Example: edge-agent replace controller 1f00a1 --config /etc/wastelock/edge-agent.toml
    """
    with exit_codes():
        from edge_agent.config_rules import load_config
        from edge_agent.technician.chamber_switching import chambers_now
        from edge_agent.technician.controller_swap import ControllerSwap
        from edge_agent.technician.places import find_lock
        from edge_agent.technician.protocol_files import ProtocolFiles

        loaded = load_config(config, check_files=False)
        files = ProtocolFiles(loaded, out, language)
        name = find_lock(loaded, lock).lock
        try:
            swap = ControllerSwap(loaded, files, minutes * 60, lambda text: print(text, file=_out(as_json)))
            with ends_by_signal_as_by_ctrl_c():
                protocol, written = swap.run(name, new, technician or user_name(), remark)
        except KeyboardInterrupt:
            told = f"interrupted: the configuration is as it was; {chambers_now(loaded, name)}"
            print(f"{told}. The same command goes on", file=sys.stderr)
            raise typer.Exit(1) from None
        _end(protocol, written, as_json)


@app.command()
def gateway(
    config: ConfigOption = DEFAULT_CONFIG,
    old_spool: Annotated[
        list[Path] | None,
        typer.Option("--old-spool", help="The old gateway's spool, e.g. on its card.", metavar="FILE"),
    ] = None,
    archive: Annotated[
        list[Path] | None,
        typer.Option("--archive", help="What the old one's `spool export` wrote.", metavar="FILE"),
    ] = None,
    old_gateway: Annotated[
        str | None, typer.Option("--old-gateway", help="Its id, where it had another.")
    ] = None,
    new_id: Annotated[
        str | None, typer.Option("--id", help="Give this gateway that id in the configuration.")
    ] = None,
    out: OutOption = None,
    technician: TechnicianOption = None,
    language: LanguageOption = "en",
    remark: RemarkOption = "",
    as_json: JsonOption = False,
) -> None:
    """At the new gateway: what the old one knew last of each lock, what it is now, and all pours in between.

    Without the old one's spool or archive, what each controller knows to be confirmed counts as what the old one had.

    Example: edge-agent replace gateway --old-spool /mnt/var/lib/wastelock/spool.db --config edge-agent.toml
    """
    with exit_codes():
        from edge_agent.config_rules import load_config
        from edge_agent.technician.protocol_files import ProtocolFiles

        loaded = load_config(config, check_files=False)
        files = ProtocolFiles(loaded, out, language)
        with ExitStack() as stack:
            known = _known(old_spool or [], archive or [], stack)
            protocol = _compare(loaded, files, known, old_gateway, technician or user_name(), remark)
        written = files.write(protocol)
        if new_id is not None:
            from edge_agent.clock import utc_now
            from edge_agent.technician.config_editing import rename_gateway

            kept = rename_gateway(loaded.file, new_id, utc_now())
            print(
                f"{loaded.file}: this gateway is {new_id} now (the file before: {kept})", file=_out(as_json)
            )
        _end(protocol, written, as_json)


def _compare(
    config: "AgentConfig",
    files: "ProtocolFiles",
    known: "Iterator[PageRecord]",
    old_gateway: str | None,
    technician: str,
    remark: str,
) -> "Protocol":
    from edge_agent.clock import utc_now
    from edge_agent.technician.access import open_field
    from edge_agent.technician.protocol_files import SOFTWARE
    from edge_agent.technician.replacing import GatewaySwap
    from wastelock.protocol import Protocol, ProtocolKind

    began_at = utc_now()
    locks = [lock.lock for lock in config.locks]
    swap = GatewaySwap(known, locks, utc_now)
    with open_field(config) as field:
        for lock in locks:
            swap.take(lock, field.driver)
    return Protocol(
        kind=ProtocolKind.GATEWAY_REPLACEMENT, reference=files.name("gateway", began_at), site=config.gateway.site,
        gateway=config.gateway.id, software=SOFTWARE, began_at=began_at, ended_at=utc_now(), technician=technician,
        remark=remark, passed=not swap.findings, opening=tuple(swap.opening), closing=tuple(swap.closing),
        registers=tuple(swap.registers), old_gateway=old_gateway, findings=tuple(swap.findings),
        notes=tuple(swap.notes),
    )  # fmt: skip


def _known(spools: list[Path], archives: list[Path], stack: ExitStack) -> "Iterator[PageRecord]":
    """Yield the records of the old gateway's disks, as far back as is bounded."""
    from edge_agent.spool_reader import SpoolReader
    from edge_agent.technician.register_readings import records_backwards
    from wastelock.archive import DamagedArchive, archive_gateway, archived_pages, read_lines
    from wastelock.page import UnsupportedPage, parse_page

    for file in spools:
        if not file.exists():
            raise NotReady(f"{file} isn't there: is the old card mounted?")
        yield from records_backwards(stack.enter_context(closing(SpoolReader(file))))
    for file in archives:
        try:
            with file.open("rb") as opened:
                archive_gateway(next(read_lines(opened), b""))
                for page in archived_pages(read_lines(opened), skip_damaged=True):
                    yield from parse_page(page.payload).records
        except OSError as error:
            raise NotTaken(
                f"{file}: can't be read ({error.strerror}): name what `spool export` wrote"
            ) from error
        except (ValueError, DamagedArchive, UnsupportedPage) as error:
            raise NotTaken(f"{file}: {error}") from error


def _end(protocol: "Protocol", written: list[Path], as_json: bool) -> None:
    from edge_agent.technician.protocol_findings import say

    out = _out(as_json)
    for reading in (*protocol.closing, *protocol.opening):
        registers = ", ".join(f"chamber {each.number}: {each.register_count}" for each in reading.chambers)
        which = "closing" if reading in protocol.closing else "opening"
        print(f"  {which} registers of lock {reading.lock} ({reading.source}): {registers}", file=out)
    for finding in (*protocol.findings, *protocol.notes):
        print(f"- {say(finding, 'en')}", file=out)
    print("passed" if protocol.passed else "NOT passed", file=out)
    for file in written:
        print(file, file=out)
    print(
        "next, in the cloud: cloud-sink import FILE --config CONFIG (the file that is named first)", file=out
    )
    if as_json:
        print(protocol.to_json().decode())
    raise typer.Exit(0 if protocol.passed else 1)


def _out(as_json: bool) -> TextIO:
    return sys.stderr if as_json else sys.stdout
