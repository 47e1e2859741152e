"""The bill's judgement must itself see each way in which a bill can be wrong."""

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from demo.bill_report import BillReport
from demo.billing import Bill
from demo.witness import UNATTRIBUTED, Expected

EXPECTED = {
    ("WE1/T1", "residual"): Expected(25_000, 10_000),
    ("WE2/T2", "residual"): Expected(5_000, 21_428),
    (UNATTRIBUTED, "residual"): Expected(5_000, 0),
}


def row(name: str, metered_ml: int, minimum_ml: int, charged_cents: int) -> dict[str, Any]:
    volumes = {
        "metered_ml": metered_ml,
        "minimum_ml": minimum_ml,
        "billed_ml": max(metered_ml, minimum_ml),
        "substitute_ml": 0,
    }
    return {"row": name, "fractions": [{"fraction": "residual", **volumes}], "charged_cents": charged_cents}


def bill(*rows: dict[str, Any], state: str = "finalized", costs_cents: int = 1000) -> Bill:
    run = {"state": state, "total_cents": 1000, "rows": list(rows)}
    return Bill(run, EXPECTED, costs_cents, ())


GOOD = (
    row("WE1/T1", 25_000, 10_000, 700),
    row("WE2/T2", 5_000, 21_428, 250),
    row(UNATTRIBUTED, 5_000, 0, 50),
)


def test_a_bill_with_all_millilitres_and_sums_right_is_equal() -> None:
    assert BillReport(bill(*GOOD)).equal


@pytest.mark.parametrize(
    "wrong",
    [
        bill(row("WE1/T1", 20_000, 10_000, 700), *GOOD[1:]),
        bill(row("WE1/T1", 25_000, 30_000, 700), *GOOD[1:]),
        bill(row("WE1/T1", 25_000, 10_000, 699), *GOOD[1:]),
        bill(*GOOD[:2]),
        bill(*GOOD, row("WE3/T3", 5_000, 0, 0)),
        bill(*GOOD, state="in_review"),
        bill(*GOOD, costs_cents=1001),
        bill(),
    ],
    ids=[
        "pour missing",
        "minimum",
        "cent missing",
        "row missing",
        "row too many",
        "not final",
        "costs",
        "nothing",
    ],
)
def test_a_bill_that_is_wrong_in_one_thing_isnt_equal(wrong: Bill) -> None:
    assert not BillReport(wrong).equal


def test_the_table_shows_what_differs_and_the_file_has_all(tmp_path: Path) -> None:
    report = BillReport(bill(row("WE1/T1", 20_000, 10_000, 700), *GOOD[1:]))
    console = Console(width=110, record=True, file=(tmp_path / "screen").open("w"))
    report.write(tmp_path / "bill.csv")
    report.print(console, tmp_path / "bill.csv")
    console.file.close()
    shown = console.export_text()
    assert "WE1/T1" in shown and "DIFFERENT" in shown and "NOT EQUAL" in shown
    assert "WE2/T2" not in shown
    lines = (tmp_path / "bill.csv").read_text().splitlines()
    assert lines[1:] == [
        "WE1/T1,residual,25000,20000,10000,20000,NO",
        "WE2/T2,residual,5000,5000,21428,21428,yes",
        f"{UNATTRIBUTED},residual,5000,5000,0,5000,yes",
    ]
