"""The second opinion of what is billed must itself be right: local midnights, technicians, vacancy, the minimum."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from demo.case import Case, make_case
from demo.compare import pseudonym
from demo.master_files import MasterFiles
from demo.ports import free_port
from demo.witness import UNATTRIBUTED, Expected, Witness

KEY = bytes(range(32))
SERVICE = "0400000000000001"
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """The demo's estate; the period is 2025-11-01 up to 2026-11-01."""
    return make_case(tmp_path, NOW, 12, 1, free_port)


@pytest.fixture
def witness(case: Case, tmp_path: Path) -> Witness:
    files = MasterFiles(case, lambda uid: pseudonym(int(uid, 16), KEY), [SERVICE], tmp_path / "documents")
    files.write(tmp_path / "masterdata")
    return Witness(tmp_path / "masterdata", KEY, case.period.zone)


def pour(
    uid: str | None, began: str, lock: str = "1f00a1", chamber: int = 1, **changes: Any
) -> dict[str, Any]:
    line = {
        "lock": lock,
        "kind": 1,
        "result": 0,
        "chamber": chamber,
        "flags": 1,
        "uid": uid,
        "volume_ml": 5000,
    }
    return {**line, "began_clock_s": int(datetime.fromisoformat(began).timestamp()), **changes}


def uid_of(case: Case, party: str) -> str:
    return next(stay for stay in case.stays if stay.party == party).uids[0]


def metered(expected: Mapping[tuple[str, str], Expected]) -> dict[tuple[str, str], int]:
    return {key: one.metered_ml for key, one in expected.items() if one.metered_ml}


def test_pours_count_from_the_periods_first_local_midnight_to_its_last(case: Case, witness: Witness) -> None:
    uid = uid_of(case, "T001")
    lines = [
        pour(uid, "2025-10-31T23:59:59+01:00"),
        pour(uid, "2025-11-01T00:00:00+01:00"),
        pour(uid, "2026-10-31T23:59:59+01:00", chamber=2),
        pour(uid, "2026-11-01T00:00:00+01:00"),
        pour(uid, "2026-03-01T12:00:00+01:00", lock="1f00a3", chamber=2),
    ]
    assert metered(witness.reckon(lines)) == {
        ("1-01/T001", "residual"): 25000,
        ("1-01/T001", "organic"): 10000,
    }


def test_a_pour_after_moving_out_is_nobodys_and_a_technicians_isnt_billed(
    case: Case, witness: Witness
) -> None:
    uid = uid_of(case, "T007")  # 1-07 is vacated on the first day of the second month
    lines = [
        pour(uid, "2025-11-30T23:59:59+01:00"),
        pour(uid, "2025-12-01T00:00:00+01:00"),
        pour(None, "2025-12-01T00:00:00+01:00"),
        pour(SERVICE, "2025-12-02T00:00:00+01:00"),
        pour(uid, "2025-11-20T00:00:00+01:00", flags=1 | 8),
    ]
    assert metered(witness.reckon(lines)) == {
        ("1-07/T007", "residual"): 5000,
        (UNATTRIBUTED, "residual"): 10000,
    }


def test_what_isnt_a_complete_pour_counts_nothing_and_a_degraded_one_as_the_small_chamber(
    case: Case, witness: Witness
) -> None:
    uid = uid_of(case, "T001")
    at = "2026-05-05T12:00:00+02:00"
    lines = [pour(uid, at, result=1), pour(uid, at, result=2), pour(uid, at, kind=2, result=1)]
    assert metered(witness.reckon(lines)) == {}
    degraded = witness.reckon([pour(uid, at, chamber=2, flags=1 | 16)])
    assert metered(degraded) == {("1-01/T001", "residual"): 5000}


def test_an_unentered_transponder_is_nobodys(case: Case, witness: Witness) -> None:
    stay = next(stay for stay in case.stays if stay.unentered)
    expected = witness.reckon([pour(stay.unentered, "2026-08-08T12:00:00+02:00", "1f00a4")])
    assert metered(expected) == {(UNATTRIBUTED, "residual"): 5000}


def test_the_minimum_is_five_litres_a_week_and_person_floored_once(witness: Witness) -> None:
    expected = witness.reckon([])
    assert expected["1-01/T001", "residual"] == Expected(0, 5000 * 365 // 7)
    assert ("1-01/T001", "organic") not in expected
    # 5-12: three persons for three months, then four: counted by days, one sum, one floor.
    three, four = (date(2026, 2, 1) - date(2025, 11, 1)).days, (date(2026, 11, 1) - date(2026, 2, 1)).days
    assert expected["5-12/T060", "residual"] == Expected(0, 5000 * (3 * three + 4 * four) // 7)
