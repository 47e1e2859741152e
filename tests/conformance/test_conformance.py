"""The real agent at another vendor's controllers: each record kept once, unchanged, nothing done that isn't allowed."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.conformance.__main__ import main
from tests.conformance.run import Run
from tests.conformance.theme import THEMES

# Theme, seed, acts: few, for the suite's time. `python -m tests.conformance` does more.
RUNS = [
    ("kills", 1, 3),
    ("epochs", 1, 3),
    ("rings", 1, 2),
    ("torn records", 1, 2),
    ("given up", 1, 1),
    ("lines", 1, 3),
    ("broker", 1, 2),
    ("strangers", 1, 2),
    ("exchanges", 1, 2),
    ("clocks", 1, 2),
    ("clocks without time", 1, 2),
    ("last numbers", 1, 2),
    ("counters", 1, 3),
    ("full spool", 1, 1),
    ("everything", 1, 4),
]
LONG = ("exchanges", "last numbers", "clocks without time", "torn records", "rings")


@pytest.mark.parametrize(
    ("name", "seed", "steps"),
    [pytest.param(*run, marks=pytest.mark.long if run[0] in LONG else ()) for run in RUNS],
    ids=[name for name, _, _ in RUNS],
)
def test_agent_keeps_every_record_of_an_unknown_controller_and_breaks_no_rule(
    name: str, seed: int, steps: int, tmp_path: Path
) -> None:
    report = Run(replace(THEMES[name], steps=steps), seed, tmp_path).execute()
    assert report.complaints == [], f"{report}\n{report.log}"
    assert report.counts["records in pages"] > 0
    assert report.counts["function 16"] > 0, "something was confirmed"


def test_command_tells_what_was_done(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "1", "--start", "1", "--theme", "manners"]) == 0
    told = capsys.readouterr().out
    assert "manners, seed 1: kept to the map" in told
    assert "1 runs, 0 failed" in told
