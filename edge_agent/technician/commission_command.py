"""`edge-agent commission`: from a lock that is mounted to one that is in service, with a protocol that proves it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from edge_agent.technician.terminal import DEFAULT_CONFIG, ConfigOption, exit_codes

_TECHNICIAN_MAX, _REMARK_MAX = 100, 1000  # as wastelock.protocol has them; known before anything is done


def _at_most(limit: int) -> Callable[[str | None], str | None]:
    def check(value: str | None) -> str | None:
        if value is not None and len(value) > limit:
            raise typer.BadParameter(f"{len(value)} characters: at most {limit} fit into a protocol")
        return value

    return check


OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out", help="Directory for the protocol; by default `protocols` beside the spool.", metavar="DIR"
    ),
]
TechnicianOption = Annotated[
    str | None,
    typer.Option(
        "--technician",
        callback=_at_most(_TECHNICIAN_MAX),
        help="Who does it; by default the user who is logged in.",
    ),
]
LanguageOption = Annotated[Literal["de", "en"], typer.Option("--language", help="Of the paper.")]
RemarkOption = Annotated[
    str, typer.Option("--remark", callback=_at_most(_REMARK_MAX), help="Stands in the protocol.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="The protocol as one JSON object, at the end.")]
_VOLUME = "CHAMBER:ML, such as 1:5000; again for each chamber."
PlannedOption = Annotated[list[str] | None, typer.Option("--planned", help=f"Volume as planned: {_VOLUME}")]
PlanOption = Annotated[
    Path | None,
    typer.Option("--plan", help="CSV of the site's locks, as in config/locks.csv: planned volumes."),
]
MeasuredOption = Annotated[
    list[str] | None, typer.Option("--measured", help=f"Volume as measured by hand: {_VOLUME}")
]
ToleranceOption = Annotated[
    float, typer.Option("--tolerance", min=0.1, max=50, help="Of what is measured, in percent.")
]
PatienceOption = Annotated[
    float, typer.Option("--wait", min=0.01, max=600, help="For the next test pour, in minutes.")
]
AskOption = Annotated[bool, typer.Option("--ask/--no-ask", help="Ask for measured volumes on the terminal.")]
AnewOption = Annotated[bool, typer.Option("--anew", help="Don't go on with a test that was interrupted.")]
AnywayOption = Annotated[
    bool, typer.Option("--anyway", help="Test also where the lock isn't as it should be from the beginning.")
]


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(commission)


def commission(
    lock: Annotated[str, typer.Argument(metavar="LOCK", help="Serial number in hexadecimal: 1f00a1.")],
    config: ConfigOption = DEFAULT_CONFIG,
    out: OutOption = None,
    pours: Annotated[int, typer.Option("--pours", min=1, max=50, help="Test pours for each chamber.")] = 2,
    planned: PlannedOption = None,
    plan: PlanOption = None,
    measured: MeasuredOption = None,
    tolerance_percent: ToleranceOption = 5,
    minutes: PatienceOption = 15,
    technician: TechnicianOption = None,
    language: LanguageOption = "en",
    remark: RemarkOption = "",
    ask: AskOption = True,
    anew: AnewOption = False,
    anyway: AnywayOption = False,
    as_json: JsonOption = False,
) -> None:
    """Prove that a lock counts right: registers, test pours with each chamber, volumes; beside an agent or without.

    Ctrl-C leaves everything as it is; the same command goes on. The protocol is written as a signed file for
    `cloud-sink import`, as PDF and as text. Exit code 0: passed; 1: not, and what to do; 78: configuration.

    Example: edge-agent commission 1f00a1 --planned 1:5000 --planned 2:20000 --config /etc/wastelock/edge-agent.toml
    """
    with exit_codes():
        from edge_agent.config_rules import load_config
        from edge_agent.technician.commission_session import CommissionSession
        from edge_agent.technician.commissioning import Plan
        from edge_agent.technician.protocol_files import ProtocolFiles
        from edge_agent.technician.site_plan import parse_volumes, planned_volumes

        loaded = load_config(config, check_files=False)
        expected = planned_volumes(plan, lock) | parse_volumes("--planned", planned)
        wanted = Plan(pours, expected, round(tolerance_percent * 10), minutes * 60)
        files = ProtocolFiles(loaded, out, language)
        session = CommissionSession(
            loaded,
            files,
            asks=ask and sys.stdin.isatty() and not as_json,
            anew=anew,
            anyway=anyway,
            quiet=as_json,
        )
        protocol = session.run(lock, wanted, parse_volumes("--measured", measured), technician, remark)
    if as_json:
        print(protocol.to_json().decode())
    raise typer.Exit(0 if protocol.passed else 1)
