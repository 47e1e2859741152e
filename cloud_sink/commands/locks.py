"""`lock describe|move|desire|note|list|import`: what people know and decide about locks."""

import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from cloud_sink import presenting
from cloud_sink.commands.terminal import (
    ActorOption,
    ConfigOption,
    JsonOption,
    ReasonOption,
    exit_codes,
    make_author,
    now,
    opened_operations,
)
from cloud_sink.lock_list import read_lock_list
from cloud_sink.operating import DescribedLock, Effect
from cloud_sink.operator_events import SubjectKind, WishedProperty

app = typer.Typer(no_args_is_help=True, help="What people know and decide about locks.")
LockArgument = Annotated[str, typer.Argument(metavar="LOCK", help="Serial number in hexadecimal: 1f00a1.")]
_CHAMBER = re.compile(r"(?P<number>[1-4]):(?P<fraction>[^:]+):(?P<volume_ml>[1-9]\d{0,6})")
_ML_PER_L = 1000


@app.command()
def describe(
    lock: LockArgument,
    config: ConfigOption,
    site: Annotated[str | None, typer.Option(help="Where it is; by default where it was heard from.")] = None,
    label: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    property_id: Annotated[
        str | None, typer.Option("--property", help="The name under which billing knows the estate.")
    ] = None,
    row: Annotated[int | None, typer.Option(help="Row on the site's grid, from 1, the front one.")] = None,
    column: Annotated[
        int | None, typer.Option(help="Column on the site's grid, from 1, the left one.")
    ] = None,
    container_l: Annotated[
        int | None, typer.Option("--container-l", help="What its container holds, in litres.")
    ] = None,
    chamber: Annotated[
        list[str] | None,
        typer.Option(
            help="NUMBER:FRACTION:ML, such as 1:residual:5000; all of them, or none to keep what stands."
        ),
    ] = None,
    reason: ReasonOption = "",
    actor: ActorOption = None,
) -> None:
    """Say where a lock is and what goes into it; what isn't given stays as it is.

    Example: cloud-sink lock describe 1f00a1 --site lindenhof --label "Haus 1" --row 1 --column 2 --config FILE
    """
    given = {"site": site, "label": label, "property_id": property_id, "row": row, "column": column}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if container_l is not None:
        changes["container_ml"] = container_l * _ML_PER_L
    if chamber:
        changes["chambers"] = dict(map(_parse_chamber, chamber))
    with opened_operations(config) as operations:
        effect = operations.describe_lock(lock, changes, make_author(actor, reason))
    typer.echo(f"{lock}: {effect}")


@app.command()
def move(
    lock: LockArgument,
    to: Annotated[
        str,
        typer.Argument(metavar="TO", help="planned, commissioning, in_service, maintenance, decommissioned."),
    ],
    config: ConfigOption,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with the step.")],
    actor: ActorOption = None,
) -> None:
    """Move a lock along its lifecycle; where it can't go there from where it is, say where it can.

    Example: cloud-sink lock move 1f00a1 maintenance --reason "flap replaced" --config config/cloud-sink.toml
    """
    with opened_operations(config) as operations:
        operations.move(lock, to, make_author(actor, reason))
    typer.echo(f"{lock}: {to}")


@app.command()
def desire(
    lock: LockArgument,
    name: Annotated[str, typer.Argument(metavar="PROPERTY", help=f"One of {', '.join(WishedProperty)}.")],
    value: Annotated[str, typer.Argument(metavar="VALUE", help="What it should be; none: nothing any more.")],
    config: ConfigOption,
    within_h: Annotated[
        int | None,
        typer.Option("--within-h", min=1, max=8760, help="By when, in hours; later it is an alarm."),
    ] = 24,
    reason: ReasonOption = "",
    actor: ActorOption = None,
) -> None:
    """Say what a property of a lock should be; its twin shows the drift, and an alarm once the time is over.

    Example: cloud-sink lock desire 1f00a1 access_list_version 12 --within-h 48 --config config/cloud-sink.toml
    """
    wished = None if value == "none" else int(value) if value.isascii() and value.isdecimal() else value
    deadline_at = None if wished is None or within_h is None else now() + timedelta(hours=within_h)
    fields = {"property": name, "value": wished, "deadline_at": deadline_at}
    with opened_operations(config) as operations:
        operations.wish(SubjectKind.LOCK, lock, fields, make_author(actor, reason))
    typer.echo(f"{lock}: {name} {value}")


@app.command()
def note(
    lock: LockArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What is worth remembering.")],
    config: ConfigOption,
    actor: ActorOption = None,
) -> None:
    """Keep a note on a lock.

    Example: cloud-sink lock note 1f00a1 "Residents complain about the smell" --config config/cloud-sink.toml
    """
    with opened_operations(config) as operations:
        operations.note(SubjectKind.LOCK, lock, text, make_author(actor, ""))
    typer.echo(f"{lock}: noted")


@app.command(name="list")
def list_(config: ConfigOption, json: JsonOption = False) -> None:
    """List all locks that were described or heard of.

    Example: cloud-sink lock list --config config/cloud-sink.toml
    """
    with opened_operations(config) as operations:
        presenting.print_all(operations.locks(), _tell, json, sys.stdout, "no lock is known")


@app.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV; config/locks.csv is an example.")],
    config: ConfigOption,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    reason: ReasonOption = "",
    actor: ActorOption = None,
    json: JsonOption = False,
) -> None:
    """Describe many locks from a file, whole or not at all; the same file again changes nothing.

    Example: cloud-sink lock import config/locks.csv --dry-run --config config/cloud-sink.toml
    """
    with exit_codes():
        descriptions = read_lock_list(file)
    with opened_operations(config) as operations:
        effects = operations.describe_locks(descriptions, make_author(actor, reason), dry_run)
    if json:
        typer.echo(msgspec.json.encode(effects).decode())
        return
    for lock, effect in effects.items():
        if effect is not Effect.UNCHANGED:
            typer.echo(f"{effect:8} {lock}")
    counts = ", ".join(f"{sum(each is kind for each in effects.values())} {kind}" for kind in Effect)
    typer.echo(f"{'would be: ' if dry_run else ''}{counts}")


def _parse_chamber(text: str) -> tuple[int, dict[str, Any]]:
    match = _CHAMBER.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f"--chamber: {text!r}: expected NUMBER:FRACTION:ML, such as 1:residual:5000")
    return int(match["number"]), {"fraction": match["fraction"], "volume_ml": int(match["volume_ml"])}


def _tell(lock: DescribedLock) -> str:
    """`1f00a1  in_service     lindenhof  row 1, column 2  Haus 1  (lindenhof/gw-0001)`"""
    about = lock.description
    place = "" if about is None or about.row is None else f"  row {about.row}, column {about.column}"
    said = "  not described" if about is None else f"  {about.site}{place}  {about.label}"
    heard = "  (never heard of)" if lock.gateway is None else f"  ({lock.gateway})"
    return f"{lock.lock:16}  {lock.lifecycle:14}{said.rstrip()}{heard}"
