"""`billing-aggregator run …`: a run from `open` to `settled`, its revisions, and the proof that it can be repeated."""

from typing import Annotated

import typer

from billing_aggregator.commands import run_tables
from billing_aggregator.commands.run_names import RunArgument, find_run, split_name
from billing_aggregator.commands.terminal import (
    EXIT_REFUSED,
    ActorOption,
    ConfigOption,
    JsonOption,
    RequiredReason,
    exit_codes,
    name_actor,
    now,
    opened,
    parse_day,
    progress,
)
from billing_aggregator.config import load_config
from billing_aggregator.runs import automatic
from billing_aggregator.runs.books import open_books
from billing_aggregator.runs.document import decode
from billing_aggregator.runs.drafting import begin, calculate_draft, decide
from billing_aggregator.runs.replaying import replay as replay_run
from billing_aggregator.runs.showing import look_at

app = typer.Typer(
    no_args_is_help=True,
    help="Statement runs, from the end of a period to the last payment.\n\n"
    "Example: billing-aggregator run show lindenhof/2025-01-01 --config config/billing-aggregator.toml",
)
ReceiptOption = Annotated[
    str | None, typer.Option("--receipt-on", help="Planned day of receipt: 2026-03-31.")
]


@app.command()
def new(
    config: ConfigOption,
    run: Annotated[str | None, typer.Argument(help="PROPERTY/FIRST-DAY of the period.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Each period that is over and has no run yet.")] = False,
    receipt_on: ReceiptOption = None,
    actor: ActorOption = None,
    json: JsonOption = False,
) -> None:
    """Begin the run of a period, or calculate a draft again, and show what stands in its way.

    Example: billing-aggregator run new lindenhof/2025-01-01 --config config/billing-aggregator.toml
    """
    if (run is None) == (not all_):
        raise typer.BadParameter("name one run (PROPERTY/FIRST-DAY), or --all")
    with opened(config) as books:
        who, planned = name_actor(actor), parse_day(receipt_on, "--receipt-on")
        if run is None:
            properties = books.masterdata.properties()
            results = (automatic.advance(books, each, who, submit=False) for each in properties)
            run_tables.print_results(results, len(properties), json)
            return
        property_id, first, _ = split_name(books, run)
        there = books.store.revisions(property_id, first)
        record = there[-1] if there else begin(books, property_id, first, who)
        drafted = calculate_draft(books, record, who, planned)
        run_tables.print_run(look_at(books, drafted), json)


@app.command(name="list")
def list_(
    config: ConfigOption,
    property_id: Annotated[str | None, typer.Argument(metavar="PROPERTY")] = None,
    late: Annotated[
        bool, typer.Option("--late", help="Also look for pours and corrections since each was finalized.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """List runs with their deadlines; with --late those for which a revision is due are marked.

    Example: billing-aggregator run list lindenhof --late --config config/billing-aggregator.toml
    """
    with opened(config) as books:
        runs = books.store.list(property_id)
        with progress("runs", len(runs)) as bar:
            lines = []
            for record in runs:
                lines.append(run_tables.line_of(books, record, late))
                bar.advance(bar.task_ids[0])
        run_tables.print_lines(lines, json)


@app.command()
def show(run: RunArgument, config: ConfigOption, json: JsonOption = False) -> None:
    """Show a run: per row volumes, shares and money; obstacles, deadlines, alarms. As JSON also all to recompute it.

    Example: billing-aggregator run show lindenhof/2025-01-01 --json --config config/billing-aggregator.toml
    """
    with opened(config) as books:
        run_tables.print_run(look_at(books, find_run(books, run)), json)


@app.command()
def review(run: RunArgument, config: ConfigOption, json: JsonOption = False) -> None:
    """List what a person has to decide before the run can go on.

    Example: billing-aggregator run review lindenhof/2025-01-01 --config config/billing-aggregator.toml
    """
    with opened(config) as books:
        run_tables.print_reviews(decode(books.store.document(find_run(books, run))), json)


@app.command(name="decide")
def decide_(
    run: RunArgument,
    review: Annotated[str, typer.Argument(help="The review's id, its group's, or cap:ROW.")],
    choice: Annotated[str, typer.Argument(help="One of the review's choices; of a cap: lift or keep.")],
    config: ConfigOption,
    reason: RequiredReason,
    actor: ActorOption = None,
    json: JsonOption = False,
) -> None:
    """Decide a review, say why, and calculate the draft again.

    Example: billing-aggregator run decide lindenhof/2025-01-01 cap:WE1/T1 lift --reason "his own delay" --config FILE
    """
    with opened(config) as books:
        decided = decide(books, find_run(books, run), review, choice, name_actor(actor), reason)
        run_tables.print_run(look_at(books, decided), json)


@app.command()
def auto(
    config: ConfigOption,
    processes: Annotated[
        int | None, typer.Option("--processes", min=1, max=64, help="Properties at once; else as configured.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Bring each period that is over as far as it gets without a person: for a timer. Approval is a person's.

    With --json one line of JSON for each period, as they come.

    Example: billing-aggregator run auto --processes 2 --config config/billing-aggregator.toml
    """
    with exit_codes():
        settings = load_config(config)
        with open_books(settings, now) as books:
            properties = books.masterdata.properties()
        many = min(processes or settings.runs.processes, max(1, len(properties)))
        results = automatic.advance_all(settings, properties, many, now)
        run_tables.print_results(results, len(properties), json)


@app.command()
def replay(run: RunArgument, config: ConfigOption, json: JsonOption = False) -> None:
    """Calculate a finalized revision again from what it pins, single entries included: the bytes must be the same.

    Example: billing-aggregator run replay lindenhof/2025-01-01/1 --config config/billing-aggregator.toml
    """
    with opened(config) as books:
        result = replay_run(books, find_run(books, run))
        run_tables.print_replay(result, json)
    if not result.identical:
        raise typer.Exit(EXIT_REFUSED)
