"""`import`, `export`, `template`, `history`: the master data in and out, and who said what when."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from billing_aggregator.commands.terminal import (
    ActorOption,
    ConfigOption,
    JsonOption,
    ReasonOption,
    exit_codes,
    name_actor,
    opened,
    parse_instant,
    print_json,
    print_table,
    say,
)
from billing_aggregator.masterdata.exporting import (
    WORKBOOK,
    export_csv,
    export_workbook,
    write_csv_templates,
    write_template_workbook,
)
from billing_aggregator.masterdata.importing import Report, import_files
from billing_aggregator.masterdata.payloads import decode_fact
from billing_aggregator.masterdata.schema import TABLES
from billing_aggregator.masterdata.store import HistoryEntry

TablesOption = Annotated[
    list[str] | None, typer.Option("--table", help="Only this table (cost_item); may be given several times.")
]
ExcelOption = Annotated[
    bool, typer.Option("--excel", help="One workbook instead of a CSV file for each table.")
]
OutOption = Annotated[Path, typer.Option("--out", help="The directory to write to; it is made if needed.")]
_SHOWN = 200


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command(name="import")(import_)
    app.command(name="export")(export)
    app.command(name="template")(template)
    app.command(name="history")(history)


def import_(
    config: ConfigOption,
    files: Annotated[list[Path], typer.Argument(help="CSV and Excel files, or directories of them.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    reason: ReasonOption = "",
    actor: ActorOption = None,
    json: JsonOption = False,
) -> None:
    """Take a set of files of master data, whole or not at all; the same files again change nothing.

    Example: billing-aggregator import config/masterdata-example --dry-run --config config/billing-aggregator.toml
    """
    with opened(config) as books:
        report = import_files(books.masterdata, files, name_actor(actor), reason, dry_run)
        if json:
            print_json(
                {"import_no": report.import_no, "tables": report.counts(), "differences": report.differences}
            )
        else:
            _print_report(report, dry_run)


def export(
    config: ConfigOption,
    out: OutOption,
    property_id: Annotated[
        list[str] | None, typer.Option("--property", help="Only this property; may be given several times.")
    ] = None,
    known_at: Annotated[
        str | None, typer.Option("--known-at", help="As known at this instant: 2026-03-01T12:00:00Z.")
    ] = None,
    excel: ExcelOption = False,
    json: JsonOption = False,
) -> None:
    """Write the master data as CSV or Excel, as they are or were known; what is exported can be imported again.

    Example: billing-aggregator export --out masterdata --property musterhof --config FILE
    """
    instant = parse_instant(known_at, "--known-at")
    with opened(config) as books:
        if excel:
            out.mkdir(parents=True, exist_ok=True)
            written = [export_workbook(books.masterdata, out / WORKBOOK, property_id, instant)]
        else:
            written = export_csv(books.masterdata, out, property_id, instant)
        _print_paths(written, out, json)


def template(
    out: OutOption, table: TablesOption = None, excel: ExcelOption = False, json: JsonOption = False
) -> None:
    """Write an empty table of each kind with an example row; in the workbook each column explains itself.

    Example: billing-aggregator template --out templates --excel
    """
    with exit_codes():
        if excel:
            out.mkdir(parents=True, exist_ok=True)
            written = [write_template_workbook(out / WORKBOOK, table or ())]
        else:
            written = write_csv_templates(out, table or ())
        _print_paths(written, out, json)


def history(
    config: ConfigOption,
    property_id: Annotated[str, typer.Argument(metavar="PROPERTY")],
    table: Annotated[str | None, typer.Option("--table", help="Only this table: cost_item.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="Only this key: WE1/2025-01-01.")] = None,
    json: JsonOption = False,
) -> None:
    """Show who entered or took back what of a property's master data, when and why, oldest first.

    Example: billing-aggregator history musterhof --table cost_item --config config/billing-aggregator.toml
    """
    with opened(config) as books:
        entries = books.masterdata.history(property_id, table, key)
        if json:
            print_json([asdict(each) for each in entries])
            return
        told = {each.fact_no: _tell(each) for each in entries}
        rows = [
            (
                f"{each.at:%Y-%m-%d %H:%M:%S}Z",
                each.actor,
                each.table,
                each.key,
                told[each.fact_no] if each.reverses is None else f"taken back: {told[each.reverses]}",
                each.reason,
            )
            for each in entries
        ]
        print_table(f"History of {property_id}", ("when", "who", "table", "key", "what", "why"), rows)


def _tell(entry: HistoryEntry) -> str:
    """Return the cells of what was entered, by column; "" for what only takes something back."""
    if entry.reverses is not None:
        return ""
    table = TABLES[entry.table]
    texts = table.texts(decode_fact(table, entry.payload))
    return ", ".join(f"{column} {text}" for column, text in texts.items() if text and column != "property")


def _print_report(report: Report, dry_run: bool) -> None:
    counts = report.counts()
    columns = ("added", "changed", "reversed", "unchanged")
    rows = [(table, *(numbers[column] for column in columns)) for table, numbers in counts.items()]
    what = "would change" if dry_run else "nothing changed" if report.import_no is None else "taken"
    print_table(f"Master data: {what}", ("table", *columns), rows, "lrrrr")
    for difference in report.differences[:_SHOWN] if dry_run else ():
        cells = [
            f"{column} {before} -> {after or 'empty'}"
            for column, (before, after) in difference.changed_columns().items()
            if before
        ]
        told = f": {', '.join(cells)}" if cells else ""
        say(f"{difference.kind} {difference.property} {difference.table} {difference.key}{told}")
    if dry_run and len(report.differences) > _SHOWN:
        say(f"and {len(report.differences) - _SHOWN} more; --json lists all")


def _print_paths(written: list[Path], out: Path, as_json: bool) -> None:
    if as_json:
        print_json([str(path) for path in written])
    else:
        say(f"{len(written)} files are in {out}")
