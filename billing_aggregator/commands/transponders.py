"""`transponder`: who holds one, and blocking one that is lost."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from billing_aggregator.commands.terminal import (
    ActorOption,
    ConfigOption,
    JsonOption,
    RequiredReason,
    name_actor,
    opened,
    parse_instant,
    print_json,
    print_table,
    say,
)
from billing_aggregator.masterdata.transponders import (
    Holding,
    block_transponder,
    find_transponder,
    restore_transponder,
)

app = typer.Typer(no_args_is_help=True, help="Transponders: who holds one, and blocking one that is lost.")
Pseudonym = Annotated[
    str, typer.Argument(help="The transponder's pseudonym: `cloud-sink pseudonym` makes it from its number.")
]
_NOW = "now"


@app.command()
def block(
    config: ConfigOption,
    pseudonym: Pseudonym,
    reason: RequiredReason,
    at: Annotated[str, typer.Option("--at", help="From when on: now, or an instant with an offset.")] = _NOW,
    property_id: Annotated[
        str | None, typer.Option("--property", help="Only there; by default wherever somebody holds it.")
    ] = None,
    actor: ActorOption = None,
    json: JsonOption = False,
) -> None:
    """Mark a transponder lost: from now on it is nobody's, and every lock that took it refuses it within a minute.

    Example: billing-aggregator transponder block PSEUDONYM --reason "lost, by phone" --config FILE
    """
    instant = None if at == _NOW else parse_instant(at, "--at")
    with opened(config) as books:
        blocked = block_transponder(
            books.masterdata, pseudonym, name_actor(actor), reason, instant, property_id
        )
        if json:
            print_json(asdict(blocked))
            return
        for each in blocked.ended:
            say(f"{blocked.credential}: {_whose(each)} until {_show(blocked.ended_at)}, blocked from then on")
        for each in blocked.taken_back:
            say(f"{blocked.credential}: taken back that {_whose(each)} gets it at {_show(each.begins_at)}")


@app.command()
def restore(
    config: ConfigOption,
    property_id: Annotated[str, typer.Argument(metavar="PROPERTY")],
    pseudonym: Pseudonym,
    reason: RequiredReason,
    actor: ActorOption = None,
    json: JsonOption = False,
) -> None:
    """Let who held a blocked transponder last hold it again, from now on: it was found, or blocked by mistake.

    Example: billing-aggregator transponder restore musterhof PSEUDONYM --reason "found again" --config FILE
    """
    with opened(config) as books:
        again = restore_transponder(books.masterdata, property_id, pseudonym, name_actor(actor), reason)
        if json:
            print_json(asdict(again))
        else:
            say(f"{again.credential}: {_whose(again)} from {_show(again.begins_at)} on")


@app.command()
def show(config: ConfigOption, pseudonym: Pseudonym, json: JsonOption = False) -> None:
    """Show who holds, held or will hold a transponder.

    Example: billing-aggregator transponder show PSEUDONYM --config FILE
    """
    with opened(config) as books:
        found = find_transponder(books.masterdata, pseudonym)
        if json:
            print_json([asdict(each) for each in found])
            return
        rows = [
            (
                each.property,
                "service" if each.service else f"{each.dwelling}/{each.party}",
                _show(each.begins_at),
                "" if each.ends_at is None else _show(each.ends_at),
                each.actor,
                each.reason,
            )
            for each in found
        ]
        print_table(
            f"Transponder {pseudonym}", ("property", "whose", "from", "until", "entered by", "why"), rows
        )


def _whose(holding: Holding) -> str:
    return f"{holding.property}, " + (
        "the service's" if holding.service else f"{holding.dwelling}/{holding.party}"
    )


def _show(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
