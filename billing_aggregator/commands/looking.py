"""`provisional`, `compare`, `reconcile`: they look at the data and change nothing."""

import re
from pathlib import Path
from typing import Annotated

import typer

from billing_aggregator.amounts import format_cents
from billing_aggregator.commands.run_names import RunArgument, split_name
from billing_aggregator.commands.sources import make_sources
from billing_aggregator.commands.terminal import (
    EXIT_REFUSED,
    ConfigOption,
    JsonOption,
    opened,
    parse_day,
    print_json,
    print_table,
    say,
)
from billing_aggregator.days import day_of
from billing_aggregator.documents.building import build_statements
from billing_aggregator.documents.writing import write_statements
from billing_aggregator.model import BaseKey, RegisterRun
from billing_aggregator.runs.comparing import Difference, Variant, compare
from billing_aggregator.runs.gathering import Purpose, gather_now
from billing_aggregator.runs.provisional import Provisional, look_ahead

_SPLIT = re.compile(
    r"(?P<base>\d{1,3})/(?P<usage>\d{1,3})(:(?P<key>area|persons|dwellings))?(:(?P<ml>\d{1,6})ml)?"
)


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command(name="provisional")(provisional)
    app.command(name="compare")(compare_)
    app.command(name="reconcile")(reconcile)


def provisional(
    config: ConfigOption,
    property_id: Annotated[str, typer.Option("--property", help="Which property.")],
    on: Annotated[str | None, typer.Option("--on", help="The last day looked at; by default today.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Also write each party's provisional statement here (PDF).")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show how a period stands on a day, as if it ended there: provisional, with a band for costs not known yet.

    Example: billing-aggregator provisional --property lindenhof --on 2025-06-30 --config FILE
    """
    with opened(config) as books:
        zone = books.snapshot(property_id).property.time_zone
        found = look_ahead(books, property_id, parse_day(on, "--on") or day_of(books.now(), zone))
        if out is not None:
            write_statements(build_statements(make_sources(books, found.document, None, found.as_of)), out)
        if json:
            print_json(found)
        else:
            _print_provisional(property_id, found)


def compare_(
    run: RunArgument,
    config: ConfigOption,
    second: Annotated[
        str,
        typer.Option("--with", help="Shares, key and minimum: 50/50, 30/70:persons, 30/70:area:5000ml."),
    ],
    first: Annotated[
        str | None, typer.Option("--against", help="Likewise; by default the agreement in force.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Divide the same costs and pours by two agreements: who wins, who loses. Nothing is changed.

    Example: billing-aggregator compare lindenhof/2025-01-01 --with 50/50 --config config/billing-aggregator.toml
    """
    with opened(config) as books:
        property_id, day, _ = split_name(books, run)
        inputs = gather_now(books, Purpose(property_id, day, 1, "compared", day))
        differences = compare(inputs, _variant(first, "--against"), _variant(second, "--with"))
        if json:
            print_json([{**_as_fields(each), "moves_cents": each.moves_cents} for each in differences])
        else:
            _print_differences(differences, first or "in force", second)


def reconcile(
    run: RunArgument,
    config: ConfigOption,
    json: JsonOption = False,
) -> None:
    """Hold each chamber's register against its pours within a period; exit code 1 if something is unexplained.

    Example: billing-aggregator reconcile lindenhof/2025-01-01 --config config/billing-aggregator.toml
    """
    with opened(config) as books:
        property_id, day, _ = split_name(books, run)
        registers = gather_now(books, Purpose(property_id, day, 1, "reconciled", day)).usage.registers
        if json:
            print_json(registers)
        else:
            _print_registers(registers)
    if any(each.unexplained for each in registers):
        raise typer.Exit(EXIT_REFUSED)


def _variant(text: str | None, option: str) -> Variant:
    if text is None:
        return Variant()
    match = _SPLIT.fullmatch(text)
    if match is None:
        raise typer.BadParameter(
            f"{option}: {text!r} is no agreement: expected 30/70, 50/50:persons, 30/70:area:5000ml"
        )
    base, usage = int(match["base"]), int(match["usage"])
    if base + usage == 0:
        raise typer.BadParameter(f"{option}: {text!r}: one share at least must be above zero")
    return Variant(
        base_share=base,
        usage_share=usage,
        base_key=BaseKey(match["key"]) if match["key"] else None,
        minimum_ml_per_person_week=int(match["ml"]) if match["ml"] else None,
    )


def _as_fields(each: Difference) -> dict[str, object]:
    return {"row": each.row, "first_cents": each.first_cents, "second_cents": each.second_cents}


def _print_provisional(property_id: str, found: Provisional) -> None:
    say(f"PROVISIONAL, as of {found.as_of}: by {found.basis}")
    rows = [
        (each.row, *(format_cents(cents) for cents in (each.likely_cents, each.low_cents, each.high_cents)))
        for each in found.bands
    ]
    totals = (found.likely_total_cents, found.low_total_cents, found.high_total_cents)
    rows.append(("Σ", *(format_cents(cents) for cents in totals)))
    print_table(property_id, ("row", "likely", "at least", "at most"), rows, "lrrr")


def _print_differences(differences: tuple[Difference, ...], first: str, second: str) -> None:
    rows = [
        (
            each.row,
            format_cents(each.first_cents),
            format_cents(each.second_cents),
            format_cents(each.moves_cents),
            "wins" if each.moves_cents < 0 else "loses" if each.moves_cents else "",
        )
        for each in differences
    ]
    print_table("The same data by two agreements", ("row", first, second, "moves", ""), rows, "lrrrl")


def _print_registers(registers: tuple[RegisterRun, ...]) -> None:
    rows = [
        (
            f"{each.lock} {each.chamber}",
            f"{each.epoch}: {each.first_seq}..{each.last_seq}",
            f"{each.register_start} -> {each.register_end}",
            each.pours,
            each.lost,
            each.buffered,
            each.unexplained,
        )
        for each in registers
    ]
    columns = ("lock, chamber", "epoch: records", "register", "pours", "lost", "on the way", "UNEXPLAINED")
    print_table("Registers against pours", columns, rows, "lllrrrr")
