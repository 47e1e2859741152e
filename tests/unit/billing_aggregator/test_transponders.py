"""A lost transponder: ended in the master data with who and why, and never by halves."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from billing_aggregator.cli import app
from billing_aggregator.errors import IllegalStep, InputRejected, NotFound
from billing_aggregator.masterdata.facts import Occupancy, Persons
from billing_aggregator.masterdata.importing import load_facts
from billing_aggregator.masterdata.store import MasterData
from billing_aggregator.masterdata.transponders import (
    block_transponder,
    find_transponder,
    list_holdings,
    restore_transponder,
)
from tests.unit.billing_aggregator.masterdata_files import open_masterdata
from tests.unit.billing_aggregator.pour_estates import credential, days, local, pseudonym
from tests.unit.billing_aggregator.run_books import worked_facts

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
LOST, MOVED_OUT, NOBODYS = pseudonym(1), pseudonym(2), pseudonym(77)


@pytest.fixture(params=["sqlite", "postgresql"])
def masterdata(request: pytest.FixtureRequest) -> Iterator[MasterData]:
    url = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    clock = [NOW - timedelta(days=9)]
    opened = open_masterdata(url, lambda: clock[0])
    load_facts(opened, worked_facts("1f00a1"), "import")
    clock[0] = NOW
    yield opened
    opened.close()


def test_a_lost_transponder_ends_now_and_who_said_so_and_why_is_kept(masterdata: MasterData) -> None:
    blocked = block_transponder(masterdata, LOST, "c.lerk", "lost at the beach")
    assert [(each.dwelling, each.party, each.ends_at) for each in blocked.ended] == [("WE1", "T1", None)]
    assert (blocked.ended_at, blocked.taken_back) == (NOW, ())
    (held,) = find_transponder(masterdata, LOST)
    assert (held.ends_at, held.actor, held.reason, held.entered_at) == (
        NOW,
        "c.lerk",
        "lost at the beach",
        NOW,
    )
    assert not held.holds_at(NOW) and held.holds_at(NOW - timedelta(seconds=1))


def test_what_was_known_before_stays_known(masterdata: MasterData) -> None:
    before = masterdata.snapshot("P1", NOW - timedelta(seconds=1)).credentials
    block_transponder(masterdata, LOST, "c.lerk", "lost")
    reversed_, added = masterdata.history("P1", "credential")[-2:]
    assert reversed_.reverses is not None and reversed_.key == added.key
    assert masterdata.snapshot("P1", NOW - timedelta(seconds=1)).credentials == before


def test_others_and_their_transponders_are_as_before(masterdata: MasterData) -> None:
    others = [each for each in list_holdings(masterdata.snapshot("P1")) if each.credential != LOST]
    block_transponder(masterdata, LOST, "c.lerk", "lost")
    assert [each for each in list_holdings(masterdata.snapshot("P1")) if each.credential != LOST] == others


def test_whoever_would_get_a_lost_transponder_later_does_not_get_it(masterdata: MasterData) -> None:
    leaves = local("2026-06-01 00:00")
    load_facts(
        masterdata,
        [
            Occupancy("P1", "WE1-T1", "WE1", "T1", days("2020-01-01", "2026-06-01")),
            Occupancy("P1", "WE1-T3", "WE1", "T3", days("2026-06-01")),
            Persons("P1", "WE1-T3", 1, days("2026-06-01")),
            credential(1, "WE1-T1", ends_at=leaves),
            credential(1, "WE1-T3", begins_at=leaves),
        ],
        "import",
        "T1 moves out in June",
    )
    blocked = block_transponder(masterdata, LOST, "c.lerk", "lost")
    assert [each.party for each in blocked.taken_back] == ["T3"]
    assert [(each.party, each.ends_at) for each in find_transponder(masterdata, LOST)] == [("T1", NOW)]


def test_an_instant_of_the_past_is_when_it_was_lost(masterdata: MasterData) -> None:
    lost_at = NOW - timedelta(days=2)
    assert block_transponder(masterdata, LOST, "c.lerk", "lost on Friday", lost_at).ended_at == lost_at
    (held,) = find_transponder(masterdata, LOST)
    assert held.ends_at == lost_at


def test_what_nobody_holds_any_more_is_told_with_who_ended_it(masterdata: MasterData) -> None:
    block_transponder(masterdata, LOST, "c.lerk", "lost at the beach")
    with pytest.raises(IllegalStep, match=r"ended at 2026-03-01T09:00:00Z \(c.lerk: lost at the beach\)"):
        block_transponder(masterdata, LOST, "c.lerk", "lost once more")
    with pytest.raises(IllegalStep, match="ended at 2025-04-30T22:00:00Z"):
        block_transponder(masterdata, MOVED_OUT, "c.lerk", "lost")
    assert len(masterdata.history("P1", "credential", f"{LOST}/2020-01-01T00:00:00Z")) == 3


def test_a_transponder_that_was_found_again_is_its_household_s_from_now_on(masterdata: MasterData) -> None:
    block_transponder(masterdata, LOST, "c.lerk", "lost", NOW - timedelta(days=3))
    again = restore_transponder(masterdata, "P1", LOST, "c.lerk", "found in the cellar")
    assert (again.dwelling, again.begins_at, again.ends_at) == ("WE1", NOW, None)
    first, second = find_transponder(masterdata, LOST)
    assert (first.ends_at, second.begins_at, second.reason) == (
        NOW - timedelta(days=3),
        NOW,
        "found in the cellar",
    )
    assert not first.holds_at(NOW - timedelta(days=1))


def test_what_is_not_blocked_or_whose_holder_is_gone_is_not_restored(masterdata: MasterData) -> None:
    with pytest.raises(IllegalStep, match="isn't blocked in P1"):
        restore_transponder(masterdata, "P1", LOST, "c.lerk", "found")
    with pytest.raises(IllegalStep, match="doesn't live there any more"):
        restore_transponder(masterdata, "P1", MOVED_OUT, "c.lerk", "found")
    with pytest.raises(NotFound):
        restore_transponder(masterdata, "P1", NOBODYS, "c.lerk", "found")
    with pytest.raises(IllegalStep, match="isn't blocked in P2"):
        restore_transponder(masterdata, "P2", LOST, "c.lerk", "found")


def test_what_nobody_ever_held_is_told_with_how_to_find_it(masterdata: MasterData) -> None:
    with pytest.raises(NotFound, match="cloud-sink pseudonym"):
        block_transponder(masterdata, NOBODYS, "c.lerk", "lost")
    with pytest.raises(IllegalStep, match="nobody in P2 holds"):
        block_transponder(masterdata, LOST, "c.lerk", "lost", property_id="P2")


def test_a_raw_number_is_refused_and_not_repeated(masterdata: MasterData) -> None:
    with pytest.raises(InputRejected, match="own number") as refused:
        block_transponder(masterdata, "E00401500A1B2C3D", "c.lerk", "lost")
    assert "E00401500A1B2C3D".lower() not in str(refused.value).lower()


def test_a_reason_is_asked_for(masterdata: MasterData) -> None:
    with pytest.raises(InputRejected, match="a reason is missing"):
        block_transponder(masterdata, LOST, "c.lerk", "  ")


class Cli:
    def __init__(self, directory: Path) -> None:
        self.config = directory / "billing.toml"
        url = f"sqlite:///{directory / 'books.sqlite'}"
        self.config.write_text(f'[database]\nurl = "{url}"\n[ledger]\nurl = "sqlite:///nothing.sqlite"\n')
        masterdata = open_masterdata(url, lambda: NOW)
        load_facts(masterdata, worked_facts("1f00a1"), "import")
        masterdata.close()

    def __call__(self, *arguments: str) -> Any:
        return CliRunner().invoke(app, ["transponder", *arguments, "--config", str(self.config)])


def test_the_commands_block_and_show(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    done = cli("block", LOST, "--reason", "lost, by phone", "--actor", "c.lerk")
    assert done.exit_code == 0, done.output
    assert f"{LOST}: P1, WE1/T1 until " in done.stdout and "blocked from then on" in done.stdout
    shown = cli("show", LOST)
    assert "WE1/T1" in shown.stdout and "lost, by phone" in shown.stdout and "c.lerk" in shown.stdout
    back = cli("restore", "P1", LOST, "--reason", "found again", "--json")
    assert json.loads(back.stdout)["dwelling"] == "WE1"
    assert cli("block", LOST, "--reason", "lost once more").exit_code == 0
    again = cli("block", LOST, "--reason", "lost")
    assert again.exit_code == 1 and "nobody holds the transponder" in again.stderr
    assert cli("show", NOBODYS).exit_code == 1


@pytest.mark.parametrize("at", ["2026-03-01 12:00", "yesterday"])
def test_an_instant_without_offset_is_refused(tmp_path: Path, at: str) -> None:
    done = Cli(tmp_path)("block", LOST, "--reason", "lost", "--at", at)
    assert done.exit_code == 2
    assert "2026-03-01T12:00:00Z" in done.stderr
