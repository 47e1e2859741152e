"""`edge-agent read LOCK`: one lock as it is now, in words."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.errors import BusError
from edge_agent.technician.terminal import DEFAULT_CONFIG, ConfigOption, JsonOption, exit_codes

if TYPE_CHECKING:
    from edge_agent.technician.reading import ChamberReading, ControllerReading, JournalReading, LockReading


def read(
    lock: Annotated[str, typer.Argument(metavar="LOCK", help="Serial number, as on the type plate.")],
    config: ConfigOption = DEFAULT_CONFIG,
    last: Annotated[int, typer.Option("--last", min=0, max=2047, help="Newest records to show.")] = 5,
    as_json: JsonOption = False,
) -> None:
    """Read one lock now: who answers, state, registers, the last records. Nothing is confirmed to the controller.

    Through the running agent, or, while none runs, on the line itself. Exit code 0: read; 1: it can't be, and why.

    Example: edge-agent read 1f00a1 --last 20
    """
    from edge_agent.config_rules import load_config
    from edge_agent.technician.access import open_field
    from edge_agent.technician.reading import read_lock
    from edge_agent.technician.remedies import with_remedy

    with exit_codes():
        loaded = load_config(Path(config), check_files=False)
        with open_field(loaded) as field:
            try:
                seen = read_lock(field, lock, last)
            except BusError as error:
                print(f"lock {lock}: {with_remedy(error)}", file=sys.stderr)
                raise typer.Exit(1) from error
    if as_json:
        print(json.dumps(asdict(seen)))
    else:
        print("\n".join(_lines(seen)))


def _lines(seen: "LockReading") -> list[str]:
    how = "through the agent" if seen.via == "agent" else "directly, no agent runs"
    lines = [
        f"lock {seen.lock}, driver {seen.driver}, read {seen.read_at} {how}",
        _row("line", f"{seen.bus}: {seen.where}, unit {seen.unit}; the status took {seen.took_ms:.0f} ms"),
    ]
    if seen.controller is not None:
        lines += _controller(seen.controller)
    lines += [_row("chamber " + str(c.number), _chamber(c)) for c in seen.chambers]
    if seen.journal is not None:
        lines += _journal(seen.journal)
    return lines


def _chamber(chamber: "ChamberReading") -> str:
    enabled = "open for use" if chamber.enabled else "disabled"
    return f"{chamber.volume_ml:,} ml, register {chamber.register:,}, {enabled}"


def _controller(c: "ControllerReading") -> list[str]:
    off = "" if c.clock_offset_s is None else f", {c.clock_offset_s:+d} s against this machine's"
    fill = "" if c.fill_permille is None else f", container {c.fill_permille / 10:.0f} % full"
    entries = f"{c.access_list_entries} entries of at most {c.access_list_max}"
    return [
        _row("controller", f"model {c.model}, hardware {c.hardware_revision}, firmware {c.firmware}, "
             f"map {c.map_version}"),
        _row("can", ", ".join(c.capabilities).replace("_", " ") or "nothing beyond its journal"),
        _row("state", f"{c.state}; faults: {', '.join(c.faults) or 'none'}"),
        _row("clock", f"{c.clock}{f': {c.clock_at}' if c.clock_at else ''}{off}"),
        _row("condition", f"battery {c.battery_mv / 1000:.2f} V, {c.temperature_dc / 10:.1f} °C{fill}"),
        _row("running", f"for {c.uptime_s // 86_400} d {c.uptime_s % 86_400 // 3600} h {c.uptime_s % 3600 // 60} min, "
             f"boot {c.boot}"),
        _row("access list", f"version {c.access_list_version}, {entries}" if c.access_list_version else
             "none: nobody gets in"),
    ]  # fmt: skip


def _journal(journal: "JournalReading") -> list[str]:
    waiting = journal.newest_seq - journal.confirmed_seq
    range_ = f"records {journal.oldest_seq}..{journal.newest_seq}" if journal.newest_seq else "empty"
    lines = [
        _row(
            "journal",
            f"{range_} of epoch {journal.epoch}, {waiting} of them only here, room for {journal.capacity}",
        )
    ]
    if journal.last:
        lines.append("\nlast records")
    lines += [
        f"{record.seq:>10}  {record.at or '(clock not set)':24}  {record.what}" for record in journal.last
    ]
    return lines


def _row(name: str, text: str) -> str:
    return f"{name:12}{text}"
