"""`edge-agent doctor`: finds what is wrong with a gateway and its lines, and says what to do about each."""

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.technician.terminal import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    exit_codes,
    said_on_stderr,
)

if TYPE_CHECKING:
    from edge_agent.technician.doctor.examination import Report


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(doctor)


def doctor(
    config: ConfigOption = DEFAULT_CONFIG,
    seconds: Annotated[
        float,
        typer.Option("--seconds", min=1, max=300, help="For how long each bus is asked, if it is good."),
    ] = 10.0,
    borrow: Annotated[
        bool,
        typer.Option(
            "--borrow/--no-borrow",
            help="Where a unit is silent, take the line for half a minute and try other settings.",
        ),
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Find what is wrong: wiring, settings, unit ids, adapter, clock, disk, certificate, broker, receipts.

    Changes nothing, beside a running agent too. Exit code 0: nothing is wrong; 1: something is; 78: the configuration
    can't be read.

    Example: edge-agent doctor --config /etc/wastelock/edge-agent.toml --json
    """
    from edge_agent.config_rules import load_config
    from edge_agent.technician.doctor.examination import Examination, Options, longest_s
    from edge_agent.technician.doctor.findings import has_trouble

    with exit_codes(), _stopped_by_interrupt() as stop:
        loaded, options = load_config(config, check_files=False), Options(seconds, borrow)
        with said_on_stderr(f"at most {longest_s(loaded, options):.0f} s") as tell:
            report = Examination(loaded, options, tell, stop).run()
    if as_json:
        print(json.dumps(report.to_json(), ensure_ascii=False))
    else:
        _print(report)
    raise typer.Exit(int(has_trouble(report.findings)))


@contextmanager
def _stopped_by_interrupt() -> Iterator[threading.Event]:
    """Within it Ctrl-C ends the examination with what is known by then; a second one ends it at once."""
    stop = threading.Event()

    def end(_number: int, _frame: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, end)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


_MARKS = {"trouble": ("✗", "red"), "notice": ("!", "yellow"), "good": ("✓", "green")}
_HOW = {
    "agent": "by way of the running agent",
    "direct": "the agent doesn't run",
    None: "the locks weren't reached",
}


def _print(report: "Report") -> None:
    """Print for people: wrapped and indented on a terminal, one line for each part where it goes to a file."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False, markup=False)
    console.soft_wrap = not console.is_terminal

    def tell(indent: int, text: Text) -> None:
        if console.is_terminal:
            console.print(Padding(text, (0, 0, 0, indent)))
        else:
            console.print(f"{' ' * indent}{text.plain}")

    console.print(
        f"{report.gateway} at {report.site}, {report.at:%Y-%m-%d %H:%M:%S} UTC, {_HOW[report.via]}\n"
    )
    for finding in report.findings:
        mark, colour = _MARKS[finding.level]
        line = Text.assemble((f"{mark} ", colour), (f"{finding.area}: ", "bold"), finding.what)
        if finding.sure != "certain" and finding.level == "trouble":
            line.append(f" ({finding.sure})", style="dim")
        tell(0, line)
        if finding.evidence:
            tell(4, Text(finding.evidence, style="dim"))
        if finding.remedy:
            tell(4, Text(f"→ {finding.remedy}"))
    count = sum(finding.level == "trouble" for finding in report.findings)
    wrong = (
        "nothing is wrong" if not count else "1 thing is wrong" if count == 1 else f"{count} things are wrong"
    )
    console.print(f"\n{wrong}")
