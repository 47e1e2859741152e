"""Writes the master data out again, as they were known at any instant, and templates of each table: CSV or Excel.

What is exported can be imported: into empty books it gives a snapshot with the same hash.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from billing_aggregator.errors import NotFound
from billing_aggregator.masterdata import schema
from billing_aggregator.masterdata.columns import Column, Table
from billing_aggregator.masterdata.facts import Fact
from billing_aggregator.masterdata.schema import TABLES
from billing_aggregator.masterdata.sheets import OutColumn, OutSheet, write_csv, write_workbook
from billing_aggregator.masterdata.snapshot import Snapshot
from billing_aggregator.masterdata.store import MasterData

WORKBOOK = "masterdata.xlsx"


def export_csv(
    masterdata: MasterData,
    directory: Path,
    properties: Sequence[str] | None = None,
    known_at: datetime | None = None,
) -> list[Path]:
    """Write `<table>.csv` for each table that has rows, and return the files. `properties`: by default all."""
    directory.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for table in TABLES.values():
        rows = _rows(table, _snapshots(masterdata, properties, known_at))
        first = next(rows, None)
        if first is not None:
            path = directory / f"{table.name}.csv"
            write_csv(path, _names(table), [first], rows)
            written.append(path)
    return written


def export_workbook(
    masterdata: MasterData,
    path: Path,
    properties: Sequence[str] | None = None,
    known_at: datetime | None = None,
) -> Path:
    """Write one workbook with a sheet for each table that has rows, and return its path."""
    snapshots = list(_snapshots(masterdata, properties, known_at))
    sheets = [
        OutSheet(table.name, _out_columns(table), list(_rows(table, snapshots))) for table in TABLES.values()
    ]
    write_workbook(path, [sheet for sheet in sheets if sheet.rows])
    return path


def write_csv_templates(directory: Path, tables: Sequence[str] = ()) -> list[Path]:
    """Write `<table>.csv` with header and an example for these tables, by default all; return the files."""
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for table in _choose(tables):
        path = directory / f"{table.name}.csv"
        write_csv(path, _names(table), [_example(table)], ())
        written.append(path)
    return written


def write_template_workbook(path: Path, tables: Sequence[str] = ()) -> Path:
    """Write a workbook with a sheet for each of these tables: header with comments, and an example."""
    write_workbook(
        path, [OutSheet(table.name, _out_columns(table), [_example(table)]) for table in _choose(tables)]
    )
    return path


def facts_of(snapshot: Snapshot, table: Table) -> Sequence[Fact]:
    """Return a snapshot's rows of one table."""
    if table is schema.PROPERTY:
        return (snapshot.property,)
    rows: Sequence[Fact] = getattr(snapshot, schema.COLLECTIONS[table.name])
    return rows


def _snapshots(
    masterdata: MasterData, properties: Sequence[str] | None, known_at: datetime | None
) -> Iterator[Snapshot]:
    """Yield what is exported; NotFound for a property that isn't there, before anything is written of it."""
    if properties is None:
        yield from masterdata.snapshots(None, known_at)
    else:
        for name in properties:
            yield masterdata.snapshot(name, known_at)


def _rows(table: Table, snapshots: Iterable[Snapshot]) -> Iterator[Sequence[str]]:
    for snapshot in snapshots:
        for fact in facts_of(snapshot, table):
            yield list(table.texts(fact).values())


def _choose(tables: Sequence[str]) -> list[Table]:
    if unknown := [name for name in tables if name not in TABLES]:
        raise NotFound(f"there is no table {', '.join(unknown)}; there is: {', '.join(TABLES)}")
    return [TABLES[name] for name in tables or TABLES]


def _names(table: Table) -> list[str]:
    return [column.name for column in table.columns]


def _example(table: Table) -> list[str]:
    return [column.example for column in table.columns]


def _out_columns(table: Table) -> list[OutColumn]:
    return [OutColumn(column.name, _comment(column)) for column in table.columns]


def _comment(column: Column) -> str:
    lines = [column.meaning, f"Expected: {column.kind.expected.replace('`', '')}"]
    if column.default is not None:
        lines.append(f"May be left empty{f', it is {column.default} then' if column.default else ''}")
    if column.instead is not None:
        lines.append(f"Or the column {column.instead.name} in its place: {column.instead.meaning}")
    return "\n".join(lines)
