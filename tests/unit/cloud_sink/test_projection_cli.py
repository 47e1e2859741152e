"""`cloud-sink project`, `rebuild`, `pseudonym`: what they do, and what they say when they can't."""

import json
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cloud_sink.cli import app
from cloud_sink.config import load_config
from cloud_sink.projections.usage_reading import UsageReader
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.ledger import Ledger, pseudonym
from tests.support.waiting import wait_until
from wastelock.page import format_instant

run = CliRunner().invoke
UIDS = ("e004015000000001", "E0 04 01 50 00 00 00 02", "E0:04:01:50:00:00:00:03", "abc")


@pytest.fixture
def config(ledger: Ledger, tmp_path: Path) -> Path:
    path = tmp_path / "cloud-sink.toml"
    path.write_text(f'[ledger]\nurl = "{ledger.url}"\n[projections]\nidle_s = 0.05\n')
    return path


def position(config: Path, ledger: Ledger) -> int:
    reader = UsageReader(load_config(config).projections_url, ledger.reader.fingerprint())
    found = reader.read([], 0, 0).position
    reader.close()
    return found


def has_come_to(config: Path, ledger: Ledger, end: int) -> bool:
    return position(config, ledger) == end


def test_project_once_catches_up_and_ends(
    config: Path, ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    ledger.take(gateway.seal(lock.pours(30)))
    result = run(app, ["project", "--config", str(config), "--once"])
    assert result.exit_code == 0, result.output
    assert "usage per day" in result.stderr
    assert position(config, ledger) == 30
    assert run(app, ["rebuild", "usage", "--config", str(config)]).exit_code == 0
    assert position(config, ledger) == 30


def test_projections_are_listed_with_how_far_they_have_come(
    config: Path, ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    ledger.take(gateway.seal(lock.pours(30)))
    assert run(app, ["project", "--config", str(config), "--once", "--only", "usage"]).exit_code == 0
    result = run(app, ["projections", "--config", str(config), "--json"])
    assert result.exit_code == 0, result.output
    found = {line["name"]: line for line in json.loads(result.stdout)}
    assert (found["usage"]["position"], found["usage"]["end"], found["usage"]["waiting_since"]) == (
        30,
        30,
        None,
    )
    assert found["twins"]["position"] == 0
    [entry] = ledger.reader.entries_after(0, 1)
    assert found["feed"]["waiting_since"] == format_instant(entry.committed_at)
    assert "timeseries" not in found, "the configuration doesn't ask for it"
    told = run(app, ["projections", "--config", str(config)]).stdout
    assert "usage      usage per day, version 1: 30 of 30\n" in told
    assert f"the oldest of the rest since {format_instant(entry.committed_at)}" in told


def test_what_is_not_asked_for_cannot_be_chosen(config: Path) -> None:
    result = run(app, ["project", "--config", str(config), "--once", "--only", "timeseries"])
    assert result.exit_code == 78
    assert "the configuration doesn't ask for timeseries" in result.stderr
    result = run(app, ["project", "--config", str(config), "--only", "weather"])
    assert result.exit_code == 2
    assert "usage, twins, feed" in " ".join(result.stderr.replace("│", "").split())


def test_project_follows_the_ledger_until_it_is_asked_to_stop(
    config: Path, ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    run(app, ["project", "--config", str(config), "--once"])
    command = [
        sys.executable,
        "-c",
        "from cloud_sink.cli import main; main()",
        "project",
        "--config",
        str(config),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        for pours in (3, 4):
            ledger.take(gateway.seal(lock.pours(pours)))
            end = ledger.reader.last_position()
            wait_until(partial(has_come_to, config, ledger, end), 30, "usage to follow")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()


def test_there_is_no_projection_of_another_name(config: Path) -> None:
    result = run(app, ["rebuild", "weather", "--config", str(config)])
    assert result.exit_code == 2
    assert "expected one of usage" in result.stderr


def test_pseudonyms_are_those_of_the_ledger(config: Path, ledger: Ledger) -> None:
    result = run(app, ["pseudonym", "--config", str(config)], input="\n".join(UIDS) + "\n\n")
    assert result.exit_code == 0, result.output
    expected = [pseudonym(ledger, uid) for uid in (*(0xE004015000000000 + n for n in (1, 2, 3)), 0xABC)]
    assert result.stdout.splitlines() == expected


@pytest.mark.parametrize("delimiter", [";", ","])
def test_a_csv_column_is_replaced_and_all_else_kept(config: Path, ledger: Ledger, delimiter: str) -> None:
    rows = [
        ["occupancy", "credential", "from"],
        ["WE1-T1", "E004015000000001", "2025-01-01"],
        ["WE2-T2", "", "x"],
    ]
    text = "\ufeff" + "\n".join(delimiter.join(row) for row in rows) + "\n"
    result = run(app, ["pseudonym", "--config", str(config), "--column", "credential"], input=text)
    assert result.exit_code == 0, result.output
    rows[1][1] = pseudonym(ledger, 0xE004015000000001)
    assert result.stdout == "\n".join(delimiter.join(row) for row in rows) + "\n"


@pytest.mark.parametrize(
    ("arguments", "text", "line"),
    [
        ((), "e004015000000001\nE00401500000000Z\n", "line 2"),
        ((), "0\n", "line 1"),
        (("--column", "uid"), "uid\n1234\n12345678901234567\n", "line 3"),
        (("--column", "uid"), "a;b\n", "a, b"),
    ],
)
def test_a_bad_number_is_named_by_line_and_never_repeated(
    config: Path, arguments: tuple[str, ...], text: str, line: str
) -> None:
    result = run(app, ["pseudonym", "--config", str(config), *arguments], input=text)
    assert result.exit_code == 78
    assert result.stdout == "", "nothing half done"
    assert line in result.stderr
    assert "E00401500000000Z" not in result.output
    assert "12345678901234567" not in result.output
