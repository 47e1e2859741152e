"""The part of docs/billing-masterdata.md that is made from the tables' own description.

python -m tests.unit.billing_aggregator.masterdata_manual      writes it anew, after a change of schema.py
"""

from collections.abc import Iterator
from pathlib import Path

from billing_aggregator.masterdata.columns import Column, Table
from billing_aggregator.masterdata.schema import TABLES

MANUAL = Path(__file__).parents[3] / "docs" / "billing-masterdata.md"
BEGIN = "<!-- tables: begin -->"


def describe_tables() -> str:
    """Return all tables with their columns, as Markdown."""
    return "\n".join(line for table in TABLES.values() for line in _describe(table))


def rewrite(text: str) -> str:
    """Return the manual with its part on the tables as it should be: all that follows the mark."""
    return text.partition(BEGIN)[0] + BEGIN + "\n\n" + describe_tables().rstrip() + "\n"


def _describe(table: Table) -> Iterator[str]:
    yield from (f"### {table.name}", "", table.meaning, "", "| column | what it is | expected | example |")
    yield "| --- | --- | --- | --- |"
    for column in table.columns:
        mark = "**" if column.key else ""
        yield f"| {mark}`{column.name}`{mark} | {_meaning(column)} | {column.kind.expected} | {_example(column)} |"
    yield ""


def _meaning(column: Column) -> str:
    told = column.meaning
    if column.instead is not None:
        told += f"; or `{column.instead.name}`: {column.instead.meaning}"
    if column.default is not None and "empty" not in told:
        told += f"; empty means {column.default}" if column.default else "; may be empty"
    return told


def _example(column: Column) -> str:
    return f"`{column.example}`" if len(column.example) <= 40 else f"`{column.example[:8]}…`"


if __name__ == "__main__":
    MANUAL.write_text(rewrite(MANUAL.read_text(encoding="utf-8")), encoding="utf-8")
