"""`import`, `export`, `template`, `history`: the master data in and out, and who said what when."""

from dataclasses import asdict
from typing import Annotated

import typer

from billing_aggregator.commands.terminal import ConfigOption, JsonOption, opened, print_json, print_table

TableOption = Annotated[str | None, typer.Option("--table", help="Only this table: cost_item.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command(name="history")(history)


def history(
    config: ConfigOption,
    property_id: Annotated[str, typer.Argument(metavar="PROPERTY")],
    table: TableOption = None,
    key: Annotated[str | None, typer.Option("--key", help="Only this key: WE1/2025-01-01.")] = None,
    json: JsonOption = False,
) -> None:
    """Show who entered or took back what of a property's master data, when and why, oldest first.

    Example: billing-aggregator history lindenhof --table cost_item --config config/billing-aggregator.toml
    """
    with opened(config) as books:
        entries = books.masterdata.history(property_id, table, key)
        if json:
            print_json([asdict(each) for each in entries])
            return
        rows = [
            (
                f"{each.at:%Y-%m-%d %H:%M:%S}Z",
                each.actor,
                each.table,
                each.key,
                each.payload or f"takes back {each.reverses}",
                each.reason,
            )
            for each in entries
        ]
        print_table(f"History of {property_id}", ("when", "who", "table", "key", "what", "why"), rows)
