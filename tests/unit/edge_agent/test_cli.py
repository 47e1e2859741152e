"""The commands that a technician types, run as processes."""

import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent.config_rules import load_signing_key
from edge_agent.keygen import make_signing_key
from tests.unit.edge_agent.configurations import GOOD, write


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    make_signing_key(tmp_path / "gateway.pem")
    return tmp_path


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge_agent.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_check_config_and_run_end_with_78_and_the_whole_list(directory: Path) -> None:
    file = write(directory, GOOD.replace("unit = 9", "unit = 900").replace('"gateway.pem"', '"none.pem"'))
    for command in ("check-config", "run", "status"):
        done = run(command, "--config", str(file))
        assert done.returncode == 78
        assert "locks[1].unit" in done.stderr
        assert ("gateway.signing_key" in done.stderr) == (
            command != "status"
        )  # keys aren't for who only looks
        assert "Traceback" not in done.stderr


def test_check_config_says_what_is_good(directory: Path) -> None:
    done = run("check-config", "--config", str(write(directory, GOOD)))
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 locks on 2 buses" in done.stdout


def test_keygen_prints_what_the_sink_has_to_know(tmp_path: Path) -> None:
    file = write(tmp_path, GOOD)
    done = run("keygen", "--config", str(file))
    assert done.returncode == 0
    key = load_signing_key(tmp_path / "gateway.pem")
    assert key.kid in done.stdout
    again = run("keygen", "--config", str(file))
    assert again.returncode == 78 and "there already" in again.stderr


def test_status_before_the_first_run_says_so(directory: Path) -> None:
    done = run("status", "--config", str(write(directory, GOOD)))
    assert done.returncode == 1
    assert "isn't there yet" in done.stderr


@pytest.mark.parametrize("command", [[], ["run"], ["check-config"], ["status"], ["keygen"]])
def test_help_shows_an_example(command: list[str]) -> None:
    done = run(*command, "--help")
    assert done.returncode == 0
    assert "Example: edge-agent" in done.stdout.replace("\n", " ")
