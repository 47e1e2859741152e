"""`python -m bench`: which benches run, and what its exit code says."""

import json
from collections.abc import Callable

import pytest

from bench import __main__ as program
from bench.catalogue import BENCHES, Bench
from bench.table import Goal, Row
from bench.workplace import BenchFailed, Workplace

MET = Row("pages", "records/s", (2.0,), None, Goal("figure", "at least", 1))
MISSED = Row("pages", "records/s", (2.0,), None, Goal("figure", "at least", 3))


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put benches of the test's own into the catalogue."""

    def offered(**runs: Callable[[Workplace], list[Row]]) -> None:
        monkeypatch.setattr(program, "BENCHES", {name: Bench(run, "", 1) for name, run in runs.items()})

    return offered


def fails(_: Workplace) -> list[Row]:
    raise BenchFailed("no controller answered")


def test_missed_goal_is_shown_but_only_strict_makes_an_error_of_it(
    offer: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    offer(one=lambda _: [MISSED])
    assert program.main([]) == 0
    assert "NO" in capsys.readouterr().out
    assert program.main(["--strict"]) == 1


def test_met_goals_are_no_error_under_strict(offer: Callable[..., None]) -> None:
    offer(one=lambda _: [MET])
    assert program.main(["--strict"]) == 0


def test_bench_that_cannot_measure_is_an_error_and_the_others_still_run(
    offer: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    offer(broken=fails, good=lambda _: [MET])
    assert program.main(["--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [row["bench"] for row in found["rows"]] == ["good"]
    assert found["failures"] == [{"bench": "broken", "why": "BenchFailed: no controller answered"}]


def test_only_the_named_benches_run(offer: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    offer(broken=fails, good=lambda _: [MET])
    assert program.main(["good", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["rows"]) == 1


def test_unknown_name_is_refused_with_the_names_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        program.main(["sink-intake"])
    assert ended.value.code == 2
    assert "sink_intake" in capsys.readouterr().err


def test_directory_of_a_bench_is_its_own_and_goes_away(offer: Callable[..., None]) -> None:
    seen = []

    def look(place: Workplace) -> list[Row]:
        seen.append((place.directory, place.directory.is_dir(), place.quick))
        return [MET]

    offer(one=look)
    assert program.main(["--quick"]) == 0
    ((directory, was_there, quick),) = seen
    assert (was_there, quick) == (True, True)
    assert not directory.exists()


def test_every_bench_is_in_the_catalogue_under_its_module_name() -> None:
    assert {name: f"bench.{name}" for name in BENCHES} == {
        name: b.run.__module__ for name, b in BENCHES.items()
    }
