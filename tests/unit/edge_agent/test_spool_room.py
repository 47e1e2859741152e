"""Quota and full disk: pages are never given up, nothing is acknowledged without room, work goes on by itself."""

import json
import os
import shlex
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent import spool_opening
from edge_agent.alarms import Alarms
from edge_agent.errors import SpoolFull
from edge_agent.spool_room import Reserve
from edge_agent.spool_schema import connect
from tests.support.waiting import wait_until
from tests.unit.edge_agent.gateway import (
    MIB,
    Clock,
    active,
    all_pages,
    assert_chain,
    make_spool,
    opened,
    receipt_for,
    visit,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool.db"


def fill(spool, first: int = 1) -> int:  # type: ignore[no-untyped-def]
    """Seal pages of 100 records until there is no room; return the last sequence number that was acknowledged."""
    seq = first
    for _ in range(1000):
        try:
            spool.seal(visit(seq=seq, count=100))
        except SpoolFull:
            return seq - 1
        seq += 100
    raise AssertionError("the quota doesn't hold")


def test_at_the_quota_nothing_more_is_sealed_until_receipts_make_room(path: Path) -> None:
    alarms = Alarms()
    with opened(make_spool(path, max_bytes=MIB, alarms=alarms)) as spool:
        last = fill(spool)
        assert path.stat().st_size < 1.5 * MIB
        assert spool.cursor("1f00a1").seq == last  # type: ignore[union-attr]
        with pytest.raises(SpoolFull, match=r"spool.max_mib .* hasn't confirmed"):
            spool.seal(visit(seq=last + 1))
        assert [text.partition(":")[0] for text in alarms.texts()] == ["spool full"]
        spool.apply_receipt(receipt_for(path, active(path).newest_page // 2))
        assert fill(spool, last + 1) > last
        assert_chain(all_pages(path))


def test_under_pressure_young_pages_go_but_only_those_proven_committed(path: Path) -> None:
    with opened(make_spool(path, max_bytes=MIB, keep_days=365)) as spool:
        last = fill(spool)
        spool.apply_receipt(receipt_for(path, 3))
        fill(spool, last + 1)
        assert all_pages(path)[0].page == 4
        assert active(path).pruned_through == 3


def test_received_pages_are_kept_for_their_days_and_then_pruned_in_steps(path: Path) -> None:
    clock = Clock()
    with opened(make_spool(path, clock, keep_days=7)) as spool:
        for seq in range(1, 201):
            spool.seal(visit(seq=seq))
        spool.apply_receipt(receipt_for(path, 150))
        clock.move(days=6)
        spool.seal(visit(seq=201))
        spool.apply_receipt(receipt_for(path, 180))
        clock.move(days=1, hours=2)
        wait_until(lambda: all_pages(path)[0].page == 151, 20, "150 pages to be pruned")
        clock.move(days=30)
        wait_until(lambda: all_pages(path)[0].page == 181, 20, "30 more")
        assert [page.page for page in all_pages(path)] == list(range(181, 202))


def test_on_a_full_disk_nothing_is_lost_and_work_goes_on_by_itself(tmp_path: Path) -> None:
    """On a real small disk: a tmpfs in a mount namespace of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    child = [sys.executable, "-m", "tests.unit.edge_agent.full_disk_child", str(disk)]
    script = f"mount -t tmpfs -o size=12m tmpfs {shlex.quote(str(disk))} && exec {shlex.join(child)}"
    unshare = ["unshare", "-m" if os.geteuid() == 0 else "-rm", "sh", "-c", script]
    done = subprocess.run(unshare, capture_output=True, text=True, timeout=120)
    if (
        "mount" in done.stderr and "Traceback" not in done.stderr
    ):  # not allowed here: the next test still covers it
        pytest.xfail(done.stderr)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told.pop("alarm") == ["spool full"]
    assert told == dict.fromkeys(told, True)


def test_what_sqlite_says_of_a_full_disk_is_understood(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same without a file system to fill: SQLite is told that its file may grow no further."""

    def small(file: Path):  # type: ignore[no-untyped-def]
        database = connect(file)
        database.conn.execute("PRAGMA max_page_count = 100")
        return database

    monkeypatch.setattr(spool_opening, "connect", small)
    with opened(make_spool(path)) as spool:
        last = fill(spool)
        assert spool.cursor("1f00a1").seq == last  # type: ignore[union-attr]
        newest = active(path).newest_page
        spool.apply_receipt(receipt_for(path, newest - 1))
        assert fill(spool, last + 1) > last
        assert_chain(all_pages(path))


def test_the_reserve_takes_real_room_and_gives_it_back(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "reserve", MIB)
    assert not reserve.is_whole()
    assert reserve.lay_down()
    assert reserve.path.stat().st_blocks * 512 >= MIB, "no sparse file"
    reserve.give_up()
    assert not reserve.is_whole()


def test_freed_blocks_do_not_count_as_used(path: Path) -> None:
    with opened(make_spool(path, max_bytes=MIB, keep_days=0)) as spool:
        last = 0
        for _ in range(5):  # five times the quota goes through
            last = fill(spool, last + 1)
            spool.apply_receipt(receipt_for(path, active(path).newest_page))
        with sqlite3.connect(path) as connection:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.close()
        assert pages * 4096 < 1.5 * MIB
