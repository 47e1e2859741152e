"""`project`, `rebuild`, `projections`: the views of the ledger that are kept up to date, each for itself."""

import sys
import threading
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from random import Random
from typing import Annotated

import typer

from cloud_sink import presenting
from cloud_sink.commands.terminal import (
    ConfigOption,
    JsonOption,
    LogFormatOption,
    exit_codes,
    stop_on_signals,
)
from cloud_sink.config import Config, load_config
from cloud_sink.errors import EXIT_SOFTWARE, ConfigError, SinkError
from cloud_sink.following import Follower, Projection, catch_up, follow_all
from cloud_sink.log import configure_log
from cloud_sink.metrics import ProjectionsMonitor, progress_of, serve_in_background
from cloud_sink.presenting import progress_on_stderr
from cloud_sink.projecting import PROJECTIONS, wanted_projections
from cloud_sink.projections.twins.alarm_figures import AlarmFigures
from cloud_sink.watchdog import notify_in_background
from wastelock.monitoring import parse_address

OnlyOption = Annotated[
    list[str] | None, typer.Option("--only", help="Only this projection; may be given several times.")
]


@dataclass(frozen=True, slots=True)
class ProjectionLine:
    """A projection and how far it has come."""

    name: str
    title: str
    version: int
    position: int
    end: int
    waiting_since: datetime | None


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    for command in (project, rebuild, projections):
        app.command()(command)


def project(
    config: ConfigOption,
    only: OnlyOption = None,
    once: Annotated[bool, typer.Option("--once", help="Catch up with the ledger, then end.")] = False,
    log_format: LogFormatOption = "auto",
) -> None:
    """Keep the views of the ledger up to date as it grows, until SIGTERM or Ctrl-C: usage per day, twins, feed.

    Example: cloud-sink project --config config/cloud-sink.toml --only usage --once
    """
    configure_log(log_format=log_format)
    with exit_codes():
        settings = load_config(config)
        chosen = _choose(settings, only)
        stop = stop_on_signals()
        if once:
            _catch_up_once(settings, chosen, stop)
        else:
            followers = [
                Follower(name, partial(PROJECTIONS[name], settings), settings.projections.idle_s, Random())
                for name in chosen
            ]
            if settings.metrics.project_listen is not None:
                alarms = AlarmFigures(settings.projections_url)
                monitor = ProjectionsMonitor(followers, alarms=alarms.counts)
                serve_in_background(parse_address(settings.metrics.project_listen), monitor.respond, stop)
            notify_in_background({each.standing.name: progress_of(each) for each in followers}, stop)
            follow_all(followers, stop)


def rebuild(
    config: ConfigOption,
    projection: Annotated[str, typer.Argument(metavar="NAME", help="Which: `projections` lists them.")],
) -> None:
    """Drop a projection and build it anew from the ledger; the same comes out as if it had been kept all the time.

    Example: cloud-sink rebuild usage --config config/cloud-sink.toml
    """
    configure_log()
    with exit_codes():
        settings = load_config(config)
        [name] = _choose(settings, [projection])
        _catch_up_once(settings, [name], stop_on_signals(), anew=True)


def projections(config: ConfigOption, json: JsonOption = False) -> None:
    """List the projections: how far each has come, and since when the oldest that it hasn't taken yet waits.

    Example: cloud-sink projections --config config/cloud-sink.toml
    """
    with exit_codes():
        settings = load_config(config)
        lines = [_line(settings, name) for name in wanted_projections(settings)]
        presenting.print_all(lines, _describe, json, sys.stdout, "no projection is kept")


def _choose(config: Config, only: list[str] | None) -> list[str]:
    wanted = wanted_projections(config)
    for name in only or ():
        if name not in PROJECTIONS:
            raise typer.BadParameter(
                f"there is no projection {name!r}: expected one of {', '.join(PROJECTIONS)}"
            )
        if name not in wanted:
            raise ConfigError([f"the configuration doesn't ask for {name}: add its section"])
    return [name for name in wanted if not only or name in only]


def _catch_up_once(config: Config, names: list[str], stop: threading.Event, anew: bool = False) -> None:
    """Catch up one after the other; one that can't doesn't keep the others from it."""
    problems = []
    for name in names:
        try:
            _catch_up(PROJECTIONS[name](config), stop, anew)
        except ConfigError:
            raise
        except SinkError as error:
            problems.append(f"{name}: {error}")
    for problem in problems:
        typer.echo(f"cloud-sink: {problem}", err=True)
    if problems:
        raise typer.Exit(EXIT_SOFTWARE)


def _catch_up(projection: Projection, stop: threading.Event, anew: bool) -> None:
    try:
        projection.prepare(anew)
        with progress_on_stderr(projection.title) as progress:
            catch_up(projection, stop, progress)
    finally:
        projection.close()


def _line(config: Config, name: str) -> ProjectionLine:
    projection = PROJECTIONS[name](config)
    try:
        lag = projection.lag()
        return ProjectionLine(
            name, projection.title, projection.version, lag.position, lag.end, lag.waiting_since
        )
    finally:
        projection.close()


def _describe(line: ProjectionLine) -> str:
    """`usage      usage per day, version 1: 1842 of 1900, the oldest of the rest since 2026-11-22T09:31:01.000Z`"""
    text = f"{line.name:10} {line.title}, version {line.version}: {line.position} of {line.end}"
    if line.waiting_since is not None:
        text += f", the oldest of the rest since {presenting.instant(line.waiting_since)}"
    return text
