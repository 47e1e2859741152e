"""The access list: staging, commit, and every way in which a commit is refused."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from firmware_sim.access import Transponder
from firmware_sim.reader import Answer
from tests.unit.firmware_sim.rig import LIST, RESIDENT, STRANGER, Refused, Rig, list_crc, lock_config, u32

NEW = tuple(Transponder(0x05_0000 + i, service=i % 7 == 0, blocked=i % 11 == 10) for i in range(60))


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "lock").start()


def begin(rig: Rig, version: int, count: int, crc: int) -> None:
    rig.write(0x0110, (*u32(version), count, *u32(crc)))


def stage(rig: Rig, first: int, entries: Sequence[Transponder]) -> None:
    raw = b"".join(entry.pack() for entry in entries)
    rig.write(0x1000 + 5 * first, [int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw), 2)])


def send(rig: Rig, version: int, entries: Sequence[Transponder]) -> None:
    """Bring a list as far as its commit, in whole requests of 24."""
    begin(rig, version, len(entries), list_crc(entries))
    for first in range(0, len(entries), 24):
        stage(rig, first, entries[first : first + 24])


def in_force(rig: Rig) -> tuple[int, int, int]:
    status = rig.status()
    return status.access_list_version, status.access_list_entries, status.access_list_crc


def test_committed_list_is_in_force_and_stays_so(rig: Rig) -> None:
    send(rig, 2, NEW)
    assert in_force(rig)[0] == 1
    rig.write_one(0x0118, 0xA5A5)
    assert in_force(rig) == (2, 60, list_crc(NEW))
    rig.kill()
    assert in_force(rig) == (2, 60, list_crc(NEW))
    assert rig.lock.present(NEW[1].uid, 1) is Answer.AUTHORISED
    rig.lock.pours.time_out()
    assert rig.lock.present(NEW[10].uid, 1) is Answer.BLOCKED
    assert rig.lock.present(RESIDENT, 1) is Answer.UNKNOWN


def test_entries_may_be_staged_in_any_order_and_again(rig: Rig) -> None:
    begin(rig, 2, len(NEW), list_crc(NEW))
    stage(rig, 36, NEW[36:])
    stage(rig, 0, NEW[:24])
    stage(rig, 20, NEW[20:40])
    rig.write(0x0118, [0xA5A5])
    assert in_force(rig) == (2, 60, list_crc(NEW))


def test_empty_list_is_committed_with_a_word_of_its_own(rig: Rig) -> None:
    begin(rig, 2, 0, 0)
    with pytest.raises(Refused, match="exception 3"):
        rig.write_one(0x0118, 0xA5A5)
    rig.write_one(0x0118, 0x5A5A)
    assert in_force(rig) == (2, 0, 0)
    assert rig.lock.present(RESIDENT, 1) is Answer.UNKNOWN
    begin(rig, 3, 1, list_crc(NEW[:1]))
    stage(rig, 0, NEW[:1])
    with pytest.raises(Refused, match="exception 3"):
        rig.write_one(0x0118, 0x5A5A)
    assert in_force(rig)[0] == 2


@pytest.mark.parametrize("word", [0, 1, 0xA5A4, 0xFFFF])
def test_any_other_word_is_an_illegal_value(rig: Rig, word: int) -> None:
    send(rig, 2, NEW)
    with pytest.raises(Refused, match="exception 3"):
        rig.write_one(0x0118, word)
    assert in_force(rig)[0] == 1


def test_commit_without_begin_is_refused(rig: Rig) -> None:
    stage(rig, 0, NEW[:2])
    for word in (0xA5A5, 0x5A5A):
        with pytest.raises(Refused, match="exception 4"):
            rig.write_one(0x0118, word)


def test_wrong_or_missing_entries_leave_the_list_in_force(rig: Rig) -> None:
    before = in_force(rig)
    begin(rig, 2, len(NEW), list_crc(NEW))
    stage(rig, 0, NEW[:24])
    with pytest.raises(Refused, match="exception 4"):
        rig.write_one(0x0118, 0xA5A5)
    send(rig, 2, NEW)
    stage(rig, 3, [Transponder(STRANGER)])
    with pytest.raises(Refused, match="exception 4"):
        rig.write_one(0x0118, 0xA5A5)
    assert in_force(rig) == before
    assert rig.lock.present(RESIDENT, 1) is Answer.AUTHORISED


def test_begin_clears_the_staging(rig: Rig) -> None:
    send(rig, 2, NEW)
    begin(rig, 2, len(NEW), list_crc(NEW))
    with pytest.raises(Refused, match="exception 4"):
        rig.write_one(0x0118, 0xA5A5)


def test_list_that_is_in_force_is_committed_again_without_effect(rig: Rig) -> None:
    before = rig.journal.memory
    begin(rig, 1, len(LIST), list_crc(LIST))
    rig.write_one(0x0118, 0xA5A5)
    assert rig.journal.memory == before


def test_other_list_under_the_version_in_force_is_refused(rig: Rig) -> None:
    before = in_force(rig)
    send(rig, 1, NEW)
    with pytest.raises(Refused, match="exception 4"):
        rig.write_one(0x0118, 0xA5A5)
    assert in_force(rig) == before


def test_version_0_is_no_version(rig: Rig) -> None:
    send(rig, 0, NEW)
    with pytest.raises(Refused, match="exception 3"):
        rig.write_one(0x0118, 0xA5A5)


def test_list_beyond_what_the_controller_takes_is_refused_at_its_begin(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "lock", lock_config(access_list_max=24)).start()
    with pytest.raises(Refused, match="exception 3"):
        begin(rig, 2, 25, 0)
    with pytest.raises(Refused, match="exception 3"):
        stage(rig, 23, NEW[:2])
    with pytest.raises(Refused, match="exception 2"):
        stage(rig, 24, NEW[:1])
    send(rig, 2, NEW[:24])
    rig.write_one(0x0118, 0xA5A5)
    assert in_force(rig)[:2] == (2, 24)


def test_without_a_list_all_is_locked(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "lock")
    rig.lock.power_up()
    assert in_force(rig) == (0, 0, 0)
    assert rig.lock.present(RESIDENT, 1) is Answer.UNKNOWN
