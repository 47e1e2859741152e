"""`edge-agent watch` while the agent comes and goes, where there is no terminal, and how its screen is put together."""

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from typer.testing import CliRunner

from edge_agent.commands import app
from tests.support.ports import free_port
from tests.support.terminal import Terminal
from tests.support.waiting import wait_until
from tests.unit.edge_agent.installation import Installation

PROGRAM = [sys.executable, "-m", "edge_agent.cli"]


def test_an_agent_that_ends_is_waited_for_and_its_lines_are_left_to_it(tmp_path: Path) -> None:
    installation = Installation(tmp_path, free_port())
    once = CliRunner().invoke(app, ["watch", "--once", "--config", str(installation.config)])
    assert "no agent runs: read directly" in once.stdout
    with ExitStack() as stack:
        with installation.running():
            wait_until(lambda: "the local door is open" in installation.log.read_text(), 20, "the door")
            watching = Terminal([*PROGRAM, "watch", "--config", str(installation.config)], 100, 24)
            terminal = stack.enter_context(watching)
            terminal.wait_for("agent 0")
        terminal.wait_for("nothing new: ")
        with installation.running():
            terminal.wait_gone("nothing new: ")


def test_a_pipe_is_no_terminal_and_that_is_said() -> None:
    done = subprocess.run(
        [*PROGRAM, "watch"], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60
    )
    assert done.returncode == 2
    assert "--once" in done.stderr
