"""`make demo`: ends by itself with `--once`, and on Ctrl-C with everything that it started."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from demo.chain import ask
from demo.compare import Line, compare, read_lines
from demo.process import program, run_program
from tests.acceptance.launcher import ROOT
from tests.support.browser import launch_browser, open_page
from tests.support.ports import free_port
from tests.support.waiting import wait_until

NEW_PASSWORD = "kastanie-traktor-moos-41"
DEMO = [sys.executable, "-m", "demo", "--months", "1"]


def test_demo_once_leaves_equal_truth_and_ledger(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for left_by_an_earlier_run in (".wastelock-demo", "truth.jsonl"):
        (out / left_by_an_earlier_run).write_text("")
    done = subprocess.run(
        [*DEMO, "--once", "--months=1", "--deadline-s=240", f"--out={out}", f"--port={free_port()}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    truth, ledger = read_lines(out / "truth.jsonl"), read_lines(out / "ledger.jsonl")
    key = bytes.fromhex((out / "pseudonym.key").read_text())
    assert len({line["lock"] for line in truth}) == 5
    assert len(truth) == len(ledger) > 300
    assert compare(truth, ledger, key).equal
    assert "EQUAL" in done.stdout and "NOT EQUAL" not in done.stdout
    assert done.stdout.count("transponders are admitted") == 5, "access lists from the master data"
    no_raw_transponder(truth, ledger)
    runs = json.loads(ask("cloud-sink", "reconcile", out / "sink.toml", "--json"))
    assert {(run["lock"], run["verdict"]) for run in runs} == {(line["lock"], "proven") for line in truth}
    its_month_is_billed(out)


def test_demo_without_an_empty_directory_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    done = subprocess.run(
        [*DEMO, "--once", "--out", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "empty" in done.stderr


@pytest.mark.parametrize(
    "bills", [False, pytest.param(True, marks=pytest.mark.long)], ids=["at the start", "while it bills"]
)
def test_demo_interrupted_ends_all_that_it_started(tmp_path: Path, bills: bool) -> None:
    with subprocess.Popen(
        [*DEMO, "--months", "2", "--out", str(tmp_path / "out"), "--port", str(free_port())],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as demo:
        try:
            own = psutil.Process(demo.pid)
            wait_until(lambda: len(own.children(recursive=True)) >= 4, 60, "the programs to run")
            if bills:
                wait_until((tmp_path / "out" / "billing.toml").exists, 120, "the first step of billing")
            children = own.children(recursive=True)
            time.sleep(0.5)  # some are still starting: that must make no difference
            os.kill(demo.pid, signal.SIGINT)
            said, _ = demo.communicate(timeout=60)
        finally:
            demo.kill()
    assert demo.returncode == 0, said
    assert str(tmp_path / "out") in said.splitlines()[-1]
    _gone, alive = psutil.wait_procs(children, timeout=1)
    assert alive == []


def test_demo_opens_a_page_that_its_one_time_password_opens(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*DEMO, "--out", str(tmp_path / "out"), "--port", str(free_port())],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as demo:
        try:
            url, password = page_and_password(demo)
            with launch_browser() as browser, open_page(browser, url) as page:
                page.goto("/")
                page.locator("input[name=name]").fill("o.krause")
                page.locator("input[name=password]").fill(password)
                page.locator("form[action='/login'] button").click()
                page.locator("input[name=old]").fill(password)
                for name in ("new", "again"):
                    page.locator(f"input[name={name}]").fill(NEW_PASSWORD)
                page.locator("form[action='/account/password'] button").click()
                page.get_by_role("heading", name="Fleet").wait_for()
                page.goto("/locks/1f00a1")
                # The past is still drained: its pours arrive while somebody looks.
                page.locator("tr", has_text="Pour").first.wait_for(timeout=60_000)
            os.kill(demo.pid, signal.SIGINT)
            demo.communicate(timeout=60)
        finally:
            demo.kill()
    assert demo.returncode == 0


def page_and_password(demo: subprocess.Popen[str]) -> tuple[str, str]:
    """Return the link and the operator's password as the demonstration prints them."""
    assert demo.stdout is not None
    url = ""
    for line in demo.stdout:
        if "The page is open" in line:
            url = next(word for word in line.split() if word.startswith("http://"))
        if line.split()[:1] == ["operator"]:
            return url, line.split()[2]
    raise AssertionError("the demonstration ended without naming its page")


def its_month_is_billed(out: Path) -> None:
    """Each party has a statement, its millilitres are the truth, and the run can be calculated again to the byte."""
    with (out / "bill.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["row"] for row in rows}) > 120
    assert {row["equal"] for row in rows} == {"yes"}
    assert sum(int(row["truth_ml"]) for row in rows) > 5_000_000
    shown = json.loads(ask_billing(out, "run", "show", "lindenhof", "--json"))
    assert shown["state"] == "finalized"
    assert sum(row["charged_cents"] for row in shown["rows"]) == shown["total_cents"] > 0
    statements = list((out / "statements").glob("*.pdf"))
    assert len(statements) >= 120
    assert all(path.read_bytes().startswith(b"%PDF-") for path in statements)
    assert json.loads(ask_billing(out, "run", "replay", "lindenhof", "--json"))["identical"]


def ask_billing(out: Path, *command: str) -> bytes:
    return run_program([*program("billing-aggregator"), *command, "--config", str(out / "billing.toml")])


def no_raw_transponder(truth: list[Line], ledger: list[Line]) -> None:
    """No transponder's number may be found in what the ledger gives away."""
    text = json.dumps(ledger)
    assert not [line["uid"] for line in truth if line["uid"] and str(line["uid"]) in text]
