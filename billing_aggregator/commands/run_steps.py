"""`billing-aggregator run submit|approve|…`: the steps of a run that people take, each with who and why."""

from typing import Annotated

import typer

from billing_aggregator.commands import run_tables
from billing_aggregator.commands.run_names import RunArgument, find_run
from billing_aggregator.commands.runs import ReceiptOption
from billing_aggregator.commands.runs import app as app
from billing_aggregator.commands.terminal import (
    ActorOption,
    ConfigOption,
    JsonOption,
    ReasonOption,
    RequiredReason,
    name_actor,
    opened,
    parse_day,
)
from billing_aggregator.errors import IllegalStep
from billing_aggregator.runs import approval, delivery, revising

RowsOption = Annotated[
    list[str] | None, typer.Option("--row", help="Only this party (WE1/T1); may be given several times.")
]


@app.command()
def submit(
    run: RunArgument,
    config: ConfigOption,
    reason: ReasonOption = "",
    actor: ActorOption = None,
    json: JsonOption = False,
) -> None:
    """Hand a draft in: somebody else has to look at it now.

    Example: billing-aggregator run submit lindenhof/2025-01-01 --config config/billing-aggregator.toml
    """
    with opened(config) as books:
        run_tables.print_step(approval.submit(books, find_run(books, run), name_actor(actor), reason), json)


@app.command()
def approve(
    run: RunArgument,
    config: ConfigOption,
    reason: ReasonOption = "",
    actor: ActorOption = None,
    json: JsonOption = False,
) -> None:
    """Approve what somebody else handed in (four eyes); the configuration lists who may.

    Example: billing-aggregator run approve lindenhof/2025-01-01 --actor b.weber --config config/billing-aggregator.toml
    """
    with opened(config) as books:
        record = approval.approve(books, find_run(books, run), name_actor(actor), reason)
        run_tables.print_step(record, json, "approved (finalizing is next)")


@app.command(name="send-back")
def send_back(
    run: RunArgument,
    config: ConfigOption,
    reason: RequiredReason,
    actor: ActorOption = None,
    json: JsonOption = False,
) -> None:
    """Send a run in review back to be a draft again.

    Example: billing-aggregator run send-back lindenhof/2025-01-01 --reason "an invoice is missing" --config FILE
    """
    with opened(config) as books:
        run_tables.print_step(
            approval.send_back(books, find_run(books, run), name_actor(actor), reason), json
        )


@app.command()
def finalize(
    run: RunArgument,
    config: ConfigOption,
    reason: ReasonOption = "",
    actor: ActorOption = None,
    json: JsonOption = False,
) -> None:
    """Count all single entries again and, if the draft holds, fix it for ever.

    Example: billing-aggregator run finalize lindenhof/2025-01-01 --config config/billing-aggregator.toml
    """
    with opened(config) as books:
        run_tables.print_step(approval.finalize(books, find_run(books, run), name_actor(actor), reason), json)


@app.command()
def deliver(
    run: RunArgument,
    config: ConfigOption,
    received_on: Annotated[
        str | None, typer.Option("--received-on", help="The local day on which the parties got it.")
    ] = None,
    row: RowsOption = None,
    reason: ReasonOption = "",
    actor: ActorOption = None,
    json: JsonOption = False,
) -> None:
    """Note that statements were sent, and with --received-on who got them when: the 12 months are judged by that.

    Example: billing-aggregator run deliver lindenhof/2025-01-01 --received-on 2026-03-31 --row WE1/T1 --config FILE
    """
    day = parse_day(received_on, "--received-on")
    if row and day is None:
        raise typer.BadParameter("--row goes with --received-on")
    with opened(config) as books:
        record, who = find_run(books, run), name_actor(actor)
        if day is None:
            record = delivery.deliver(books, record, who, reason)
        else:
            record = delivery.receive(books, record, day, row or (), who, reason)
        run_tables.print_step(record, json)


@app.command(name="object")
def object_(
    run: RunArgument,
    config: ConfigOption,
    row: Annotated[str, typer.Option("--row", help="Whose objection it is: WE1/T1.")],
    reason: RequiredReason,
    actor: ActorOption = None,
    json: JsonOption = False,
) -> None:
    """Note a party's objection; `run revise` corrects what it is right about.

    Example: billing-aggregator run object lindenhof/2025-01-01 --row WE1/T1 --reason "two of us only" --config FILE
    """
    with opened(config) as books:
        record = delivery.object_to(books, find_run(books, run), row, name_actor(actor), reason)
        run_tables.print_step(record, json)


@app.command()
def settle(
    run: RunArgument,
    config: ConfigOption,
    reason: ReasonOption = "",
    actor: ActorOption = None,
    json: JsonOption = False,
) -> None:
    """Note that all is paid and nothing is disputed any more.

    Example: billing-aggregator run settle lindenhof/2025-01-01 --config config/billing-aggregator.toml
    """
    with opened(config) as books:
        run_tables.print_step(delivery.settle(books, find_run(books, run), name_actor(actor), reason), json)


@app.command()
def revise(
    run: RunArgument,
    config: ConfigOption,
    reason: ReasonOption = "",
    preview: Annotated[
        bool, typer.Option("--preview", help="Only show who would move; nothing is begun.")
    ] = False,
    receipt_on: ReceiptOption = None,
    actor: ActorOption = None,
    json: JsonOption = False,
) -> None:
    """Correct a finalized run by a new revision beside it, and show who moves by how much and why.

    Example: billing-aggregator run revise lindenhof/2025-01-01 --reason "lost transponder of T3" --config FILE
    """
    planned = parse_day(receipt_on, "--receipt-on")
    with opened(config) as books:
        record = find_run(books, run)
        if preview:
            run_tables.print_moves(None, revising.preview(books, record, planned), json)
            return
        if not reason:
            raise IllegalStep("say why it is corrected: --reason TEXT, it stands on each statement")
        revised, moves = revising.revise(books, record, name_actor(actor), reason, planned)
        run_tables.print_moves(revised, moves, json)
