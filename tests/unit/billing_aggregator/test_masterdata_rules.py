"""What is rejected, each with file, line and column, and what to do about it; nothing of it is taken."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from billing_aggregator.errors import InputRejected
from billing_aggregator.masterdata.facts import Dwelling
from billing_aggregator.masterdata.importing import load_facts
from billing_aggregator.masterdata.store import MasterData
from billing_aggregator.model import RowBasis
from tests.unit.billing_aggregator.masterdata_files import (
    NAME,
    Files,
    import_all,
    open_masterdata,
    problems_of,
)

PSEUDONYM = "0123456789abcdef0123456789abcdef"
SHA = "0" * 64
TWICE = f"{PSEUDONYM},WE1-T1,no,2025-01-01,\n{NAME},{PSEUDONYM},WE3-T4,no,2025-05-01,"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "files")


@pytest.fixture
def masterdata(sqlite_url: str) -> MasterData:
    return open_masterdata(sqlite_url)


def append(table: str, row: str) -> Callable[[Files], int]:
    return lambda files: files.append(table, f"{NAME},{row}")


def replace(table: str, old: str, new: str) -> Callable[[Files], int]:
    return lambda files: files.replace(table, old, new)


def _again(files: Files) -> str:
    """Return the first cost as another item."""
    return (
        files.path("cost_item")
        .read_text(encoding="utf-8")
        .splitlines()[1]
        .replace("fee-residual", "fee-second")
    )


CASES: dict[str, tuple[Callable[[Files], int], str, str]] = {
    # overlaps
    "area": (replace("area", "WE2;48,15;01.01.2024;", "WE1;48,15;01.01.2025;"),
             "area.csv:{}:from", "overlaps another one, without an end; a dwelling has one area at a time"),
    "occupancy": (replace("occupancy", "WE2,T2,2024-01-01,2025-05-01", "WE2,T2,2024-01-01,2025-05-02"),
                  "occupancy.csv:4:from", "from 2025-05-01 on it overlaps another one, up to 2025-05-02"),
    "persons": (append("persons", "WE3-T4,5,2025-06-01,"), "persons.csv:{}:from", "one number of persons at a time"),
    "access": (append("lock_access", "1f00b1,WE1,2025-01-01,"), "lock_access.csv:{}:from", "one row is enough"),
    "chamber": (append("chamber", "1f00b1,1,4000,residual,2025-06-01,"), "chamber.csv:{}:from",
                "a chamber has one volume at a time"),
    "old_reading": (append("old_reading", "WE1,T1,residual,5000,2023-12-31,2023-12-31"), "old_reading.csv:{}:from",
                    "volume would count twice"),
    # references
    "landlord": (replace("property", ",owner", ",landlady"), "property.csv:2:landlord", "isn't in the table party"),
    "dwelling_of_area": (replace("area", "WE4;48,15", "WE5;48,15"),
                         "area.csv:{}:dwelling", "WE5 isn't in the table dwelling"),
    "party_of_occupancy": (replace("occupancy", "WE3,T4,", "WE3,T44,"), "occupancy.csv:{}:party", "T44 isn't in"),
    "occupancy_of_persons": (append("persons", "WE9-T9,2,2025-01-01,"), "persons.csv:{}:occupancy", "WE9-T9 isn't in"),
    "occupancy_of_credential": (append("credential", f"{PSEUDONYM},WE9-T9,no,2025-01-01,"),
                                "credential.csv:{}:occupancy", "WE9-T9 isn't in"),
    "lock_of_access": (append("lock_access", "1f00b2,WE1,2025-01-01,"), "lock_access.csv:{}:lock", "1f00b2 isn't in"),
    "chamber_of_register": (append("opening_register", "1f00b1,3,5,2024-01-01"), "opening_register.csv:{}:chamber",
                            "1f00b1/3 isn't in the table chamber"),
    "period_of_cost": (append("cost_item", f"2026-01-01,x,residual,X,1.00,X,{SHA},yes"),
                       "cost_item.csv:{}:period_first", "2026-01-01 isn't in the table period"),
    "property": (lambda files: files.append("dwelling", "other,WE1,"), "dwelling.csv:{}:property",
                 "other isn't in the table property"),
    # advances
    "dwelling_of_advance": (replace("advance", "2025-01-WE1;WE1;T1", "2025-01-WE1;WE9;T1"), "advance.csv:{}:dwelling",
                            "WE9 isn't in the table dwelling"),
    "party_of_advance": (replace("advance", "2025-01-WE1;WE1;T1", "2025-01-WE1;WE1;T9"), "advance.csv:{}:party",
                         "T9 isn't in the table party"),
    "payer": (replace("advance", "2025-01-WE1;WE1;T1", "2025-01-WE1;WE1;T2"), "advance.csv:{}:party",
              "T2 didn't have WE1 on any day of the period from 2025-01-01"),
    # credentials
    "credential_twice": (append("credential", TWICE),
                         "credential.csv:10:from", "a transponder has one holder at a time"),
    "credential_early": (append("credential", f"{PSEUDONYM},WE2-T3,no,2025-04-30T21:59:59Z,"),
                         "credential.csv:{}:from", "begin at 2025-04-30T22:00:00Z (2025-05-01) at the earliest"),
    "credential_late": (append("credential", f"{PSEUDONYM},WE2-T2,no,2024-01-01,2025-05-02"),
                        "credential.csv:{}:to_exclusive", "end at 2025-04-30T22:00:00Z (2025-05-01) at the latest"),
    "credential_open": (append("credential", f"{PSEUDONYM},WE2-T2,no,2024-01-01,"),
                        "credential.csv:{}:to_exclusive", "reaches beyond its occupancy WE2-T2"),
    "credential_of_both": (append("credential", f"{PSEUDONYM},WE1-T1,yes,2025-01-01,"), "credential.csv:{}:service",
                           "give one of the two"),
    "credential_of_none": (append("credential", f"{PSEUDONYM},,no,2025-01-01,"), "credential.csv:{}:service",
                           "give one of the two"),
    "raw_uid": (append("credential", "04A1B2C3D4E5F6,WE1-T1,no,2025-01-01,"), "credential.csv:{}:credential",
                "turn it into its pseudonym with `cloud-sink pseudonym`"),
    "odd_transponder": (append("credential", "12345,WE1-T1,no,2025-01-01,"), "credential.csv:{}:credential",
                        "32 hexadecimal digits are expected"),
    # chambers
    "chamber_number": (append("chamber", "1f00b1,5,5000,residual,2024-01-01,"), "chamber.csv:{}:chamber",
                       "from 1 to 4"),
    "chamber_volume": (append("chamber", "1f00b1,3,65536,residual,2024-01-01,"), "chamber.csv:{}:volume_ml",
                       "from 1 to 65535"),
    "common": (append("chamber", "1f00b1,3,5000,common,2024-01-01,"), "chamber.csv:{}:fraction", "no chamber is for"),
    # ids
    "id": (append("dwelling", "WE/5,"), "dwelling.csv:{}:dwelling", "use letters A-Z, digits"),
    "umlaut": (append("party", "Müller,Müller,,,,de"), "party.csv:{}:party", "without umlauts"),
    "unattributed": (append("dwelling", "unattributed,"), "dwelling.csv:{}:dwelling", "can be called unattributed"),
    "cap": (append("dwelling", "cap,"), "dwelling.csv:{}:dwelling", "can be called cap"),
    # periods
    "long_period": (replace("period", "2025-12-31", "2026-01-01"), "period.csv:2:to_exclusive",
                    "at most 12 months (§ 556 (3) BGB): end it on 2026-01-01"),
    "endless_period": (replace("period", "2025-12-31", ""), "period.csv:2:to_exclusive", "a period needs an end"),
    "gap": (append("period", "A-2026,2026-02-01,2026-12-31"), "period.csv:3:from",
            "leaves a gap to the period before: let it begin on 2026-01-01"),
    "overlap": (append("period", "A-2026,2025-12-01,2026-10-31"), "period.csv:3:from", "overlaps the period before"),
    "backwards": (replace("period", "2025-12-31", "2024-12-30"), "period.csv:2:to_exclusive", "end before it begins"),
    # costs
    "same_document": (lambda files: files.append("cost_item", _again(files)), "cost_item.csv:{}:document_sha256",
                      "entered already, as item fee-residual"),
    "same_item": (append("cost_item", f"2025-01-01,repair,residual,Nochmal,1.00,B,{SHA},yes"), "cost_item.csv:{}",
                  "is there already in cost_item.csv, line 4"),
    "negative_fraction": (append("cost_item", f"2025-01-01,refund,organic,Gutschrift,-0.01,B,{SHA},yes"),
                          "cost_item.csv:{}:gross_amount",
                          "costs of organic in the period from 2025-01-01 sum to -0.01"),
    # coverage
    "no_area": (append("dwelling", "WE5,"), "dwelling.csv:{}:dwelling", "WE5 has no area from 2025-01-01"),
    "short_area": (replace("area", "WE1;62,40;01.01.2024;", "WE1;62,40;01.01.2024;31.12.2025"),
                   "dwelling.csv:2:dwelling",
                   "WE1 has no area from 2025-12-31 up to, not including, 2026-01-01 (1 day)"),
    "no_persons": (lambda files: files.drop("persons", f"{NAME},WE1-T1"), "occupancy.csv:{}:occupancy",
                   "musterhof,WE1-T1,1,2025-01-01,2026-01-01"),
    "zero_persons": (replace("persons", "WE1-T1,2,", "WE1-T1,0,"), "persons.csv:{}:count", "at least 1 person"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_fault_is_named_with_its_place_and_remedy(
    name: str, files: Files, masterdata: MasterData
) -> None:
    change, place, message = CASES[name]
    line = change(files)
    found = problems_of(masterdata, files)
    matching = [
        problem for problem in found if problem.startswith(place.format(line) + ":") and message in problem
    ]
    assert matching, f"expected {place.format(line)}: … {message}\n" + "\n".join(found)
    assert masterdata.properties() == ()


def test_an_agreement_is_declared_before_the_period_s_first_local_midnight(
    files: Files, masterdata: MasterData
) -> None:
    """§ 556a (2) BGB: declared before the period begins; in Berlin 2025 begins at 23:00 UTC."""
    files.replace("allocation_agreement", "2024-11-15T12:00:00+01:00", "2025-01-01T00:00:00+01:00")
    assert problems_of(masterdata, files) == [
        "allocation_agreement.csv:2:declared_at: declared too late: the period begins at 2024-12-31T23:00:00Z, and "
        "§ 556a (2) BGB wants it declared before: let it hold from a later period on"
    ]
    files.replace("allocation_agreement", "2025-01-01T00:00:00+01:00", "2024-12-31T23:59:59+01:00")
    assert problems_of(masterdata, files) == []


def test_an_agreement_holds_from_a_period_s_first_day_on(files: Files, masterdata: MasterData) -> None:
    files.replace("allocation_agreement", ",2025-01-01,", ",2025-01-02,")
    assert problems_of(masterdata, files) == [
        "allocation_agreement.csv:2:effective_from: 2025-01-02 isn't the first day of a period: an agreement holds for "
        "whole periods; there is: 2025-01-01"
    ]


@pytest.mark.parametrize(("now", "taken"), [("2024-12-31T22:59:59", True), ("2024-12-31T23:00:00", False)])
def test_an_agreement_cannot_be_taken_back_after_the_period_began(
    now: str, taken: bool, files: Files, sqlite_url: str
) -> None:
    """§ 556a (2) BGB: the key is changed for later periods only."""
    clock = [datetime(2024, 11, 20, tzinfo=UTC)]
    masterdata = open_masterdata(sqlite_url, lambda: clock[0])
    import_all(masterdata, files)
    clock[0] = datetime.fromisoformat(now).replace(tzinfo=UTC)
    files.only("allocation_agreement")
    files.replace("allocation_agreement", "30,70", "50,50")
    found = problems_of(masterdata, files, reason="agreed otherwise")
    assert ("in force since 2025-01-01 and can't be changed" in "".join(found)) is not taken
    assert masterdata.snapshot(NAME).agreements[0].agreement.base_share == (50 if taken else 30)


def test_the_latest_agreement_counts_and_of_equal_ones_the_last_declared(
    files: Files, masterdata: MasterData
) -> None:
    row = "50,50,persons,0,residual,25,1,{},2025-01-01,"
    files.append("allocation_agreement", f"{NAME},{row.format('2024-12-01T00:00:00Z')}")
    files.append(
        "allocation_agreement", f"{NAME},{row.format('2024-10-01T00:00:00Z')}".replace("50,50", "10,90")
    )
    import_all(masterdata, files)
    snapshot = masterdata.snapshot(NAME)
    assert snapshot.agreement_for(snapshot.periods[0]).base_share == 50


def test_uncovered_days_come_with_the_owner_s_row_ready_to_paste(
    files: Files, masterdata: MasterData
) -> None:
    files.replace("occupancy", "WE2,T3,2025-05-01,", "WE2,T3,2025-06-01,")
    files.replace("persons", "WE2-T3,2,2025-05-01,", "WE2-T3,2,2025-06-01,")
    credentials = files.path("credential")
    credentials.write_text(credentials.read_text().replace("WE2-T3,no,2025-05-01,", "WE2-T3,no,2025-06-01,"))
    [problem] = problems_of(masterdata, files)
    assert problem.startswith(
        "occupancy.csv:3:to_exclusive: WE2 is nobody's from 2025-05-01 up to, not including, 2025-06-01 (31 days): "
    )
    pasted = problem.splitlines()[2]
    assert pasted == f"{NAME},WE2-owner-2025-05-01,WE2,owner,2025-05-01,2025-06-01"
    files.append("occupancy", pasted)
    assert problems_of(masterdata, files) == []
    [row] = [row for row in _rows(masterdata) if row.row == "WE2/owner"]
    assert (row.days, row.vacant_days) == (31, 31)


def _rows(masterdata: MasterData) -> tuple[RowBasis, ...]:
    snapshot = masterdata.snapshot(NAME)
    return snapshot.rows(snapshot.periods[0], 1)


def test_an_owner_who_lives_there_is_no_vacancy(files: Files, masterdata: MasterData) -> None:
    files.append("persons", f"{NAME},WE4-owner,1,2025-07-01,2025-09-01\n{NAME},WE4-owner,0,2025-09-01,")
    import_all(masterdata, files)
    [row] = [row for row in _rows(masterdata) if row.row == "WE4/owner"]
    assert (row.days, row.vacant_days, row.person_days) == (184, 122, 62)


def test_a_dwelling_that_was_built_later_is_not_missed_before(files: Files, masterdata: MasterData) -> None:
    files.append("dwelling", f"{NAME},WE5,Anbau")
    files.append("area", f"{NAME};WE5;30,00;01.01.2026;")
    assert problems_of(masterdata, files) == []
    files.append("period", f"{NAME},A-2026,2026-01-01,2026-12-31")
    assert len(problems_of(masterdata, files)) == 1


def test_a_lock_s_chamber_is_in_one_property_at_a_time(
    files: Files, masterdata: MasterData, tmp_path: Path
) -> None:
    import_all(masterdata, files)
    other = Files(tmp_path / "other")
    for path in other.directory.glob("*.csv"):
        path.write_text(path.read_text(encoding="utf-8").replace(NAME, "nachbarhof"), encoding="utf-8")
    assert problems_of(masterdata, other) == [
        f"chamber.csv:{line}:lock: chamber {line - 1} of lock 1f00b1 is property musterhof's at the same time: end it "
        "there first, its pours would be billed twice"
        for line in (2, 3)
    ]
    other.path("chamber").write_text(other.path("chamber").read_text().replace("1f00b1", "1f00b2"))
    other.path("lock_access").unlink()
    other.path("opening_register").unlink()
    assert problems_of(masterdata, other) == []


def test_rows_that_cannot_be_read_hide_what_is_missing_but_nothing_else(
    files: Files, masterdata: MasterData
) -> None:
    files.replace("party", "T4,Mary", "T/4,Mary")
    files.append("chamber", f"{NAME},1f00b1,1,4000,residual,2025-06-01,")
    assert [problem.partition(": ")[0] for problem in problems_of(masterdata, files)] == [
        "chamber.csv:4:from",
        "party.csv:6:party",
    ]


def test_no_more_than_200_problems_are_told_and_the_rest_is_counted(
    files: Files, masterdata: MasterData
) -> None:
    files.append("party", "\n".join(f"{NAME},T/{number},x,,,,de" for number in range(250)))
    found = problems_of(masterdata, files)
    assert len(found) == 201
    assert found[-1] == "and 50 more problems: correct these first"


def test_facts_of_a_program_are_judged_by_the_same_rules(files: Files, masterdata: MasterData) -> None:
    with pytest.raises(InputRejected, match="musterhof isn't in the table property"):
        load_facts(masterdata, [Dwelling(NAME, "WE1", "")], "generator")
    import_all(masterdata, files)
    with pytest.raises(InputRejected, match=r"^property musterhof: no dwelling can be called cap"):
        load_facts(masterdata, [Dwelling(NAME, "cap", "")], "generator")
