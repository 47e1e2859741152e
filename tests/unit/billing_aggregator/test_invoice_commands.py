"""`billing-aggregator invoice …`, as a person and as a program use it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import facturx  # type: ignore[import-untyped]
import pytest
from typer.testing import CliRunner

from billing_aggregator.database import Database, migrate
from billing_aggregator.invoice.commands import app
from billing_aggregator.masterdata.facts import Chamber, Fact, Party, Property
from billing_aggregator.masterdata.payloads import encode_fact
from billing_aggregator.masterdata.schema import TABLES
from billing_aggregator.masterdata.store import MasterData, NewFact
from tests.house.sources import ROOT

DOCUMENTED = (ROOT / "docs/invoices.md").read_text().partition("```toml\n")[2].partition("```")[0]
YEAR = ("--first-day", "2025-01-01", "--last-day", "2025-12-31")
FACTS = (
    Property("elbhof", "Elbhof 1–7", "Elbhof 1", "21073", "Hamburg", "Europe/Berlin", "wohnbau"),
    Party("elbhof", "wohnbau", "Wohnbau Elbe eG", "Am Markt 3", "21073", "Hamburg", "de"),
    Chamber("elbhof", "1f00a3", 1, 20_000, "residual", datetime(2024, 12, 31, 23, tzinfo=UTC), None),
)


def new_fact(fact: Fact) -> NewFact:
    table = next(table for table in TABLES.values() if isinstance(fact, table.fact))
    return NewFact("elbhof", table.name, table.key_of(fact), encode_fact(fact), None, "")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose sections are the ones that docs/invoices.md shows, and a property in the master data."""
    url = f"sqlite:///{tmp_path / 'billing.sqlite'}"
    database = Database(url)
    migrate(database)
    with MasterData(database).changing() as change:
        change.write([new_fact(fact) for fact in FACTS], (), "clerk", "")
    database.close()
    path = tmp_path / "billing.toml"
    path.write_text(f'[database]\nurl = "{url}"\n[ledger]\nurl = "{url}"\n{DOCUMENTED}')
    return path


def run(config: Path, *arguments: str, fails: int = 0) -> str:
    """Run a command and return what it printed; with `fails`, its exit code, what it complained of."""
    done = CliRunner().invoke(
        app, [*arguments, "--config", str(config)], env={"COLUMNS": "160"}, catch_exceptions=False
    )
    assert done.exit_code == fails, done.output
    return done.stderr if fails else done.stdout


def run_json(config: Path, *arguments: str) -> Any:
    return json.loads(run(config, *arguments, "--json"))


def test_the_documented_configuration_takes_an_invoice_to_files_that_hold_it(
    config: Path, tmp_path: Path
) -> None:
    drafted = run_json(config, "draft", "elbhof", *YEAR, "--actor", "clerk")
    assert (drafted["state"], drafted["invoice_no"]) == ("draft", 1)
    assert drafted["totals"] == {"net_cents": 17_880, "vat_cents": 3_397, "gross_cents": 21_277}
    issued = run_json(config, "issue", "1", "--actor", "clerk")
    number = issued["invoice"]["number"]
    assert number == f"R-{issued['invoice']['issued_on'][:4]}-0001"
    printed = run(config, "export", number, "--out", str(tmp_path / "outbox"))
    xml, pdf = ((tmp_path / "outbox" / f"{number}.{suffix}").read_bytes() for suffix in ("xml", "pdf"))
    assert b"xrechnung_3.0" in xml and facturx.get_xml_from_pdf(pdf)[0] == "factur-x.xml"
    assert printed.count("SHA-256") == 2


def test_people_see_lines_sums_and_history(config: Path) -> None:
    run(config, "draft", "elbhof", *YEAR, "--actor", "clerk")
    number = run_json(config, "issue", "1")["invoice"]["number"]
    shown = run(config, "show", number)
    for text in (f"Invoice {number} for Wohnbau Elbe eG: issued", "Servicepauschale", "€178.80", "VAT 19%", "€212.77",
                 "draft by clerk"):  # fmt: skip
        assert text in shown, shown
    assert number in run(config, "list") and "elbhof" in run(config, "list", "--property", "elbhof")
    assert run_json(config, "list", "--property", "other") == []


def test_paying_and_cancelling_end_an_invoice(config: Path) -> None:
    run(config, "draft", "elbhof", *YEAR)
    number = run_json(config, "issue", "1")["invoice"]["number"]
    reversal = run_json(config, "cancel", number, "--reason", "wrong price")
    assert reversal["invoice"]["kind"] == "384" and reversal["totals"]["gross_cents"] == -21_277
    assert run_json(config, "show", number)["reversed_by"] == reversal["invoice"]["number"]
    assert f"reversed by {reversal['invoice']['number']}" in run(config, "show", number)
    run(config, "draft", "elbhof", *YEAR, "--fee", "service")
    assert (
        run_json(config, "list")[-1]["invoice_no"] == 1 + 2
    )  # the same draft again would be the cancelled one
    third = run_json(config, "issue", "3")["invoice"]
    paid = run_json(config, "pay", third["number"], "--on", third["issued_on"])
    assert paid["state"] == "paid" and paid["history"][-1]["deed"]["on_day"] == third["issued_on"]


def test_what_does_not_work_is_said_with_its_remedy_and_exit_code(config: Path) -> None:
    assert "invoice list" in run(config, "show", "7", fails=1)
    assert "no fee rent" in run(config, "draft", "elbhof", *YEAR, "--fee", "rent", fails=1)
    assert "--last-day is before" in run(
        config, "draft", "elbhof", "--first-day", "2025-02-01", "--last-day", "2025-01-01", fails=2
    )
    assert "expected 2026-01-31" in run(
        config, "draft", "elbhof", "--first-day", "1.1.2025", "--last-day", "2025-01-01", fails=2
    )
    run(config, "draft", "elbhof", *YEAR)
    assert "issue it first" in run(config, "export", "1", "--out", str(config.parent), fails=1)
    config.write_text(config.read_text().replace("DE02120300000000202051", "DE02120300000000202050"))
    assert "BT-84" in run(config, "draft", "elbhof", *YEAR, fails=65)
    config.write_text(config.read_text().replace('property = "elbhof"', 'property = "other"'))
    assert "[[customers]]" in run(config, "draft", "elbhof", *YEAR, fails=78)


def test_an_invoice_past_its_due_date_is_listed_as_overdue(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(config, "draft", "elbhof", *YEAR)
    run(config, "issue", "1")
    assert "overdue" not in run(config, "list")
    later = datetime.now(UTC) + timedelta(days=32)
    monkeypatch.setattr("billing_aggregator.commands.terminal.now", lambda: later)
    assert "issued, overdue" in run(config, "list")
