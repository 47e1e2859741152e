"""What a technician's commands share: progress on standard error, exit codes (0 good, 1 trouble, 78 configuration)."""

import getpass
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from edge_agent.errors import EXIT_CONFIG, BusError, ConfigError, EdgeAgentError
from edge_agent.technician.remedies import with_remedy

# Where the package puts it, so that on site nobody has to type it.
DEFAULT_CONFIG = Path("/etc/wastelock/edge-agent.toml")
ConfigOption = Annotated[
    Path, typer.Option("--config", help="The configuration file (TOML).", metavar="FILE")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object.")]


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn each error into its message and an exit code."""
    try:
        yield
    except ConfigError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(EXIT_CONFIG) from error
    except EdgeAgentError as error:
        print(with_remedy(error) if isinstance(error, BusError) else error, file=sys.stderr)
        raise typer.Exit(1) from error


@contextmanager
def ends_by_signal_as_by_ctrl_c() -> Iterator[None]:
    """Have a lost connection (SIGHUP) and SIGTERM end what is done here as Ctrl-C does: with what it has to put right.

    Only the main thread can; elsewhere nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGHUP, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextmanager
def progress_on_stderr(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show how far long work is; what is yielded is told how much is done, of how much."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what)
        yield lambda done, of: bar.update(task, completed=done, total=of)


@contextmanager
def said_on_stderr(how_long: str) -> Iterator[Callable[[str], None]]:
    """Show that work goes on and how long it may take; what is yielded is told what is done now."""
    from rich.console import Console

    with Console(stderr=True).status(how_long) as status:
        yield lambda what: status.update(f"{what} ({how_long})")


def user_name() -> str:
    """Return who sits here, also behind sudo."""
    return os.environ.get("SUDO_USER") or getpass.getuser()
