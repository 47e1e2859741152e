"""`edge-agent scan`: who is there, on which line, at which settings, and is that as it should be?"""

import json
import sys
from contextlib import ExitStack, nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent.errors import ConfigError
from edge_agent.technician.terminal import DEFAULT_CONFIG, JsonOption, exit_codes, progress_on_stderr

if TYPE_CHECKING:
    from edge_agent.config import AgentConfig
    from edge_agent.technician.scan_plan import Plan
    from edge_agent.technician.scanning import Borrow, LineReport

_PARITIES = {"E", "N", "O"}


def scan(
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            help=f"Compare with this configuration; {DEFAULT_CONFIG} if it is there.",
            metavar="FILE",
        ),
    ] = None,
    port: Annotated[
        list[Path] | None,
        typer.Option(
            help="Serial device; may be repeated. Else all by id, and configured ones.", metavar="DEVICE"
        ),
    ] = None,
    host: Annotated[
        list[str] | None, typer.Option(help="Modbus TCP server HOST or HOST:PORT; may be repeated.")
    ] = None,
    network: Annotated[
        str | None, typer.Option(help="Look for Modbus TCP servers there, e.g. 192.168.7.0/24.")
    ] = None,
    units: Annotated[str, typer.Option(help="Unit ids to ask, e.g. 1-32,40.")] = "1-32",
    baud: Annotated[str, typer.Option(help="Baud rates to try, the likeliest first.")] = "19200,9600",
    parity: Annotated[str, typer.Option(help="Parities to try, the likeliest first.")] = "E,N,O",
    write: Annotated[
        Path | None, typer.Option(help="Enter what is new into this configuration.", metavar="FILE")
    ] = None,
    correct: Annotated[
        bool, typer.Option("--correct", help="With --write: also correct what is configured otherwise.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Find waste locks on serial lines and Modbus TCP, and say of each unit whether all is well. Changes nothing there.

    How long it takes at most is told beforehand. A running agent lends its lines, and reads none of their locks then.
    Exit code 0: locks were found and all is well; 1: something is wrong, or nobody answered.

    Example: edge-agent scan --write /etc/wastelock/edge-agent.toml
    """
    with exit_codes():
        loaded = _load(config)
        plan = _plan(loaded, port or [], host or [], network, units, baud, parity)
        reports = _run(plan, loaded)
        written = _write(write, reports, correct) if write is not None else []
    if as_json:
        print(json.dumps({"lines": [asdict(report) for report in reports], "written": written}, default=str))
    else:
        _print(reports, written)
    is_good = any(report.units for report in reports) and all(report.is_good for report in reports)
    raise typer.Exit(0 if is_good else 1)


def _load(file: Path | None) -> "AgentConfig | None":
    """Return the configuration to compare with, None where there is none yet or it isn't whole."""
    from edge_agent.config_rules import load_config

    if file is None and not DEFAULT_CONFIG.exists():
        return None
    if file is not None and not file.exists():
        raise ConfigError(f"{file} isn't there; remedy: leave --config out, or name the file that there is")
    try:
        return load_config(file or DEFAULT_CONFIG, check_files=False)
    except ConfigError as error:
        problems = len(str(error).splitlines())
        print(
            f"{file or DEFAULT_CONFIG} isn't whole yet ({problems} problems, `edge-agent check-config` lists them): "
            "nothing is compared with it",
            file=sys.stderr,
        )
        return None


def _plan(
    config: "AgentConfig | None",
    ports: list[Path],
    hosts: list[str],
    network: str | None,
    units: str,
    bauds: str,
    parities: str,
) -> "Plan":
    from edge_agent.config import TcpBus
    from edge_agent.technician.scan_plan import SERIAL_ANSWER_S, Plan, serial_targets, tcp_targets
    from edge_agent.technician.scanning import hosts_in, listening, search_most_s

    wanted, addresses = _units(units), [_address(host) for host in hosts]
    if network is not None:
        found = hosts_in(network)
        print(
            f"looking for Modbus TCP servers in {network}: at most {search_most_s(len(found)):.0f} s",
            file=sys.stderr,
        )
        addresses += listening((address, 502) for address in found)
    if not (ports or hosts or network) and config is not None:
        addresses += [(bus.host, bus.port) for bus in config.buses if isinstance(bus, TcpBus)]
    wants_serial = bool(ports) or not (hosts or network)
    serial = serial_targets(config, ports, _bauds(bauds), _parities(parities)) if wants_serial else []
    targets = (*serial, *tcp_targets(config, addresses))
    if not targets:
        raise ConfigError(
            "there is nothing to look at: no serial adapter in /dev/serial/by-id; remedy: plug one in, name --port, "
            "--host or --network"
        )
    return Plan(targets, wanted, SERIAL_ANSWER_S)


def _run(plan: "Plan", config: "AgentConfig | None") -> "list[LineReport]":
    from edge_agent.technician.access import open_field
    from edge_agent.technician.scanning import scan as run_scan

    minutes, seconds = divmod(round(plan.most_s + 0.5), 60)
    lines = f"{len(plan.targets)} line{'s' if len(plan.targets) > 1 else ''}, {plan.asked} unit ids"
    print(f"{lines}: at most {minutes} min {seconds} s, as a rule much less", file=sys.stderr)
    with ExitStack() as stack:
        borrow: Borrow = nullcontext
        if config is not None and any(target.bus is not None for target in plan.targets):
            borrow = stack.enter_context(open_field(config)).borrow
        tell = stack.enter_context(progress_on_stderr("looks"))
        return run_scan(plan, borrow, tell)


def _write(file: Path, reports: "list[LineReport]", correct: bool) -> list[str]:
    from edge_agent.technician.config_file import read_document, write_document
    from edge_agent.technician.scan_writing import begin_document, enter

    document = read_document(file) if file.exists() else begin_document()
    changes = enter(document, reports, correct=correct)
    said = []
    if changes.made:
        kept = write_document(file, document, datetime.now(UTC))
        said = [f"written: {each}" for each in changes.made]
        said.append(
            f"{file}: the file before is {kept}" if kept else f"{file}: new; fill in what is empty there"
        )
    elif not changes.left:
        said = [f"{file}: nothing to add"]
    return [*said, *(f"not written: {each}" for each in changes.left)]


def _print(reports: "list[LineReport]", written: list[str]) -> None:
    for report in reports:
        bus = f"bus {report.target.bus}, " if report.target.bus is not None else ""
        at = f": {report.at}" if report.at is not None and report.target.device is not None else ""
        print(f"{bus}{report.target.name}{at}")
        if report.trouble is not None:
            print("  " + report.trouble.replace("\n", "\n       "))
        if report.is_set_otherwise:
            print(f"  configured {report.target.configured_at}, but its locks answer at {report.at}")
            print("       remedy: correct baudrate and parity in the configuration (--write FILE --correct)")
        for unit in report.units:
            print(f"  {unit.unit:>3}  {unit.verdict:16} {', '.join(unit.locks) or '-':17} {unit.what}")
            if unit.remedy is not None:
                print(f"       remedy: {unit.remedy}")
        if not report.units and report.trouble is None:
            print(
                "  nobody answered: is the line powered, A and B not swapped? `edge-agent doctor` looks closer"
            )
    good = sum(unit.is_good for report in reports for unit in report.units)
    bad = sum(not unit.is_good for report in reports for unit in report.units)
    print(f"{good} good, {bad} not")
    for line in written:
        print(line)


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon:
        return text, 502
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536 and host):
        raise ConfigError(f"--host {text}: expected HOST or HOST:PORT, e.g. 192.168.7.20:502")
    return host.strip("[]"), int(port)


def _units(text: str) -> tuple[int, ...]:
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not (
            first.isascii() and first.isdigit() and (last or first).isascii() and (last or first).isdigit()
        ):
            raise ConfigError(f"--units {text}: expected ids from 1 to 247, e.g. 1-32,40")
        found |= set(range(int(first), min(int(last or first), 248) + 1))
    if not found or not all(1 <= unit <= 247 for unit in found):
        raise ConfigError(f"--units {text}: expected ids from 1 to 247, e.g. 1-32,40")
    return tuple(sorted(found))


def _bauds(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and 1200 <= int(part) <= 921_600 for part in parts):
        raise ConfigError(f"--baud {text}: expected rates from 1200 to 921600, e.g. 19200,9600")
    return [int(part) for part in parts]


def _parities(text: str) -> list[str]:
    parts = [part.strip().upper() for part in text.split(",")]
    if not all(part in _PARITIES for part in parts):
        raise ConfigError(f"--parity {text}: expected some of E, N, O")
    return parts
