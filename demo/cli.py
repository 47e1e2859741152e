"""`python -m demo`: the whole chain on one machine, from the controllers' rings to the statements. START HERE."""

import shutil
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from demo.bill_report import BillReport
from demo.billing import Billing
from demo.case import Case, make_case
from demo.chain import Chain
from demo.compare import compare, read_lines
from demo.control import ControlRefused, SimulatorGone
from demo.demonstration import Demonstration, Plan, TooSlow
from demo.layout import Settings
from demo.ports import free_port
from demo.process import MissingProgram, ProcessFailed
from demo.report import print_comparison, report_console
from demo.screen import Screen, open_screen
from demo.web import Web, port_or_free

EXIT_DIFFERENT = 1
EXIT_FAILED = 2
EXIT_INTERRUPTED = 130
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_MARK = ".wastelock-demo"  # only a directory that holds this is ever emptied
_LIVE_POURS_ONCE = 10
# Residents live that much faster than the clock, so that 120 dwellings make a pour every few seconds. The controllers'
# own clocks keep real time.
_RESIDENTS_SPEED = 400.0

app = typer.Typer(add_completion=False)


@app.command(epilog="Example: python -m demo --once --out /tmp/wastelock-demo")
def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Stop when ledger, bill and truth are equal; exit 0 only then.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Directory for everything: new, empty, or an earlier demonstration's, which is deleted. "
            "Default: a new one in /tmp.",
        ),
    ] = None,
    months: Annotated[
        int, typer.Option("--months", min=1, max=12, help="The period: so many full months before today.")
    ] = 12,
    seed: Annotated[int, typer.Option("--seed", help="Same seed, same residents.")] = 1,
    port: Annotated[
        int, typer.Option("--port", min=1, max=65535, help="Where the page is; taken: at a free port.")
    ] = 8080,
    deadline_s: Annotated[
        float, typer.Option("--deadline-s", min=10, help="With --once: give up after this.")
    ] = 600,
) -> None:
    """Show the chain of custody and the bill: 5 locks, 120 dwellings, gateway, broker and ledger, all on this machine.

    The page is open from the beginning, with the link and the passwords that are printed. First the locks' past year
    passes in a minute or two and reaches the ledger, record by record. Then the last full months are billed, statements
    and all. Then pours are shown live. Ctrl-C ends everything; the data stays.
    """
    directory = _directory(out)
    _end_on_signals()
    case = make_case(directory, datetime.now(UTC), months, seed, free_port)
    try:
        code = _run(case, Plan(_LIVE_POURS_ONCE if once else None, deadline_s), port)
    except (ProcessFailed, MissingProgram, TooSlow, SimulatorGone, ControlRefused) as error:
        print(f"The demonstration failed: {error}", file=sys.stderr)
        code = EXIT_FAILED
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED if once else 0
    print(f"Everything has ended. Data, configuration and logs are in {directory}")
    raise typer.Exit(code)


def _run(case: Case, plan: Plan, port: int) -> int:
    layout, estate = case.layout, case.layout.estate
    screen = open_screen()
    screen.say(
        f"{case.estate.property.name}: {len(case.dwellings)} dwellings, {len(estate.locks)} waste locks; "
        f"data in {layout.directory}"
    )
    for bus in estate.buses:
        screen.say(f"  bus {bus.name}: {bus.description}, {len(estate.locks_on(bus.name))} locks")
    screen.say("  (at the pace of a wire with 19,200 Bd, a year of pours would take a quarter of an hour)")
    began = time.monotonic()
    # The gateway comes last: who watches the page or the terminal sees the first record arrive.
    chain = Chain(
        layout,
        Settings(),
        case.seed,
        case.backlog_days,
        _RESIDENTS_SPEED,
        keep_pace=True,
        leave_out={"edge-agent"},
    )
    reports: list[BillReport] = []
    with chain:
        screen.say(
            f"All programs run after {time.monotonic() - began:.1f} s; "
            f"the locks' life begins {case.backlog_days:.0f} days ago."
        )
        with Web(case, chain, port_or_free(port, free_port), screen.say) as web:

            def bill(shown: Screen) -> None:
                web.check()
                reports.append(_bill(case, shown))
                web.release_access_lists()
                web.invite_household()

            chain.agent.start()
            Demonstration(chain, plan, screen, case.seed, bill).run()
            web.check()
    # Everything has ended: what is compared now is what stays in the directory.
    ledger = layout.directory / "ledger.jsonl"
    ledger.write_text(chain.ask_sink("export"))
    comparison = compare(read_lines(layout.truth), read_lines(ledger), layout.pseudonym_key)
    print_comparison(comparison, report_console())
    billed_as_thrown = bool(reports) and all(report.equal for report in reports)
    return 0 if comparison.equal and comparison.events > 0 and billed_as_thrown else EXIT_DIFFERENT


def _bill(case: Case, screen: Screen) -> BillReport:
    began = time.monotonic()
    report = BillReport(Billing(case, screen.say).bill())
    full_table = case.layout.directory / "bill.csv"
    report.write(full_table)
    report.print(screen.console, full_table)
    screen.say(f"Billed after {time.monotonic() - began:.1f} s.")
    return report


def _directory(out: Path | None) -> Path:
    """Return an empty directory that is marked as the demonstration's own."""
    if out is None:
        out = Path(tempfile.mkdtemp(prefix="wastelock-demo-"))
    elif (out / _MARK).is_file():
        shutil.rmtree(out)
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise typer.BadParameter(
            f"{out} holds something else than an earlier demonstration: name a new or an empty directory",
            param_hint="--out",
        )
    out.mkdir(parents=True, exist_ok=True)
    (out / _MARK).touch()
    return out.resolve()


def _end_on_signals() -> None:
    """Let SIGTERM and a closed terminal end us like Ctrl-C, once: what follows while all is being ended is ignored."""

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in _ENDING:
        signal.signal(number, on_signal)


def main() -> None:
    """Entry point of `python -m demo`."""
    app()
