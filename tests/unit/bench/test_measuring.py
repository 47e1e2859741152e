"""What the benches lean on measures what it says. Nothing here asks how long anything took."""

import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench import record_codec
from bench.ledger_filling import RECORDS_PER_LOCK, Filling, fill, lock_name, pseudonym, year_of_households
from bench.plain_modbus import Ring
from bench.spool_depth import ACTIONS, Depot
from bench.usage import cpu_s, family_cpu_s, memory
from bench.workplace import BenchFailed, Workplace, take_turns
from edge_agent.spool_status import summarise
from tests.support.ledger import Ledger


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path, quick=True, say=lambda _: None)


def test_waiting_for_what_never_comes_ends_with_its_name(place: Workplace) -> None:
    with pytest.raises(BenchFailed, match="the last record"):
        place.wait_until(lambda: False, "the last record", timeout_s=0.01, poll_s=0.001)


def test_two_subjects_take_turns_and_so_does_who_begins(place: Workplace) -> None:
    order: list[str] = []
    one, other = take_turns(
        place, lambda: lambda: order.append("one"), lambda: lambda: order.append("other"), 4
    )
    assert order == ["one", "other", "other", "one"] * 2
    assert len(one) == len(other) == 4


def test_a_family_uses_the_cpu_time_of_all_its_processes() -> None:
    code = "import sys; sum(range(10**7)); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        used_s = cpu_s(child.pid)
        assert used_s > 0
        alone_s = cpu_s(os.getpid())
        assert family_cpu_s(os.getpid()) >= alone_s + used_s
        child.communicate()


def test_own_process_uses_memory_and_cpu_time() -> None:
    used = memory(os.getpid())
    assert 0 < used.pss <= used.rss
    assert cpu_s(os.getpid()) > 0


def test_reads_of_a_ring_cover_each_record_once_and_never_pass_its_end() -> None:
    ring = Ring(unit=1, capacity=32, oldest=20, newest=51, confirmed=0)
    slots = [
        (address - 0x4000) // 22 + offset for address, words in ring.blocks() for offset in range(words // 22)
    ]
    assert sorted(slots) == list(range(32))
    assert all(
        words % 22 == 0 and address >= 0x4000 and address + words <= 0x4000 + 32 * 22
        for address, words in ring.blocks()
    )


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_filled_ledger_is_one_that_the_sink_could_have_written(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("sqlite_url" if kind == "sqlite" else "postgres_url")
    ledger = Ledger(url, tmp_path, [])
    filling = Filling(locks=20)
    fill(ledger.database, filling, lambda _: None)
    reader = ledger.reader
    one = list(reader.all_entries(lock=lock_name(20)))
    assert [entry.seq for entry in one] == list(range(1, RECORDS_PER_LOCK + 1))
    assert reader.last_position() == filling.entries
    assert (reader.record_gaps(), reader.page_gaps()) == ([], [])
    assert {run.verdict for run in reader.runs()} == {"proven"}
    assert [line.committed_through for line in reader.journals()] == [100, 100]
    assert reader.position_before(filling.recent) == filling.entries - 10_000
    ledger.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_filled_year_has_each_household_of_each_lock_and_its_registers_hold(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("sqlite_url" if kind == "sqlite" else "postgres_url")
    ledger = Ledger(url, tmp_path, [])
    fill(ledger.database, Filling(10, 8, year_of_households(40, 800), payload_bytes=1), lambda _: None)
    entries = list(ledger.reader.all_entries(lock=lock_name(3)))
    began = [entry.began_at for entry in entries if entry.began_at is not None]
    assert began[0] == datetime(2024, 12, 31, 23, 0, 7, tzinfo=UTC)
    assert datetime(2025, 12, 31, tzinfo=UTC) < began[-1] < datetime(2025, 12, 31, 23, tzinfo=UTC)
    assert {entry.credential for entry in entries} == {pseudonym(3, household) for household in range(40)}
    assert [(run.chamber, run.verdict, run.pours) for run in ledger.reader.runs(lock_name(3))] == [
        (1, "proven", 600),
        (2, "proven", 200),
    ]
    ledger.close()


def test_codec_bench_checks_what_it_measures(place: Workplace) -> None:
    rows = record_codec.run(place)
    assert len(rows) == 4
    assert all(row.ratio for row in rows)


def test_each_action_on_a_filled_spool_works_and_no_thread_is_left_behind(tmp_path: Path) -> None:
    before = threading.active_count()
    depot = Depot(tmp_path, pages=10)
    for _, action, _ in ACTIONS:
        action(depot)
    assert summarise(depot.reader).pages == 11
    depot.close()
    assert threading.active_count() == before
