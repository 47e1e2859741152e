"""The comparison that everything else is judged by must itself miss nothing."""

from datetime import UTC, datetime
from typing import Any

import pytest

from demo.compare import compare, pseudonym, register_breaks

KEY = bytes(range(32))
UID = 0x04A1B2C3D4E5F6


def truth_line(**changes: Any) -> dict[str, Any]:
    line = {
        "lock": "1f00a1", "epoch": 3, "seq": 7, "kind": 1, "result": 0, "chamber": 1, "flags": 1, "volume_ml": 5000,
        "register_after": 41, "began_clock_s": 1_790_000_000, "clock_status": 1, "uid": f"{UID:x}", "boot": 1,
        "made_at": "2026-09-21T00:00:00.000Z",
    }  # fmt: skip
    return {**line, **changes}


def ledger_line(**changes: Any) -> dict[str, Any]:
    line = truth_line()
    del line["uid"], line["clock_status"], line["made_at"], line["boot"]
    began_at = datetime.fromtimestamp(1_790_000_000, UTC).isoformat()
    line |= {
        "began_at": began_at,
        "credential": pseudonym(UID, KEY),
        "gateway": "gw",
        "journal": "j",
        "page": 1,
    }
    return {**line, **changes}


def test_the_same_event_on_both_sides_is_equal() -> None:
    result = compare([truth_line()], [ledger_line()], KEY)
    assert result.equal
    assert result.events == 1
    assert result.locks[0].truth_ml == result.locks[0].ledger_ml == 5000


def test_a_pour_that_the_ledger_lacks_is_missing() -> None:
    result = compare([truth_line(), truth_line(seq=8, register_after=42)], [ledger_line()], KEY)
    assert not result.equal
    assert result.locks[0].missing == [("1f00a1", 3, 8)]


def test_a_pour_that_nobody_made_is_extra() -> None:
    result = compare([truth_line()], [ledger_line(), ledger_line(seq=8, register_after=42)], KEY)
    assert not result.equal
    assert result.locks[0].extra == [("1f00a1", 3, 8)]


def test_a_pour_that_is_there_twice_is_doubled() -> None:
    result = compare([truth_line()], [ledger_line(), ledger_line(page=2)], KEY)
    assert not result.equal
    assert result.locks[0].doubled == [("1f00a1", 3, 7)]


def test_a_lock_that_only_one_side_knows_is_a_difference() -> None:
    assert not compare([truth_line()], [], KEY).equal
    assert not compare([], [ledger_line()], KEY).equal


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", 2),
        ("result", 1),
        ("chamber", 2),
        ("flags", 0),
        ("volume_ml", 20000),
        ("register_after", 40),
        ("began_clock_s", 1),
        ("began_at", "2026-09-21T00:00:00Z"),
        ("began_at", None),
        ("credential", pseudonym(UID + 1, KEY)),
        ("credential", None),
    ],
)
def test_a_field_that_differs_is_named(field: str, value: Any) -> None:
    result = compare([truth_line()], [ledger_line(**{field: value})], KEY)
    assert not result.equal
    assert any(field in difference for difference in result.differences())


def test_a_time_that_no_clock_gave_is_null_in_the_ledger() -> None:
    true = truth_line(clock_status=0, began_clock_s=17, flags=0)
    assert compare([true], [ledger_line(began_clock_s=17, began_at=None, flags=0)], KEY).equal
    assert not compare([true], [ledger_line(began_clock_s=17, flags=0)], KEY).equal


def test_a_register_that_jumps_shows_even_where_both_sides_agree() -> None:
    later = {"seq": 8, "register_after": 44}
    result = compare([truth_line(), truth_line(**later)], [ledger_line(), ledger_line(**later)], KEY)
    assert not result.equal
    assert result.locks[0].registers


def test_registers_move_by_complete_pours_alone_and_wrap() -> None:
    def line(seq: int, kind: int, result: int, after: int, chamber: int = 1) -> dict[str, Any]:
        return {
            "epoch": 1,
            "seq": seq,
            "kind": kind,
            "result": result,
            "register_after": after,
            "chamber": chamber,
        }

    wrapping = [
        line(1, 10, 0, 2**32 - 1), line(2, 10, 0, 5, chamber=2), line(3, 1, 0, 0), line(4, 1, 2, 0), line(5, 2, 1, 0),
        line(6, 1, 0, 6, chamber=2), line(7, 10, 0, 0), line(8, 1, 0, 1),
    ]  # fmt: skip
    assert register_breaks(wrapping) == []
    without_the_third = wrapping[:2] + wrapping[3:]
    assert len(register_breaks(without_the_third)) == 1


def test_truth_that_names_an_event_twice_proves_nothing() -> None:
    assert not compare([truth_line(), truth_line()], [ledger_line()], KEY).equal
