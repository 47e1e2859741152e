"""The program that outsiders recompute a run with: it agrees on what is right, and catches every kind of figure."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from billing_aggregator.cli import app
from billing_aggregator.commands import terminal
from billing_aggregator.documents import recompute_run
from billing_aggregator.model import LostVolume, RegisterRun
from billing_aggregator.runs.calculation import calculate
from billing_aggregator.runs.document import digest, encode, encode_values
from billing_aggregator.runs.showing import list_rows
from tests.unit.billing_aggregator.pour_estates import chamber
from tests.unit.billing_aggregator.run_books import APPROVER, CLERK, RunDesk, advance, cost
from tests.unit.billing_aggregator.run_inputs import LATE, usage_of, worked_inputs

RUN = "P1/2025-01-01"
Shown = dict[str, Any]


@dataclass
class Office:
    """The program as it is installed, at a desk with two fractions, common costs and somebody unknown."""

    desk: RunDesk
    config: Path

    def call(self, *arguments: str) -> str:
        result = CliRunner().invoke(app, [*arguments, "--config", str(self.config)], catch_exceptions=False)
        assert result.exit_code == 0, result.stderr
        return result.stdout

    def finish(self) -> None:
        """Hand the newest revision in, approve it, finalize it."""
        shown = json.loads(self.call("run", "show", RUN, "--json"))
        for review in shown["document"]["reviews"]:
            choice = ("--reason", "looked", "--actor", CLERK)
            self.call("run", "decide", RUN, review["review"], review["nominal"], *choice)
        self.call("run", "submit", RUN, "--actor", CLERK)
        self.call("run", "approve", RUN, "--actor", APPROVER)
        self.call("run", "finalize", RUN, "--actor", APPROVER)


@pytest.fixture
def office(tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    billing_url = f"sqlite:///{tmp_path / 'billing.sqlite'}"
    desk = RunDesk(tmp_path, sqlite_url, billing_url)
    desk.enter(
        chamber(desk.estate.lock.name, 3, 10_000, "organic"),
        cost("o", 33_333, fraction="organic"),
        cost("c", 7_777, fraction="common"),
        advance("1", "WE1/T1", 30_000),
    )
    for month in range(1, 8):
        desk.estate.pour(f"2025-0{month}-15 08:00", 4 if month % 2 else 1, 3, volume_ml=10_000)
    desk.estate.pour("2025-05-02 09:00", 77, 2)
    desk.commit()
    monkeypatch.setattr(terminal, "now", desk.clock)
    config = tmp_path / "billing.toml"
    config.write_text(
        f'[database]\nurl = "{billing_url}"\n[ledger]\nurl = "{sqlite_url}"\n'
        f'[approval]\napprovers = ["{APPROVER}"]\n'
    )
    yield Office(desk, config)
    desk.close()


def recompute(*paths: Path, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run the program as an outsider would: Python alone, without anything installed."""
    program = [sys.executable, "-I", "-S", recompute_run.__file__]
    return subprocess.run(
        [*program, *(str(path) for path in paths)], input=text, capture_output=True, text=True, timeout=60
    )


def test_a_run_and_its_late_revision_are_recomputed_to_the_cent(office: Office, tmp_path: Path) -> None:
    office.call("run", "new", RUN, "--actor", CLERK)
    office.finish()
    office.call("run", "deliver", RUN, "--received-on", "2026-03-01", "--row", "WE1/T1")
    first = tmp_path / "first.json"
    first.write_text(office.call("run", "show", RUN, "--json"))
    result = recompute(first)
    assert (result.returncode, result.stderr) == (0, "")
    assert ": 0 differ" in result.stdout
    office.desk.estate.pour("2025-12-01 10:00", 3, 2)
    office.desk.commit()
    office.desk.clock.at = datetime(2027, 2, 1, tzinfo=UTC)
    office.call("run", "revise", RUN, "--reason", "late pours", "--actor", CLERK)
    office.finish()
    second = tmp_path / "second.json"
    second.write_text(office.call("run", "show", RUN, "--json"))
    assert {cap["row"] for cap in json.loads(second.read_text())["document"]["caps"]} == {
        *("WE1/T1", "WE2/T2", "WE2/T3", "WE3/T4", "WE4/T5")
    }
    result = recompute(second, first)
    assert (result.returncode, result.stderr) == (0, "")
    assert "cap/owner" in result.stdout
    alone = recompute(second)
    assert alone.returncode == 2
    assert "give the one before as the second file" in alone.stderr
    assert recompute(first, second).returncode == 1
    assert recompute(tmp_path / "nowhere.json").returncode == 2


def test_the_program_lies_beside_what_is_exported(office: Office, tmp_path: Path) -> None:
    office.call("run", "new", RUN, "--actor", CLERK)
    out = tmp_path / "revision"
    office.call("run", "export", RUN, "--out", str(out))
    result = subprocess.run(
        [sys.executable, "-I", "-S", "recompute_run.py", "revision.json"],
        cwd=out,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (result.returncode, result.stderr) == (0, "")


def shown_with_all() -> Shown:
    """Return a late run as it is shown, with lost volume, advances, caps, and what nobody is known for."""
    lost = LostVolume(
        *("1f00a3", 1, "residual", 9, 45_000, date(2025, 3, 1), date(2025, 3, 9)),
        dwellings=("WE1", "WE2"),
        cause="overwritten",
    )
    register = RegisterRun("1f00a3", 1, 7, 1, 900, 2**32 - 6, 20, 17, 9, buffered=0, unexplained=0)
    usage = replace(usage_of(), unattributed={"residual": 5000}, lost=(lost,), registers=(register,))
    document = calculate(replace(worked_inputs(), usage=usage, receipt_on=LATE))
    return {
        "document": json.loads(encode(document)),
        "rows": json.loads(encode_values(list_rows(document))),
        "sha256": digest(encode(document)),
        "total_cents": document.total_cents,
        "charged_cents": document.total_cents,
    }


def alter(shown: Shown, figure: str) -> None:
    """Make one figure greater by one (a fraction: by itself), and the document's hash fit again."""
    *above, name = figure.split(".")
    place: Any = shown
    for step in above:
        place = place[int(step) if step.isdecimal() else step]
    value = place[name]
    place[name] = value + 1 if isinstance(value, int) else f"{int(value.partition('/')[0]) * 2}/1"
    canonical = json.dumps(shown["document"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    shown["sha256"] = digest(canonical.encode())


def test_an_unaltered_run_with_everything_in_it_is_recomputed_from_standard_input() -> None:
    """The hash is that of the document as it stands in the output, keys sorted: anybody can name it."""
    shown = shown_with_all()
    assert shown["document"]["substitutes"] and shown["document"]["caps"] and shown["document"]["payments"]
    result = recompute(Path("-"), text=json.dumps(shown))
    assert (result.returncode, result.stderr) == (0, "")
    assert "unattributed/owner" in result.stdout


@pytest.mark.parametrize(
    ("figure", "named"),
    [
        ("document.costs.0.gross_cents", "residual own_cents"),
        ("document.payments.0.amount_cents", "WE1/T1 advances_cents"),
        ("document.agreement.base_share", "residual/base total_cents"),
        ("document.agreement.minimum_ml_per_person_week", "residual minimum_ml"),
        ("document.usage.rows.0.metered_ml", "WE1/T1 residual metered_ml"),
        ("document.usage.rows.0.chambers.0.volume_ml", "WE1/T1 residual metered_ml"),
        ("document.usage.rows.0.months.2025-03", "usage by month"),
        ("document.usage.unattributed.residual", "unattributed/owner residual metered_ml"),
        ("document.usage.registers.0.register_end", "register 1f00a3/1"),
        ("document.usage.lost.0.volume_ml", "residual/lost/1f00a3/1"),
        ("document.substitutes.0.volume_ml", "residual/lost/1f00a3/1"),
        ("document.substitutes.0.estimate", "residual/lost/1f00a3/1"),
        ("document.basis.0.area_dm2_days", "residual/base weight"),
        ("document.basis.0.person_days", "WE1/T1 residual minimum_ml"),
        ("document.fractions.0.own_cents", "residual own_cents"),
        ("document.fractions.0.total_cents", "residual total_cents"),
        ("document.fractions.0.usage.total_cents", "residual/usage total_cents"),
        ("document.fractions.0.volumes.0.minimum_ml", "WE1/T1 residual minimum_ml"),
        ("document.fractions.0.volumes.1.billed_ml", "WE2/T2 residual billed_ml"),
        ("document.fractions.0.base.shares.2.weight", "WE2/T3 residual/base weight"),
        ("document.fractions.0.base.shares.2.exact", "WE2/T3 residual/base exact"),
        ("document.fractions.0.base.shares.2.allocated_cents", "WE2/T3 residual/base cents"),
        ("document.charged.0.charged_cents", "WE1/T1 residual/base charged"),
        ("document.charged.0.allocated_cents", "WE1/T1 residual/base cents"),
        ("document.balances.1.cap_cents", "WE2/T2 cap_cents"),
        ("document.balances.2.balance_cents", "WE2/T3 balance_cents"),
        ("document.caps.0.baseline_cents", "baseline_cents"),
        ("document.caps.1.claimed_cents", "claimed_cents"),
        ("document.caps.1.waived_cents", "waived_cents"),
        ("document.total_cents", "total_cents"),
        ("rows.0.fractions.0.substitute_ml", "rows: WE1/T1 residual substitute_ml"),
        ("rows.0.fractions.0.usage.exact", "rows: WE1/T1 residual/usage exact"),
        ("rows.0.fractions.0.usage.all_weights", "rows: residual/usage all_weights"),
        ("rows.3.charged_cents", "rows: WE3/T4 charged_cents"),
        ("rows.4.fractions.0.base.cents", "rows: WE4/T5 residual/base cents"),
        ("rows.4.basis.days", "rows: WE4/T5 basis"),
        ("total_cents", "total_cents"),
        ("charged_cents", "charged_cents"),
    ],
)
def test_an_altered_figure_is_named(figure: str, named: str) -> None:
    shown = shown_with_all()
    alter(shown, figure)
    result = recompute(Path("-"), text=json.dumps(shown))
    assert (result.returncode, result.stderr) == (1, "")
    different = [line for line in result.stdout.splitlines() if line.startswith("DIFFERS")]
    assert any(named in line for line in different), different


def test_a_document_with_another_hash_than_it_is_named_by_is_caught() -> None:
    shown = shown_with_all()
    shown["document"]["reason"] = "another one"
    result = recompute(Path("-"), text=json.dumps(shown))
    assert result.returncode == 1
    assert "sha256 of the document" in result.stdout


def test_what_is_no_run_is_said_so_without_a_traceback(tmp_path: Path) -> None:
    for text in ("", "[]", "{}", '{"document": null}', "PDF"):
        result = recompute(Path("-"), text=text)
        assert result.returncode == 2
        assert "can't be recomputed" in result.stderr and "Traceback" not in result.stderr
    assert recompute().returncode == 2
