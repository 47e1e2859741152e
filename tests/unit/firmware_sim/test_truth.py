"""The truth file: one line a record, complete after a kill at any instant."""

import json
from pathlib import Path

import pytest

from firmware_sim.errors import StateError
from firmware_sim.journal import Journal
from firmware_sim.memory import next_epoch
from firmware_sim.truth import Truth
from tests.unit.firmware_sim.rig import RESIDENT, STRANGER, Rig


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.fixture
def told(tmp_path: Path) -> tuple[Path, Rig, Truth]:
    """A controller whose truth goes to a file."""
    truth = Truth(tmp_path / "truth.jsonl")
    rig = Rig(tmp_path / "lock")
    rig.journal._tell = truth.tell
    return tmp_path / "truth.jsonl", rig.start(), truth


def test_each_record_is_one_line_that_says_everything(told: tuple[Path, Rig, Truth]) -> None:
    path, rig, truth = told
    rig.pour(chamber=2)
    rig.lock.present(STRANGER, 1)
    truth.close()
    *_, pour, denied = lines(path)
    assert pour == {
        "lock": "1f00a1", "epoch": 1, "seq": 7, "kind": 1, "result": 0, "chamber": 2, "flags": 1, "volume_ml": 20000,
        "register_after": 1, "began_clock_s": int(rig.now_s), "clock_status": 1, "uid": f"{RESIDENT:016x}", "boot": 1,
        "made_at": "2026-09-21T14:13:20.000Z",
    }  # fmt: skip
    assert (denied["kind"], denied["seq"], denied["uid"]) == (2, 8, f"{STRANGER:016x}")
    assert [line["seq"] for line in lines(path)] == list(range(1, 9))
    assert lines(path)[0]["uid"] is None


@pytest.mark.parametrize("kept", [0, 1, 40, 300, 301, 999])
def test_truth_is_completed_from_the_ring_after_a_kill(told: tuple[Path, Rig, Truth], kept: int) -> None:
    path, rig, truth = told
    rig.pour()
    truth.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:kept])
    again = Truth(path)
    again.complete_from(Journal(rig.path, rig.config.birth(), again.tell))
    again.close()
    assert path.read_bytes() == whole


def test_truth_of_an_earlier_epoch_stays(told: tuple[Path, Rig, Truth]) -> None:
    path, rig, truth = told
    rig.lock.begin_epoch(next_epoch(rig.journal.memory, epoch=2))
    truth.close()
    before = path.read_bytes()
    again = Truth(path)
    again.complete_from(Journal(rig.path, rig.config.birth(), again.tell))
    again.close()
    assert path.read_bytes() == before
    assert [(line["epoch"], line["seq"]) for line in lines(path)][-3:] == [(1, 6), (2, 1), (2, 2)]


def test_file_that_holds_no_truth_is_named(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    path.write_text("something else\n")
    with pytest.raises(StateError, match=r"truth\.jsonl.*--truth"):
        Truth(path)
    with pytest.raises(StateError, match="nowhere"):
        Truth(tmp_path / "nowhere" / "truth.jsonl")


def test_without_a_file_nothing_is_told(tmp_path: Path) -> None:
    truth = Truth(None)
    rig = Rig(tmp_path / "lock")
    rig.start()
    truth.complete_from(rig.journal)
    truth.tell(rig.made)
    truth.close()
