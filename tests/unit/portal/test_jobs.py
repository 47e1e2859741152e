"""Work in the background: once at a time, bounded, with what came of it; and what is kept for a while."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from portal.errors import NotThere, Refused, Unavailable
from portal.jobs import Job, Jobs, JobState
from portal.shelf import Shelf

AT = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    made = Jobs(lambda: AT, workers=1, waiting=2, kept=3)
    yield made
    made.close()


def test_the_same_work_runs_once_and_other_work_waits_its_turn(jobs: Jobs) -> None:
    go_on, count = threading.Event(), []

    def work(job: Job) -> str:
        count.append(job.subject)
        go_on.wait(20)
        return "done"

    first = jobs.start("draft", "p1", "anna", work)
    assert jobs.start("draft", "p1", "bert", work) is first
    other = jobs.start("decide", "p1", "anna", work, "r1 yes")
    third = jobs.start("decide", "p1", "anna", work, "r1 no")
    assert other is not third
    with pytest.raises(Unavailable, match="too much work is waiting"):
        jobs.start("draft", "p2", "anna", work)
    assert first.wait(0) is False and first.state in (JobState.WAITING, JobState.RUNNING)
    go_on.set()
    assert first.wait(20) and other.wait(20) and third.wait(20)
    assert (first.state, first.result, count) == (JobState.DONE, "done", ["p1", "p1", "p1"])
    assert jobs.start("draft", "p1", "anna", work) is not first


def test_what_work_is_refused_for_is_told_by_it(jobs: Jobs) -> None:
    def refuse(_job: Job) -> None:
        raise Refused("billing.refused", said="no costs")

    job = jobs.start("draft", "p1", "anna", refuse)
    assert job.wait(20) and job.state is JobState.FAILED
    assert isinstance(job.error, Refused) and job.file is None
    with pytest.raises(Refused):
        _ = job.result


def test_only_the_latest_are_remembered_and_their_files_go_with_them(jobs: Jobs) -> None:
    def write(job: Job) -> Path:
        path = job.directory / "file"
        path.write_text(job.subject)
        return path

    made = []
    for number in range(5):
        job = jobs.start("export", str(number), "anna", write)
        assert job.wait(20)
        made.append(job)
    paths = [job.result for job in made]
    assert [isinstance(path, Path) and path.exists() for path in paths] == [False, False, True, True, True]
    assert jobs.find(made[-1].job_id) is made[-1]
    with pytest.raises(NotThere):
        jobs.find(made[0].job_id)


def test_work_that_waits_when_the_portal_ends_says_so() -> None:
    jobs, go_on = Jobs(lambda: AT, workers=1), threading.Event()
    running = jobs.start("draft", "p1", "", lambda _job: go_on.wait(20))
    waiting = jobs.start("draft", "p2", "", lambda _job: None)
    with ThreadPoolExecutor(1) as other:
        closing = other.submit(jobs.close)
        assert waiting.wait(20)
        go_on.set()
        closing.result(20)
    assert running.state is JobState.DONE and waiting.state is JobState.FAILED
    assert isinstance(waiting.error, Unavailable)


def test_a_shelf_keeps_so_many_values_and_none_for_too_long() -> None:
    now = [0.0]
    shelf: Shelf[str, int] = Shelf(2, 60, lambda: now[0])
    assert shelf.get("a") is None
    shelf.put("a", 1)
    shelf.put("b", 2)
    now[0] = 30
    assert shelf.put("a", 3) == 3
    shelf.put("c", 4)
    assert [shelf.get(key) for key in "abc"] == [3, None, 4]
    now[0] = 91
    assert shelf.get("a") is None and shelf.get("a", 300) == 3
