"""The spool: sealing, the chain, cursors, migration, one process at a time, queries that stay quick."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent import spool_journals, spool_pages, spool_reader, spool_receipts
from edge_agent.custody import JournalRecord, Visit
from edge_agent.errors import ConfigError, SpoolUnavailable
from edge_agent.spool import Spool, SpoolLimits
from edge_agent.spool_lock import Holder, holder_of
from edge_agent.spool_pages import Sealer
from edge_agent.spool_reader import SpoolReader
from edge_agent.spool_schema import SCHEMA_VERSION, connect, migrate
from edge_agent.spool_status import summarise
from tests.support.waiting import wait_until
from tests.unit.edge_agent.gateway import (
    KEY,
    START,
    TOPICS,
    Clock,
    all_pages,
    assert_chain,
    make_spool,
    opened,
    receipt_for,
    visit,
)
from wastelock.page import parse_page, signature_holds
from wastelock.topics import GatewayTopics


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool.db"


def test_a_sealed_page_holds_the_records_as_they_were_read_and_its_signature_holds(path: Path) -> None:
    with opened(make_spool(path)) as spool:
        given_visit = visit(seq=5, count=3)
        spool.seal(given_visit)
        (page,) = all_pages(path)
    assert signature_holds(KEY.private.public_key(), TOPICS.page, page.payload, page.signature)
    parsed = parse_page(page.payload)
    assert (parsed.gateway, parsed.page, parsed.prev, parsed.clock) == ("gw-0001", 1, "", "ntp")
    assert [(r.lock, r.epoch, r.seq, r.clock_offset_s) for r in parsed.records] == [
        ("1f00a1", 1, n, -2) for n in (5, 6, 7)
    ]


def test_a_cursor_survives_a_restart_with_its_memo(path: Path) -> None:
    with opened(make_spool(path)) as spool:
        assert spool.cursor("1f00a1") is None
        spool.seal(visit(count=4, memo=b"registers"))
        before = spool.cursor("1f00a1")
    with opened(make_spool(path)) as spool:
        assert spool.cursor("1f00a1") == before
        assert before is not None and (before.epoch, before.seq, before.memo) == (1, 4, b"registers")
        spool.save_memo("1f00a1", b"later")
        after = spool.cursor("1f00a1")
        assert after is not None and after.memo == b"later"


def test_a_cursor_moves_forwards_only_but_a_record_read_again_corrects_it(path: Path) -> None:
    with opened(make_spool(path)) as spool:
        bad = visit(seq=7)
        unverified = replace(bad, records=(JournalRecord(7, bytes(44), verified=False),))
        spool.seal(unverified)
        spool.seal(visit(seq=3))
        cursor = spool.cursor("1f00a1")
        assert cursor is not None and (cursor.seq, cursor.verified) == (7, False)
        spool.seal(visit(seq=7))
        cursor = spool.cursor("1f00a1")
        assert cursor is not None and (cursor.seq, cursor.verified) == (7, True)
        spool.seal(visit(seq=1, epoch=2))
        cursor = spool.cursor("1f00a1")
        assert cursor is not None and (cursor.epoch, cursor.seq) == (2, 1)


@pytest.mark.parametrize(
    "records",
    [
        (),
        (JournalRecord(2, bytes(44)), JournalRecord(1, bytes(44))),
        (JournalRecord(1, bytes(44)), JournalRecord(1, bytes(44))),
        (JournalRecord(1, bytes(43)),),
        tuple(JournalRecord(seq, bytes(44)) for seq in range(1, 502)),
    ],
)
def test_a_visit_that_cannot_be_a_page_is_refused_before_anything_is_written(
    path: Path, records: tuple[JournalRecord, ...]
) -> None:
    with opened(make_spool(path)) as spool:
        with pytest.raises(ValueError, match="visit of lock 1f00a1"):
            spool.seal(Visit("1f00a1", "wlc-1", 1, records, START, None))
        spool.seal(visit())
        assert len(all_pages(path)) == 1


@settings(max_examples=20)
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("seal"), st.integers(1, 4)),
            st.tuples(st.just("receipt"), st.integers(0, 30)),
            st.tuples(st.just("days"), st.integers(0, 20)),
            st.tuples(st.just("restart"), st.just(0)),
        ),
        max_size=25,
    )
)
def test_the_chain_is_unbroken_after_any_sequence_of_sealing_receipts_pruning_and_restarts(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    path = tmp_path_factory.mktemp("chain") / "spool.db"
    clock, sealed, proven = Clock(), 0, 0
    spool = make_spool(path, clock, keep_days=7)
    spool.start()
    for step, amount in steps:
        if step == "seal":
            spool.seal(visit(seq=sealed + 1, count=amount))
            sealed += amount
        elif step == "receipt":
            newest = summarise_path(path).newest_page or 0
            if min(amount, newest) > proven:
                proven = min(amount, newest)
                spool.apply_receipt(receipt_for(path, proven))
        elif step == "days":
            clock.move(days=amount)
        else:
            spool.close()
            assert spool.failure is None
            spool = make_spool(path, clock, keep_days=7)
            spool.start()
    spool.close()
    assert spool.failure is None
    pages = all_pages(path)
    numbers = [page.page for page in pages]
    newest = summarise_path(path).newest_page or 0
    assert numbers == list(range(newest - len(numbers) + 1, newest + 1)), "no page is missing"
    assert newest - len(numbers) <= proven, "nothing unproven was pruned"
    assert_chain(pages)


def summarise_path(path: Path):  # type: ignore[no-untyped-def]
    reader = SpoolReader(path)
    try:
        return summarise(reader)
    finally:
        reader.close()


def test_several_pollers_share_commits_and_every_page_has_its_place_in_the_chain(path: Path) -> None:
    def poll(lock: int) -> None:
        for seq in range(1, 26):
            spool.seal(visit(lock=lock, seq=seq))

    with opened(make_spool(path)) as spool:
        pollers = [threading.Thread(target=poll, args=(0x1F00A0 + n,)) for n in range(8)]
        for poller in pollers:
            poller.start()
        for poller in pollers:
            poller.join(60)
        pages = all_pages(path)
        assert len(pages) == 200
        assert_chain(pages)
        assert all(spool.cursor(f"{0x1F00A0 + n:06x}").seq == 25 for n in range(8))  # type: ignore[union-attr]


def test_nothing_acknowledged_is_lost_when_the_process_is_killed_at_any_moment(
    path: Path, tmp_path: Path
) -> None:
    """A child seals and says so after each page; it is killed at some point, four times."""
    told = 0
    for round_ in range(4):
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.unit.edge_agent.sealing_child", str(path), str(told + 1)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        for _ in range(20 + 13 * round_):
            told = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read().split()
        child.wait()
        child.stdout.close()
        told = int(rest[-1]) if rest else told
        with opened(make_spool(path)) as spool:
            cursor = spool.cursor("1f00a1")
            assert cursor is not None and cursor.seq >= told
            told = cursor.seq
        pages = all_pages(path)
        assert_chain(pages)
        assert [r.seq for p in pages for r in parse_page(p.payload).records] == list(range(1, told + 1))


def test_a_second_process_on_the_same_spool_is_refused_and_told_who_has_it(path: Path) -> None:
    with opened(make_spool(path)):
        assert holder_of(path) == Holder(os.getpid())
        with pytest.raises(SpoolUnavailable, match=rf"in use by process {os.getpid()}.*only one agent"):
            make_spool(path).start()
    assert holder_of(path) is None
    with opened(make_spool(path)) as spool:
        spool.seal(visit())


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION + 1))
def test_a_spool_of_every_schema_so_far_is_migrated_and_goes_on(path: Path, version: int) -> None:
    shutil.copy(Path(__file__).parents[2] / "databases" / f"spool-v{version}.db", path)
    with opened(make_spool(path)) as spool:
        cursor = spool.cursor("1f00a1")
        assert cursor is not None and cursor.seq == 18
        memo = spool.cursor("1f00a2")
        assert memo is not None and (memo.epoch, memo.seq, memo.memo) == (7, 4, b"memo")
        assert spool.incarnation == 2
        spool.seal(visit(seq=19))
        pages = all_pages(path)
        assert [page.page for page in pages] == list(range(1, 9))
        assert_chain(pages)
        assert summarise_path(path).committed_through == 3


def test_a_spool_of_a_newer_release_is_left_alone(path: Path) -> None:
    with opened(make_spool(path)) as spool:
        spool.seal(visit())
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        connection.execute(f"PRAGMA application_id = {0x574C0000 + SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(SpoolUnavailable, match="install the newer program"):
        make_spool(path).start()
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "spool.db",
        "spool.db.lock",
        "spool.db.reserve",
    ]


def test_each_start_counts_as_an_incarnation(path: Path) -> None:
    for expected in (1, 2, 3):
        with opened(make_spool(path)) as spool:
            assert spool.incarnation == expected


def test_a_renamed_gateway_first_has_to_send_what_it_sealed_under_the_old_name(path: Path) -> None:
    def renamed() -> Spool:
        sealer = Sealer(GatewayTopics("site-2", "gw-0001"), KEY)
        return Spool(path, SpoolLimits(2**26, 0, 4096), sealer, Clock().now, lambda: "ntp")

    with opened(make_spool(path)) as spool:
        spool.seal(visit())
    with pytest.raises(
        ConfigError, match=r"gateway.site.*1 pages without receipt of gateway gw-0001, site site-1.*remedy"
    ):
        renamed().start()
    with opened(make_spool(path)) as spool:
        spool.apply_receipt(receipt_for(path, 1))
    with opened(renamed()) as spool:
        spool.seal(visit(seq=2))
        reader = SpoolReader(path)
        assert [(j.site, j.state, j.newest_page) for j in reader.journals()] == [
            ("site-1", "retired", 1),
            ("site-2", "active", 1),
        ]
        reader.close()


def test_a_damaged_chain_end_is_noticed_at_the_start(path: Path) -> None:
    with opened(make_spool(path)) as spool:
        spool.seal(visit(count=2))
        spool.seal(visit(seq=3))
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM page WHERE page = 2")
    connection.close()
    with opened(make_spool(path)) as spool:
        assert spool.cursor("1f00a1") is None, "the ring is to be read again"
        wait_until(lambda: len(all_pages(path)) == 1, what="page 1 taken over")


QUERIES = {
    "hash of a page": (spool_receipts.HASH_OF_PAGE, (1, 5)),
    "pages to prune": (spool_receipts.PAGES_BETWEEN, (1, 1, 5, 64)),
    "received before": (spool_receipts.RECEIVED_BEFORE, (1, 5)),
    "pages to send": (spool_reader.PAGES_AFTER, (1, 5, 64)),
    "page to send": (spool_reader.PAGE, (1, 5)),
    "oldest page": (spool_reader.OLDEST_PAGE, (1, 0)),
    "pages to re-seal": (spool_journals.PAGES_TO_RESEAL, ("[]", 8)),
    "empty journals": (spool_journals.EMPTY_JOURNALS, (8,)),
    "chain's end": (spool_pages.MOVE_END, (5, "hash", 1)),
    "page out": (spool_receipts.DELETE_PAGE, (5,)),
}


@pytest.mark.parametrize("name", QUERIES)
def test_no_query_walks_through_all_pages(path: Path, name: str) -> None:
    database = connect(path)
    migrate(database)
    sql, parameters = QUERIES[name]
    plan = [row[3] for row in database.conn.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)]
    database.close()
    assert not any(step.startswith("SCAN page") or "TEMP B-TREE" in step for step in plan), plan


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that everybody may read, which pytest's own isn't."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("agent_runs", [True, False])
def test_status_is_read_without_any_right_to_write_and_leaves_nothing_behind(
    open_directory: Path, agent_runs: bool
) -> None:
    path = open_directory / "spool.db"
    spool = make_spool(path)
    spool.start()
    spool.seal(visit())
    if not agent_runs:
        spool.close()
    files = sorted(file.name for file in open_directory.iterdir())
    open_directory.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # nobody; as root every file could be written
    try:
        assert summarise_path(path).pages == 1
    finally:
        os.seteuid(user)
    open_directory.chmod(0o755)
    assert sorted(file.name for file in open_directory.iterdir()) == files
    if agent_runs:
        spool.close()
