"""`command send|list|show|withdraw`: what locks are ordered to do once, and what became of it."""

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from cloud_sink import presenting
from cloud_sink.commands.locks import LockArgument
from cloud_sink.commands.terminal import (
    ActorOption,
    ConfigOption,
    JsonOption,
    ReasonOption,
    exit_codes,
    make_author,
    now,
)
from cloud_sink.config import Config, load_config
from cloud_sink.errors import EXIT_REFUSED, NotPossible
from cloud_sink.orders.model import Action, CommandState, CommandView, how_often
from cloud_sink.orders.ordering import DEFAULT_TTL_S, Ordering

app = typer.Typer(no_args_is_help=True, help="What locks are ordered to do once, and what became of it.")
CommandArgument = Annotated[
    str, typer.Argument(metavar="COMMAND", help="Its id, as `command list` shows it.")
]
_TTL = re.compile(r"(?P<number>[1-9]\d{0,5})(?P<unit>[smh]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}
_EXIT_INTERRUPTED = 130  # as shells have it for Ctrl-C
_LOOK_EVERY_S = 0.5
_LASTING = (CommandState.EXPIRED, CommandState.UNANSWERED, CommandState.FAILED)  # what it wished goes on
_ANSWER_TAKES_S = 5.0


@contextmanager
def opened_ordering(config: Path) -> Iterator[tuple[Ordering, Config]]:
    """The door to orders of the ledger that this configuration names."""
    with exit_codes():
        settings = load_config(config)
        ordering = Ordering(settings.ledger.url, now)
        try:
            yield ordering, settings
        finally:
            ordering.close()


@app.command()
def send(
    lock: LockArgument,
    action: Annotated[str, typer.Argument(metavar="ACTION", help=f"One of {', '.join(Action)}.")],
    config: ConfigOption,
    mask: Annotated[
        int | None,
        typer.Option(
            help="Of enable_chambers: which are enabled; 1 is chamber 1, 2 chamber 2, 3 both. It lasts, even if the "
            "command expires: it is what `lock desire` says, too."
        ),
    ] = None,
    ttl: Annotated[
        str, typer.Option(help="How long it may be carried out: 90s, 10m, 2h; at most 24h.")
    ] = f"{DEFAULT_TTL_S // 60}m",
    wait: Annotated[
        bool, typer.Option("--wait", help="Until its outcome is known: exit code 0 if done.")
    ] = False,
    reason: ReasonOption = "",
    actor: ActorOption = None,
    json: JsonOption = False,
) -> None:
    """Order a lock to do something once. It is sent by `cloud-sink run`, and expires if the lock can't be reached.

    Example: cloud-sink command send 1f00a1 read_now --wait --config config/cloud-sink.toml
    """
    with opened_ordering(config) as (ordering, settings):
        author = make_author(actor, reason)
        view = ordering.request_command(lock, action, author, enable_mask=mask, ttl_s=_parse_ttl(ttl))
        if settings.orders.signing_key is None:
            typer.echo(
                "orders.signing_key isn't set here: it waits until a sink that has one sends it", err=True
            )
        if wait:
            try:
                view = _wait(ordering, view)
            except KeyboardInterrupt:
                typer.echo(f"it goes on without you: `cloud-sink command show {view.id}`", err=True)
                raise typer.Exit(_EXIT_INTERRUPTED) from None
    _print(view, json)
    if wait and view.state is not CommandState.DONE:
        raise typer.Exit(EXIT_REFUSED)


@app.command(name="list")
def list_(
    config: ConfigOption,
    lock: Annotated[str | None, typer.Option(help="Only of this lock.")] = None,
    gateway: Annotated[str | None, typer.Option(help="Only of this gateway: site/gateway.")] = None,
    before: Annotated[str | None, typer.Option(help="Those before this one (its id): the next page.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, at most.")] = 50,
    json: JsonOption = False,
) -> None:
    """List commands, the newest first.

    Example: cloud-sink command list --lock 1f00a1 --config config/cloud-sink.toml
    """
    with opened_ordering(config) as (ordering, _):
        found = ordering.commands(lock, gateway, limit, before)
    presenting.print_all(found, _tell, json, sys.stdout, "no command")


@app.command()
def show(command: CommandArgument, config: ConfigOption, json: JsonOption = False) -> None:
    """Show a command and what became of it.

    Example: cloud-sink command show COMMAND --config config/cloud-sink.toml
    """
    with opened_ordering(config) as (ordering, _):
        view = ordering.command(command)
        if view is None:
            raise NotPossible(f"there is no command {command}: `cloud-sink command list` shows all")
    _print(view, json)


@app.command()
def withdraw(
    command: CommandArgument, config: ConfigOption, reason: ReasonOption = "", actor: ActorOption = None
) -> None:
    """Take back a command that wasn't sent yet.

    Example: cloud-sink command withdraw COMMAND --reason "wrong lock" --config config/cloud-sink.toml
    """
    with opened_ordering(config) as (ordering, _):
        view = ordering.withdraw(command, make_author(actor, reason))
    typer.echo(f"{view.id}: {view.state}")


def _wait(ordering: Ordering, view: CommandView) -> CommandView:
    """Return the command once it isn't under way any more: at the latest soon after it expired, when that is told."""
    told = None
    patience = timedelta(seconds=_ANSWER_TAKES_S)
    while view.state.is_under_way or (
        view.state is CommandState.UNANSWERED and now() < view.expires_at + patience
    ):
        if view.state is not told:
            typer.echo(f"{view.id}: {view.state} …", err=True)
            told = view.state
        time.sleep(_LOOK_EVERY_S)
        view = ordering.command(view.id) or view
    return view


def _parse_ttl(text: str) -> int:
    match = _TTL.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f"--ttl: {text!r}: expected a time such as 90s, 10m or 2h")
    return int(match["number"]) * _SECONDS[match["unit"]]


def _print(view: CommandView, as_json: bool) -> None:
    typer.echo(presenting.to_json(view) if as_json else _tell(view))
    if not as_json and view.action is Action.ENABLE_CHAMBERS and view.state in _LASTING:
        typer.echo(
            f"unless something else was wished since, the lock comes to mask {view.enable_mask} once it can; "
            f"`cloud-sink lock desire {view.lock} enable_mask none` takes that back"
        )


def _tell(view: CommandView) -> str:
    """`done  h3Rk…  read_now of lock 1f00a1 (lindenhof/gw-0001), asked for 2026-… by anna: why; sent once; …`"""
    mask = "" if view.enable_mask is None else f" {view.enable_mask}"
    why = f": {view.reason}" if view.reason else ""
    told = f"; {view.told}" if view.told else ""
    return (
        f"{view.state:10}  {view.id}  {view.action}{mask} of lock {view.lock} ({view.site}/{view.gateway}), asked for "
        f"{presenting.instant(view.issued_at)} by {view.requested_by}{why}; "
        f"{_times(view)}, expires {presenting.instant(view.expires_at)}{told}"
    )


def _times(view: CommandView) -> str:
    last = "" if view.last_sent_at is None else f", last {presenting.instant(view.last_sent_at)}"
    return f"{how_often(view.attempt)}{last}"
