"""What the newest pages tell of each lock, read again and again as a screen does: last pour, received, waiting."""

from pathlib import Path

import pytest

from edge_agent.local import spool_history
from edge_agent.local.spool_history import History
from edge_agent.spool import Spool
from edge_agent.spool_reader import SpoolReader
from tests.unit.edge_agent.gateway import make_spool, opened, receipt_for, visit
from wastelock.record import decode_record

A, B = 0x1F00A1, 0x1F00A2


def follow(history: History, path: Path) -> None:
    reader = SpoolReader(path)
    try:
        history.follow(reader)
    finally:
        reader.close()


def receive(spool: Spool, path: Path, through: int) -> None:
    spool.apply_receipt(receipt_for(path, through))


def last_seq(history: History, lock: str) -> int | None:
    raw = history.last_pour(lock)
    return None if raw is None else decode_record(raw).seq


def test_custody_of_each_lock_is_followed_from_page_to_page(tmp_path: Path) -> None:
    path, history = tmp_path / "spool.db", History()
    with opened(make_spool(path)) as spool:
        spool.seal(visit(A, seq=1, count=3))
        spool.seal(visit(B, seq=1, count=5))
        spool.seal(visit(A, seq=4, count=2))
        follow(history, path)
        assert (history.waiting("1f00a1"), history.waiting("1f00a2")) == (5, 5)
        assert (
            history.received("1f00a1", 1) is None
        )  # nothing was received: from where on is for nobody to say
        assert (last_seq(history, "1f00a1"), last_seq(history, "1f00a2")) == (5, 5)
        assert history.spooled("1f00a2") == (1, 5)
        receive(spool, path, 2)
        spool.seal(visit(B, seq=6, count=1))
        follow(history, path)
        assert (history.received("1f00a1", 1), history.received("1f00a2", 1)) == (3, 5)
        assert (history.waiting("1f00a1"), history.waiting("1f00a2")) == (2, 1)
        receive(spool, path, 4)
        follow(history, path)
        assert (history.received("1f00a1", 1), history.received("1f00a2", 1)) == (5, 6)
        assert (history.waiting("1f00a1"), history.waiting("1f00a2")) == (0, 0)
        assert history.received("1f00a1", 2) is None  # of another epoch nothing is known


def test_a_long_backlog_is_read_in_part_and_what_that_doesnt_show_isnt_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_history, "PAGES_MAX", 10)
    path, history = tmp_path / "spool.db", History()
    with opened(make_spool(path)) as spool:
        spool.seal(visit(B, seq=1))
        for seq in range(1, 31):
            spool.seal(visit(A, seq=seq))
        follow(history, path)
        assert history.waiting("1f00a1") is None
        assert (last_seq(history, "1f00a1"), last_seq(history, "1f00a2")) == (30, None)
        receive(spool, path, 25)
        follow(history, path)
        assert history.received("1f00a1", 1) == 24
        assert history.waiting("1f00a1") == 6  # now all that waits has been looked at
