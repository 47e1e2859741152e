"""`edge-agent rehearse`: whether this release can take a spool over, found out before it has to."""

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_agent.commands import app
from edge_agent.spool_schema import SCHEMA_VERSION
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from tests.unit.edge_agent.gateway import all_pages, make_spool, opened, receipt_for, visit
from tests.unit.edge_agent.installation import Installation

DATABASES = Path(__file__).parents[2] / "databases"


@pytest.fixture
def gateway(tmp_path: Path) -> Installation:
    return Installation(tmp_path, free_port())


def rehearse(gateway: Installation, *options: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["rehearse", "--config", str(gateway.config), *options])
    return result.exit_code, result.stdout, result.stderr


def damage(gateway: Installation, statement: str, *values: object) -> None:
    connection = sqlite3.connect(gateway.spool)
    connection.execute(statement, values)
    connection.commit()
    connection.close()


def test_every_page_of_a_sound_spool_is_replayed_and_the_spool_left_alone(gateway: Installation) -> None:
    gateway.seal(1, 7)
    before = gateway.spool.read_bytes()
    code, out, _ = rehearse(gateway, "--json")
    assert code == 0
    seen = json.loads(out)
    assert (seen["pages"], seen["records"], seen["signatures"], seen["unreceipted_pages"]) == (7, 7, 7, 7)
    assert seen["newest"] == {"1f00a1": [1, 7]}
    assert gateway.spool.read_bytes() == before
    assert not list(gateway.spool.parent.glob("rehearsal-*"))


def test_a_spool_is_replayed_beside_the_agent_that_writes_it(gateway: Installation) -> None:
    with opened(make_spool(gateway.spool)) as spool:
        spool.seal(visit(seq=1))
        assert rehearse(gateway)[0] == 0
        spool.seal(visit(seq=2))
    assert "2 records in 2 pages" in rehearse(gateway)[1]


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION + 1))
def test_spools_of_every_release_can_be_taken_over_and_stay_of_theirs(
    gateway: Installation, version: int
) -> None:
    shutil.copy(DATABASES / f"spool-v{version}.db", gateway.spool)
    assert rehearse(gateway)[0] == 0
    connection = sqlite3.connect(gateway.spool)
    assert connection.execute("PRAGMA user_version").fetchone() == (version,)
    connection.close()


def test_a_gateway_without_a_spool_has_nothing_to_take_over(gateway: Installation) -> None:
    code, out, _ = rehearse(gateway)
    assert code == 0
    assert "no spool yet" in out
    assert not gateway.spool.exists()


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE page SET payload = x'00' WHERE page = 1", "isn't what was sealed"),
        ("DELETE FROM page WHERE page = 20", "doesn't follow page 19"),
        ("UPDATE page SET signature = 'AAAA' WHERE page = 20", "page 20 wasn't signed"),
        ("DELETE FROM cursor", "record 40 of lock 1f00a1 is in a page, but not noted"),
        ("UPDATE cursor SET seq = 39", "record 40 of lock 1f00a1 is in a page, but not noted"),
        ("DROP TABLE held", "the tables aren't what they were made as"),
    ],
)
def test_what_would_go_wrong_after_the_upgrade_is_said_before_it(
    gateway: Installation, statement: str, said: str
) -> None:
    gateway.seal(1, 40)
    damage(gateway, statement)
    code, out, err = rehearse(gateway)
    assert (code, out) == (1, "")
    assert said in err


def test_pages_of_another_card_are_replayed_though_no_cursor_goes_with_them(gateway: Installation) -> None:
    with opened(make_spool(gateway.spool.with_name("spool.db.brought-20261122T090000000000"))) as old:
        old.seal(visit(lock=0x1F00B9, seq=1, count=3))  # swapped since: this card never hears of it
        old.seal(visit(lock=0x1F00A1, seq=1, count=9))
    gateway.seal(1, 1)
    with opened(make_spool(gateway.spool)):
        wait_until(lambda: len(all_pages(gateway.spool)) == 3, 15, "the old card's pages")
    code, out, err = rehearse(gateway, "--json")
    assert code == 0, err
    assert json.loads(out)["newest"] == {"1f00a1": [1, 9], "1f00b9": [1, 3]}


def test_pages_that_were_sealed_anew_are_replayed_though_their_cursors_were_forgotten(
    gateway: Installation,
) -> None:
    with opened(make_spool(gateway.spool)) as spool:
        spool.seal(visit(lock=0x1F00A2, count=3, memo=b"registers of long ago"))
        spool.apply_receipt(receipt_for(gateway.spool, 9, head="x" * 43))
        wait_until(lambda: len(all_pages(gateway.spool, "active")) == 1, 15, "the page sealed anew")
    code, _, err = rehearse(gateway)
    assert code == 0, err


def test_a_spool_of_a_newer_release_is_not_taken_back(gateway: Installation) -> None:
    gateway.seal(1, 1)
    newer = SCHEMA_VERSION + 1
    damage(gateway, f"PRAGMA user_version = {newer}")
    damage(gateway, f"PRAGMA application_id = {0x574C0000 + newer}")
    code, _, err = rehearse(gateway)
    assert code == 1
    assert "install the newer program again" in err


def test_a_configuration_that_this_release_does_not_understand_is_said_to_be_it(
    gateway: Installation,
) -> None:
    gateway.config.write_text(gateway.config.read_text() + "\nretired_setting = 1\n")
    code, _, err = rehearse(gateway)
    assert code == 78
    assert "retired_setting" in err
