"""What the benches lean on measures what it says. Nothing here asks how long anything took."""

import os
import threading
from pathlib import Path

import pytest

from bench import record_codec, spool_depth
from bench.ledger_filling import RECORDS_PER_LOCK, Filling, fill, lock_name
from bench.plain_modbus import Ring
from bench.usage import cpu_s, memory
from bench.workplace import BenchFailed, Workplace, take_turns
from tests.support.ledger import Ledger


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path, quick=True, say=lambda _: None)


def test_waiting_for_what_never_comes_ends_with_its_name(place: Workplace) -> None:
    with pytest.raises(BenchFailed, match="the last record"):
        place.wait_until(lambda: False, "the last record", timeout_s=0.01, poll_s=0.001)


def test_two_subjects_take_turns(place: Workplace) -> None:
    order: list[str] = []
    one, other = take_turns(place, lambda: order.append("one"), lambda: order.append("other"), 3)
    assert order == ["one", "other"] * 3
    assert len(one) == len(other) == 3


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
    assert 0 < reader.position_before(filling.middle) < filling.entries
    ledger.close()


def test_codec_bench_runs(place: Workplace) -> None:
    rows = record_codec.run(place)
    assert len(rows) == 4
    assert all(row.ratio for row in rows)


def test_spool_bench_runs_and_leaves_no_thread_behind(place: Workplace) -> None:
    before = threading.active_count()
    rows = spool_depth.run(place)
    assert all(row.met is not None for row in rows)
    assert threading.active_count() == before
