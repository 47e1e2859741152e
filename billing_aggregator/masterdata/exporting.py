"""Writes the master data out again, as they were known at any instant, and templates of each table: CSV or Excel.

What is exported can be imported: into empty books it gives a snapshot with the same hash.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from billing_aggregator.errors import NotFound
from billing_aggregator.masterdata import schema
from billing_aggregator.masterdata.columns import Column, Table
from billing_aggregator.masterdata.facts import Fact
from billing_aggregator.masterdata.schema import TABLES
from billing_aggregator.masterdata.sheets import CsvFile, OutColumn, OutSheet, write_workbook
from billing_aggregator.masterdata.snapshot import Snapshot
from billing_aggregator.masterdata.store import MasterData

WORKBOOK = "masterdata.xlsx"


def export_csv(
    masterdata: MasterData,
    directory: Path,
    properties: Sequence[str] | None = None,
    known_at: datetime | None = None,
) -> list[Path]:
    """Write `<table>.csv` for every table, also where it has no rows, and return the files.

    `properties`: by default all; NotFound, and nothing written, if one isn't there.
    """
    _refuse_unknown(masterdata, properties, known_at)
    directory.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        files = {
            name: stack.enter_context(CsvFile(directory / f"{name}.csv", _names(table)))
            for name, table in TABLES.items()
        }
        for snapshot in masterdata.snapshots(properties, known_at):
            for name, table in TABLES.items():
                for row in _rows(table, snapshot):
                    files[name].write(row)
    return [file.path for file in files.values()]


def export_workbook(
    masterdata: MasterData,
    path: Path,
    properties: Sequence[str] | None = None,
    known_at: datetime | None = None,
) -> Path:
    """Write one workbook with a sheet for each table that has rows, and return its path."""
    _refuse_unknown(masterdata, properties, known_at)
    rows: dict[str, list[Sequence[str]]] = {name: [] for name in TABLES}
    for snapshot in masterdata.snapshots(properties, known_at):
        for name, table in TABLES.items():
            rows[name] += _rows(table, snapshot)
    filled = [table for name, table in TABLES.items() if rows[name]]
    write_workbook(path, [OutSheet(table.name, _out_columns(table), rows[table.name]) for table in filled])
    return path


def write_csv_templates(directory: Path, tables: Sequence[str] = ()) -> list[Path]:
    """Write `<table>.csv` with header and an example for these tables, by default all; return the files."""
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for table in _choose(tables):
        path = directory / f"{table.name}.csv"
        with CsvFile(path, _names(table)) as file:
            file.write(_example(table))
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


def _refuse_unknown(
    masterdata: MasterData, properties: Sequence[str] | None, known_at: datetime | None
) -> None:
    for name in properties or ():
        masterdata.snapshot(name, known_at)


def _rows(table: Table, snapshot: Snapshot) -> Iterator[Sequence[str]]:
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
