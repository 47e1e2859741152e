"""The commands of runs as a clerk or a timer calls them: output, JSON, exit codes."""

import hashlib
import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner, Result

from billing_aggregator.cli import app
from billing_aggregator.commands import terminal
from tests.unit.billing_aggregator.run_books import APPROVER, CLERK, WORKED_CENTS, RunDesk, cost
from tests.unit.billing_aggregator.worked_case import METERED

RUN = "P1/2025-01-01"


@pytest.fixture
def desk(tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunDesk]:
    opened = RunDesk(tmp_path, sqlite_url, f"sqlite:///{tmp_path / 'billing.sqlite'}")
    monkeypatch.setattr(terminal, "now", opened.clock)
    yield opened
    opened.close()


class Cli:
    """`cli("run", "show", RUN)` gives the result; `cli.json(…)` what it prints as JSON, having ended with 0."""

    def __init__(self, config: Path) -> None:
        self.config = config

    def __call__(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--config", str(self.config)], catch_exceptions=False)

    def json(self, *arguments: str) -> Any:
        result = self(*arguments, "--json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    def step(self, name: str, actor: str, *arguments: str) -> str:
        return str(self.json("run", name, RUN, "--actor", actor, *arguments)["state"])


@pytest.fixture
def cli(desk: RunDesk, tmp_path: Path) -> Cli:
    path = tmp_path / "billing-aggregator.toml"
    path.write_text(
        f'[database]\nurl = "{desk.billing_url}"\n[ledger]\nurl = "{desk.ledger_url}"\n'
        f'[approval]\napprovers = ["{APPROVER}"]\n'
    )
    return Cli(path)


def finalized(cli: Cli) -> None:
    assert cli.json("run", "new", RUN, "--actor", CLERK)["state"] == "draft"
    assert cli.step("submit", CLERK) == "in_review"
    assert cli.step("approve", APPROVER) == "in_review"
    assert cli.step("finalize", APPROVER) == "finalized"


def test_whole_life_by_commands(cli: Cli) -> None:
    finalized(cli)
    assert cli.step("deliver", CLERK) == "delivered"
    assert cli.step("deliver", CLERK, "--received-on", "2026-03-01", "--row", "WE1/T1") == "delivered"
    assert cli.step("object", CLERK, "--row", "WE1/T1", "--reason", "we were away") == "objected"
    assert cli.step("settle", CLERK) == "settled"
    assert cli.json("run", "replay", RUN)["identical"] is True


def test_show_as_json_lets_anybody_recompute_the_run(cli: Cli) -> None:
    """The contract of the interface: millilitres, weights, exact shares as fractions, cents, seed and totals."""
    finalized(cli)
    shown = cli.json("run", "show", RUN)
    assert {row["row"]: row["charged_cents"] for row in shown["rows"]} == WORKED_CENTS
    document = shown["document"]
    agreement, total = document["agreement"], document["total_cents"]
    shares = Fraction(agreement["base_share"], agreement["base_share"] + agreement["usage_share"])
    for row in shown["rows"]:
        (part,) = row["fractions"]
        assert part["metered_ml"] == METERED.get(row["row"], 0)
        assert part["billed_ml"] == max(part["metered_ml"] + part["substitute_ml"], part["minimum_ml"])
        weeks = agreement["minimum_ml_per_person_week"] * row["basis"]["person_days"]
        assert part["minimum_ml"] == weeks // 7
        for name, pool in (("base", part["base"]), ("usage", part["usage"])):
            exact = Fraction(pool["total_cents"] * pool["weight"], pool["all_weights"])
            assert Fraction(pool["exact"]) == exact
            assert abs(pool["cents"] - exact) < 1
            assert pool["cents"] == row[f"{name}_cents"]
        assert row["base_cents"] + row["usage_cents"] == row["charged_cents"]
    assert sum(row["charged_cents"] for row in shown["rows"]) == total == 100_001
    pools = document["fractions"][0]
    assert pools["base"]["total_cents"] == shares * total - Fraction(3, 10)
    assert (document["seed"], shown["state"], len(shown["sha256"])) == ("A-2025", "finalized", 64)
    assert "." not in json.dumps([document["balances"], document["charged"]])


def test_cents_can_be_recomputed_from_what_is_shown_by_a_program_of_ones_own(cli: Cli) -> None:
    """Largest remainder, ties by SHA-256 of `<seed>|<pool>|<row id>`: written anew here, from the design alone."""
    finalized(cli)
    document = cli.json("run", "show", RUN)["document"]
    seed = document["seed"]
    for fraction in document["fractions"]:
        for pool in (fraction["base"], fraction["usage"]):
            shares = pool["shares"]
            weights = {share["row"]: share["weight"] for share in shares}
            again = divide(pool["total_cents"], weights, f"{seed}|{pool['name']}")
            assert again == {share["row"]: share["allocated_cents"] for share in shares}


def divide(total: int, weights: dict[str, int], tie: str) -> dict[str, int]:
    whole = sum(weights.values())
    cents = {row: total * weight // whole for row, weight in weights.items()}
    hashes = {row: hashlib.sha256(f"{tie}|{row}".encode()).hexdigest() for row in weights}
    order = sorted(weights, key=lambda row: (-(total * weights[row] % whole), hashes[row]))
    for row in order[: total - sum(cents.values())]:
        cents[row] += 1
    return cents


def test_tables_for_people_show_money_and_what_to_do(cli: Cli) -> None:
    shown = cli("run", "new", RUN)
    assert shown.exit_code == 0
    for text in ("P1/2025-01-01/1: draft", "294.76", "1,385", "1,000.01"):
        assert text in shown.stdout
    listed = cli("run", "list")
    assert "P1/2025-01-01/1" in listed.stdout and "2026-12-31" in listed.stdout
    assert "nothing waits for a decision" in cli("run", "review", RUN).stdout


def test_illegal_steps_end_with_1_and_change_nothing(cli: Cli) -> None:
    cli("run", "new", RUN, "--actor", CLERK)
    before = cli.json("run", "show", RUN)["events"]
    result = cli("run", "finalize", RUN)
    assert result.exit_code == 1
    assert "a run that is draft can't be finalized: what can happen now is" in result.stderr
    cli("run", "submit", RUN, "--actor", APPROVER)
    assert cli("run", "approve", RUN, "--actor", APPROVER).exit_code == 1
    assert cli.json("run", "show", RUN)["events"][: len(before)] == before
    assert cli("run", "show", "P1/2019-01-01").exit_code == 1
    assert "runs of P1: P1/2025-01-01/1" in cli("run", "show", "P1/2019-01-01").stderr
    assert cli("run", "show", "P1/yesterday").exit_code == 2


def leaves(command: Any, name: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name
    for part, each in (inner or {}).items():
        yield from leaves(each, (*name, part))


@pytest.mark.parametrize("name", list(leaves(get_command(app))), ids=" ".join)
def test_each_command_explains_itself_with_its_example_whole(name: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*name, "--help"], catch_exceptions=False, env={"COLUMNS": "400"})
    assert result.exit_code == 0
    assert f"Example: billing-aggregator {' '.join(name)} " in result.stdout
    assert "--json" in result.stdout


def test_history_is_told_in_the_words_of_the_tables(cli: Cli, desk: RunDesk) -> None:
    desk.take_back(cost("17", 100_001), "typing error")
    told = " ".join(cli("history", "P1", "--table", "cost_item").stdout.split())
    assert "fraction residual" in told
    assert "amount 1000.01" in told
    assert "taken back: " in told


def test_brackets_in_what_people_wrote_are_shown_as_they_are(cli: Cli, desk: RunDesk) -> None:
    desk.take_back(cost("17", 100_001), "wrong [/b] invoice [red]")
    assert "wrong [/b] invoice [red]" in cli("history", "P1", "--table", "cost_item").stdout


def test_a_wrong_configuration_ends_with_78_and_an_absent_ledger_too(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text('[database]\nurl = "mysql://x/y"\n[ledger]\nurl = "sqlite:///ledger.sqlite"\nurll = 1\n')
    result = Cli(path)("run", "list")
    assert result.exit_code == 78
    assert "'mysql' isn't supported" in result.stderr and "unknown key ledger.urll" in result.stderr
    assert Cli(tmp_path / "none.toml")("run", "list").exit_code == 78


def test_a_late_pour_is_listed_previewed_and_revised(cli: Cli, desk: RunDesk) -> None:
    finalized(cli)
    cli.step("deliver", CLERK)
    desk.estate.pour("2025-12-01 10:00", 1, 2)
    desk.commit()
    assert [line["proposed"] for line in cli.json("run", "list")] == [[]]
    (line,) = cli.json("run", "list", "P1", "--late")
    assert line["proposed"] == ["pours that came or were settled after the revision: 223 -> 224 billed pours"]
    assert "REVISION DUE" in cli("run", "list", "--late").stdout
    shown = cli.json("run", "show", RUN)
    assert shown["proposal"]["revision"] == 2 and "a revision is due" in shown["alarms"][0]
    preview = cli.json("run", "revise", RUN, "--preview")
    assert preview["run"] is None
    assert {move["row"]: move["causes"] for move in preview["moves"]}["WE1/T1"] == ["own_volume"]
    assert cli("run", "revise", RUN).exit_code == 1
    revised = cli.json("run", "revise", RUN, "--reason", "a pour came late", "--actor", CLERK)
    assert revised == {"run": "P1/2025-01-01/2", "moves": preview["moves"]}
    assert cli.json("run", "replay", f"{RUN}/1")["identical"] is True


def test_replay_ends_with_1_where_bytes_differ(cli: Cli) -> None:
    cli("run", "new", RUN)
    result = cli("run", "replay", RUN)
    assert result.exit_code == 1
    assert "DIFFERENT" in result.stdout and "pins.entries_hash" in result.stdout


def test_auto_brings_what_is_over_into_review_and_no_further(cli: Cli, desk: RunDesk) -> None:
    (line,) = [json.loads(text) for text in cli("run", "auto", "--json").stdout.splitlines()]
    assert line == {"run": "P1/2025-01-01/1", "state": "in_review", "obstacles": []}
    assert cli("run", "auto").stdout == "nothing is due\n"
    assert cli("run", "approve", RUN, "--actor", APPROVER).exit_code == 0
    assert cli.json("run", "show", RUN)["events"][3]["actor"] == "billing-aggregator"


def test_auto_says_what_holds_a_property_up(cli: Cli, desk: RunDesk) -> None:
    desk.take_back(cost("17", 100_001), "another property's")
    result = cli("run", "auto")
    assert result.exit_code == 0
    assert "P1/2025-01-01/1: draft" in result.stdout and "no costs are recorded" in result.stdout
    desk.enter(cost("17", 100_001))
    assert "1 in_review" in cli("run", "auto").stdout


def test_new_for_all_calculates_but_hands_nothing_in(cli: Cli) -> None:
    assert "1 draft" in cli("run", "new", "--all", "--actor", CLERK).stdout
    assert cli("run", "new").exit_code == 2
    assert cli("run", "new", RUN, "--all").exit_code == 2


def test_a_review_is_listed_and_decided(cli: Cli, desk: RunDesk) -> None:
    desk.estate.pour("2025-12-01 10:00", 1, 2, volume_ml=15_000)
    desk.commit()
    cli("run", "new", RUN, "--actor", CLERK)
    (review,) = cli.json("run", "review", RUN)
    listed = cli("run", "review", RUN).stdout.splitlines()
    assert listed[0] == review["review"]  # whole, on a line of its own: it is typed into the decision
    assert listed[2] == f"    all of this cause: {review['group']}"
    assert "choices: master_data, controller (until then: master_data)" in listed[3]
    decided = cli.json(
        "run", "decide", RUN, review["group"], "master_data", "--reason", "measured", "--actor", CLERK
    )
    assert decided["obstacles"] == []
    assert cli.json("run", "review", RUN) == []
    assert cli("run", "decide", RUN, "nothing", "x", "--reason", "y").exit_code == 1


def test_compare_shows_who_wins_and_who_loses(cli: Cli) -> None:
    differences = cli.json("compare", RUN, "--with", "50/50")
    assert sum(each["moves_cents"] for each in differences) == 0
    assert {each["row"]: each["first_cents"] for each in differences} == WORKED_CENTS
    shown = cli("compare", RUN, "--with", "50/50:persons:0ml", "--against", "30/70")
    assert "wins" in shown.stdout and "loses" in shown.stdout
    assert cli("compare", RUN, "--with", "half").exit_code == 2


def test_reconcile_shows_registers_and_ends_with_1_if_something_is_unexplained(
    cli: Cli, desk: RunDesk
) -> None:
    assert [each["unexplained"] for each in cli.json("reconcile", RUN)] == [0, 0]
    desk.estate.registers[2] += 3
    desk.estate.pour("2025-12-01 10:00", 1, 2)
    desk.commit()
    result = cli("reconcile", RUN)
    assert result.exit_code == 1
    assert "UNEXPLAINED" in result.stdout


def test_provisional_is_a_band_by_the_costs_known_and_sums_hold(cli: Cli) -> None:
    found = cli.json("provisional", "--property", "P1", "--on", "2025-06-30")
    assert found["basis"] == "the costs recorded so far, 181 of 365 days"
    assert found["high_total_cents"] == 100_001
    assert found["likely_total_cents"] == found["low_total_cents"] == 100_001 * 181 // 365
    assert sum(band["likely_cents"] for band in found["bands"]) == found["likely_total_cents"]
    assert all(band["low_cents"] <= band["likely_cents"] <= band["high_cents"] for band in found["bands"])
    assert "WE4/owner" not in {band["row"] for band in found["bands"]}
    assert "PROVISIONAL" in cli("provisional", "--property", "P1", "--on", "2025-06-30").stdout
    assert cli("provisional", "--property", "P1", "--on", "2026-12-30").exit_code == 1
    assert cli("provisional", "--property", "P1", "--on", "1999-12-30").exit_code == 1


def test_provisional_takes_the_last_periods_costs_as_likely_once_there_are_any(
    cli: Cli, desk: RunDesk
) -> None:
    finalized(cli)
    found = cli.json("provisional", "--property", "P1", "--on", "2026-01-31")
    assert found["basis"] == "the costs of the period from 2025-01-01, 31 of 365 days"
    assert found["likely_total_cents"] == 100_001 * 31 // 365


def test_history_shows_who_said_what(cli: Cli, desk: RunDesk) -> None:
    desk.take_back(cost("17", 100_001), "another property's")
    entries = cli.json("history", "P1", "--table", "cost_item")
    assert [(each["actor"], each["reason"]) for each in entries] == [
        (CLERK, ""),
        (CLERK, "another property's"),
    ]
    assert "taken back" in cli("history", "P1", "--table", "cost_item").stdout


def test_a_wrong_day_of_receipt_leaves_a_run_that_nobody_has_sent_as_it_is(cli: Cli) -> None:
    finalized(cli)
    result = cli("run", "deliver", RUN, "--received-on", "2099-01-01")
    assert (result.exit_code, cli.json("run", "show", RUN)["state"]) == (1, "finalized")
    assert "lies ahead" in result.stderr
    assert cli.step("deliver", CLERK, "--received-on", "2026-03-01", "--row", "WE1/T1") == "delivered"
    events = [event["event"] for event in cli.json("run", "show", RUN)["events"]]
    assert events[-3:] == ["finalized", "delivered", "received"]


def test_a_refused_step_names_the_commands_that_are_possible(cli: Cli) -> None:
    finalized(cli)
    refused = cli("run", "send-back", RUN, "--reason", "too late")
    assert refused.exit_code == 1
    assert "finalized can't be sent back: what can happen now is run deliver, run revise" in refused.stderr


def test_a_preview_in_which_nothing_changes_says_so(cli: Cli) -> None:
    finalized(cli)
    assert cli("run", "revise", RUN, "--preview").stdout == "preview only\nnobody moves\n"


def test_a_table_on_a_narrow_terminal_cuts_no_name(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    terminal.print_table("T", ("run", "alarm"), [("lindenhof-am-alten-markt/2025-01-01/12", "x" * 60)])
    printed = capsys.readouterr().out
    assert "…" not in printed
    assert printed.count("x") == 60
