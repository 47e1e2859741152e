"""Whatever the order in which pages come, and however often: the ledger ends the same."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.fake_gateway import FakeGateway, FakeLock, SealedPage
from tests.support.ledger import Ledger
from tests.support.postgres import Postgres

_PAGES = 7


def history() -> tuple[list[FakeGateway], list[SealedPage], set[tuple[str, int, int]]]:
    """Two journals of one gateway (its spool was lost in between, and the ring read again) and one of another."""
    first = FakeGateway("gw-0001", seed=1)
    second = FakeGateway("gw-0001", seed=1, journal="00000000-0000-4000-8000-000000000002")
    other = FakeGateway("gw-0002", seed=2)
    lock, far = FakeLock(0x1F00A1), FakeLock(0x1F00B1, epoch=9)
    records, far_records = lock.pours(12), far.pours(6)
    pages = [first.seal(records[0:4]), first.seal(records[4:6]), first.seal(records[6:9])]
    pages += [second.seal(records[2:8]), second.seal(records[8:12])]
    pages += [other.seal(far_records[:3]), other.seal([*far_records[3:], records[0]])]
    identities = {(lock.name, 1, n) for n in range(1, 13)} | {(far.name, 9, n) for n in range(1, 7)}
    return [first, other], pages, identities


def state(ledger: Ledger) -> dict[str, Any]:
    """What must not depend on order: entries without position and origin, journals, gaps, verdicts."""
    return {
        "entries": sorted((e.lock, e.epoch, e.seq, e.register_after, e.credential) for e in ledger.entries()),
        "journals": sorted(j.committed_through for j in ledger.reader.journals() if not j.missing),
        "gaps": ledger.reader.record_gaps(),
        "runs": [(run.lock, run.epoch, run.verdict, run.pours) for run in ledger.reader.runs()],
        "disputes": list(ledger.reader.disputes(resolved=True)),
    }  # fmt: skip


BATCHES = st.lists(st.lists(st.integers(0, _PAGES - 1), min_size=1, max_size=4), max_size=8)
ORDERS = st.permutations(range(_PAGES))


def play(url: str, order: list[int], before: list[list[int]]) -> None:
    """Take pages as the batches say, then the rest in this order, and compare with the whole history."""
    gateways, pages, identities = history()
    with TemporaryDirectory() as directory:
        ledger = Ledger(url, Path(directory), gateways)
        try:
            for batch in before:
                ledger.take(*[pages[index] for index in batch])
            for index in order:
                ledger.take(pages[index])
            found = state(ledger)
        finally:
            ledger.close()
    assert {(lock, epoch, seq) for lock, epoch, seq, *_ in found["entries"]} == identities
    assert len(found["entries"]) == len(identities)
    assert found["journals"] == [2, 2, 3]
    assert (found["gaps"], found["disputes"]) == ([], [])
    assert [verdict for _, _, verdict, _ in found["runs"]] == ["proven", "proven"]


@given(ORDERS, BATCHES)
@settings(max_examples=12)
def test_any_order_and_duplication_ends_in_the_same_ledger_on_sqlite(
    order: list[int], before: list[list[int]]
) -> None:
    with TemporaryDirectory() as directory:
        play(f"sqlite:///{directory}/ledger.sqlite", order, before)


@given(ORDERS, BATCHES)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_and_duplication_ends_in_the_same_ledger_on_postgresql(
    postgres: Postgres, order: list[int], before: list[list[int]]
) -> None:
    url = postgres.create_database()
    try:
        play(url, order, before)
    finally:
        postgres.drop_database(url)
