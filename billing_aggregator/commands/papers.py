"""`statement`, `overview`, `run export`: what people get to read of a run, from its revision and the ledger's pours."""

from pathlib import Path
from typing import Annotated

import typer

from billing_aggregator.commands.run_names import RunArgument, find_run
from billing_aggregator.commands.sources import gather_sources
from billing_aggregator.commands.terminal import ConfigOption, JsonOption, opened, print_json, progress, say
from billing_aggregator.documents.building import Sources, build_statement, list_addressees
from billing_aggregator.documents.exporting import export_revision
from billing_aggregator.documents.overview import word_overview
from billing_aggregator.documents.writing import write_overview, write_statements
from billing_aggregator.errors import NotFound
from billing_aggregator.model import RowBasis
from billing_aggregator.runs.states import FINAL_STATES

OutOption = Annotated[Path, typer.Option("--out", help="The directory to write to; it is made if needed.")]


def register(app: typer.Typer, run_app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command(name="statement")(statement)
    app.command(name="overview")(overview)
    run_app.command(name="export")(export)


def statement(
    run: RunArgument,
    config: ConfigOption,
    out: OutOption,
    row: Annotated[list[str] | None, typer.Option("--row", help="Only this party: WE1/T1.")] = None,
    processes: Annotated[int, typer.Option("--processes", min=1, max=64)] = 1,
    json: JsonOption = False,
) -> None:
    """Write the statement of each party as a PDF; before a run is finalized they are marked provisional.

    Example: billing-aggregator statement lindenhof/2025-01-01 --out statements --config FILE
    """
    with opened(config) as books:
        sources = gather_sources(books, find_run(books, run))
        wanted = _rows(sources, row)
        contents = (build_statement(sources, basis) for basis in wanted)
        with progress("statements", len(wanted)) as bar:
            written = write_statements(
                contents, out, lambda count: bar.advance(bar.task_ids[0], count), processes
            )
        if json:
            print_json([{"row": each.row, "path": str(each.path)} for each in written])
        else:
            say(f"{len(written)} statements are in {out}")


def overview(
    run: RunArgument,
    config: ConfigOption,
    out: OutOption,
    language: Annotated[str, typer.Option("--language", help="de or en.")] = "de",
    json: JsonOption = False,
) -> None:
    """Write the landlord's overview of a property as a PDF: all rows, costs, registers, reviews and decisions.

    Example: billing-aggregator overview lindenhof/2025-01-01 --out overview --config FILE
    """
    if language not in ("de", "en"):
        raise typer.BadParameter("--language is de or en")
    with opened(config) as books:
        record = find_run(books, run)
        sources = gather_sources(books, record)
        provisional = record.state not in FINAL_STATES
        report = word_overview(
            sources.document, sources.sha256, sources.names, sources.dated, language, provisional
        )
        path = out / f"overview-{record.property}-{record.period.first}-r{record.revision}.pdf"
        write_overview(report, path)
        if json:
            print_json({"path": str(path)})
        else:
            say(f"{path} is written")


def export(run: RunArgument, config: ConfigOption, out: OutOption, json: JsonOption = False) -> None:
    """Write everything of a revision as CSV and JSON: enough to recompute it with a program of one's own.

    Example: billing-aggregator run export lindenhof/2025-01-01 --out revision --config FILE
    """
    with opened(config) as books:
        sources = gather_sources(books, find_run(books, run))
        paths = export_revision(sources.document, sources.pours, out)
        if json:
            print_json([str(path) for path in paths])
        else:
            say(f"{len(paths)} files are in {out}")


def _rows(sources: Sources, wanted: list[str] | None) -> list[RowBasis]:
    known = {basis.row: basis for basis in list_addressees(sources)}
    unknown = [row for row in wanted or () if row not in known]
    if unknown:
        raise NotFound(f"there is no row {', '.join(unknown)}; rows: {', '.join(known)}")
    return [known[row] for row in wanted] if wanted else list(known.values())
