"""`alarm list|ack`: what needs somebody, and that somebody has seen it."""

import sys
from typing import Annotated

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
from cloud_sink.config import Config, load_config
from cloud_sink.errors import NotPossible
from cloud_sink.operator_events import SubjectKind
from cloud_sink.projections.twins.model import Alarm
from cloud_sink.projections.twins.reading import TwinReader

app = typer.Typer(no_args_is_help=True, help="What needs somebody.")


@app.command(name="list")
def list_(
    config: ConfigOption,
    site: Annotated[str | None, typer.Option(help="Only of this site.")] = None,
    lock: Annotated[str | None, typer.Option(help="Only of this lock.")] = None,
    closed: Annotated[bool, typer.Option("--closed", help="Those that are over.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, at most.")] = 200,
    json: JsonOption = False,
) -> None:
    """List alarms, the newest first.

    Example: cloud-sink alarm list --site lindenhof --config config/cloud-sink.toml
    """
    with exit_codes():
        reader = _open_twins(load_config(config))
        try:
            found = reader.alarms(site=site, lock=lock, closed=closed, limit=limit)
        finally:
            reader.close()
        presenting.print_all(found, _tell, json, sys.stdout, "no alarm")


@app.command()
def ack(
    alarm_id: Annotated[str, typer.Argument(metavar="ALARM", help="As `alarm list` shows it.")],
    config: ConfigOption,
    reason: ReasonOption = "",
    actor: ActorOption = None,
) -> None:
    """Say that an alarm was seen: it stays until its cause is gone, but no longer asks for somebody.

    Example: cloud-sink alarm ack ALARM --reason "technician is on the way" --config config/cloud-sink.toml
    """
    with exit_codes():
        reader = _open_twins(load_config(config))
        try:
            alarm = reader.alarm(alarm_id)
        finally:
            reader.close()
        if alarm is None:
            raise NotPossible(f"there is no alarm {alarm_id}: `cloud-sink alarm list` shows all")
    with opened_operations(config) as operations:
        operations.acknowledge(*_subject(alarm), alarm_id, make_author(actor, reason))
    typer.echo(f"{alarm_id}: acknowledged")


def _open_twins(config: Config) -> TwinReader:
    return TwinReader(config.projections_url, config.ledger.url, config.twins, now)


def _subject(alarm: Alarm) -> tuple[SubjectKind, str]:
    if alarm.lock is not None:
        return SubjectKind.LOCK, alarm.lock
    if alarm.site is not None and alarm.gateway is not None:
        return SubjectKind.GATEWAY, f"{alarm.site}/{alarm.gateway}"
    if alarm.site is not None:
        return SubjectKind.SITE, alarm.site
    raise NotPossible(f"alarm {alarm.alarm_id} is about no site, lock or gateway: it closes by itself")


def _tell(alarm: Alarm) -> str:
    """`critical  lock-offline/1f00a1/…  1f00a1 at lindenhof since 2026-11-25T…: no answer; …: check the line`"""
    about = alarm.lock or alarm.gateway or "the sink"
    where = f" at {alarm.site}" if alarm.site is not None else ""
    seen = f", seen by {alarm.acknowledged_by}" if alarm.acknowledged_by is not None else ""
    over = f" until {presenting.instant(alarm.closed_at)}" if alarm.closed_at is not None else ""
    return (
        f"{alarm.severity:8}  {alarm.alarm_id}  {about}{where} since {presenting.instant(alarm.opened_at)}{over}: "
        f"{alarm.detail}{seen}. {alarm.remedy}"
    )
