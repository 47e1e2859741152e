"""What goes into a bundle, piece by piece: each is text, bounded; one that can't be had is named with the reason."""

import json
import platform
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import distributions
from pathlib import Path
from threading import Event
from typing import Any

from edge_agent.clock import GatewayClock
from edge_agent.config import AgentConfig
from edge_agent.errors import EdgeAgentError
from edge_agent.machine.sources import Sources
from edge_agent.spool_reader import open_for_reading
from edge_agent.spool_room import DATABASE_ERRORS
from edge_agent.spool_schema import schema_version
from edge_agent.status import read_status
from edge_agent.technician.access import open_field
from edge_agent.technician.doctor.examination import Examination, Options
from edge_agent.technician.doctor.gateway_looking import UNIT, measure_machine

_PIECE_BYTES_MAX = 4 << 20
_LOG_LINES = 5_000
_COMMAND_S = 20.0
_DOCTOR_S = 5.0  # for each bus
# Of a journal's lines only these fields: systemd adds much that tells nothing of this program.
_FIELDS = ("__REALTIME_TIMESTAMP", "PRIORITY", "SYSLOG_IDENTIFIER", "_PID", "MESSAGE")
_ALARM_EVENTS = ("alarm", "alarm is over")
_COUNTS = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
_README = """Diagnostics of gateway {gateway} at {site}, made {at:%Y-%m-%d %H:%M:%S} UTC by `edge-agent bundle`.

Transponders' numbers are replaced by (transponder), secrets by (withheld); pages and keys aren't in here.
doctor.json    what `edge-agent doctor` found          snapshot.json  locks, buses, spool, broker, alarms at that moment
status.json    spool and journals                      spool.json     its tables, counted
journal.jsonl  the agent's log                         kernel.txt     the kernel's log
alarms.jsonl   alarms in the log, begun and ended      machine.json   board, disk, mounts, serial devices
versions.json  programs and packages                   missing.json   what couldn't be had, and why
"""


class Unobtainable(EdgeAgentError):
    """This piece can't be had; the message says why."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One file of the bundle."""

    name: str
    text: str


class Contents:
    """Gathers the pieces of one gateway. `log`: a file with the agent's log where systemd doesn't keep it."""

    def __init__(self, config: AgentConfig, log: Path | None, sources: Sources | None = None) -> None:
        self._config = config
        self._log = log
        self._sources = sources or Sources()
        self.missing: dict[str, str] = {}

    def gather(self, at: datetime, tell: Callable[[str], None]) -> Iterator[Piece]:
        """Yield the pieces, none larger than 4 MiB: of a log the newest lines."""
        gateway = self._config.gateway
        yield Piece("README.txt", _README.format(gateway=gateway.id, site=gateway.site, at=at))
        makers: dict[str, Callable[[], str]] = {
            self._config.file.name: lambda: _read(self._config.file),
            "versions.json": self._versions,
            "machine.json": self._machine,
            "status.json": lambda: _json(asdict(read_status(self._config))),
            "spool.json": self._spool,
            "snapshot.json": self._snapshot,
            "doctor.json": lambda: self._doctor(tell),
            "journal.jsonl": self._journal,
            "alarms.jsonl": self._alarms,
            "kernel.txt": lambda: _run("journalctl", "-k", "-n", "2000", "--no-pager", "-o", "short-iso"),
        }
        for name, make in makers.items():
            tell(name)
            try:
                yield Piece(name, _newest(make()))
            except EdgeAgentError as error:
                self.missing[name] = str(error)
        yield Piece("missing.json", _json(self.missing))

    def _versions(self) -> str:
        packages = {each.metadata["Name"]: each.version for each in distributions()}
        return _json(
            {
                "python": platform.python_version(),
                "system": platform.platform(),
                "os_release": self._sources.text("etc/os-release"),
                "packages": dict(sorted(packages.items())),
            }
        )

    def _machine(self) -> str:
        figures = measure_machine(self._config, GatewayClock(self._config.clock.source), self._sources)
        devices = [*self._sources.find("dev/serial/by-id/*"), *self._sources.find("dev/tty[UA][SCM][BMA]*")]
        return _json(
            {
                "health": figures.health.model_dump(mode="json", exclude_none=True),
                "card": figures.card,
                "mount": None if figures.mount is None else asdict(figures.mount),
                "mounts": (self._sources.text("proc/self/mountinfo") or "").splitlines(),
                "serial_devices": [str(device) for device in devices],
                "routes": (self._sources.text("proc/net/route") or "").splitlines(),
                "name_servers": (self._sources.text("etc/resolv.conf") or "").splitlines(),
            }
        )

    def _spool(self) -> str:
        path = self._config.spool.path
        if not path.exists():
            raise Unobtainable(f"{path} isn't there")
        try:
            with closing(open_for_reading(path)) as connection:
                tables = [row[0] for row in connection.execute(_COUNTS)]
                counts = {
                    name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]
                    for name in tables
                }
                schema = schema_version(connection)
        except DATABASE_ERRORS as error:
            raise Unobtainable(f"{path}: {error}") from error
        beside = {file.name: file.stat().st_size for file in sorted(path.parent.glob(f"{path.name}*"))}
        return _json({"schema": schema, "rows": counts, "files": beside})

    def _snapshot(self) -> str:
        with open_field(self._config) as access:
            return access.snapshot().model_dump_json(indent=1, exclude_none=True)

    def _doctor(self, tell: Callable[[str], None]) -> str:
        options = Options(_DOCTOR_S, may_borrow=False)
        report = Examination(self._config, options, tell, Event(), self._sources).run()
        return _json(report.to_json())

    def _journal(self) -> str:
        if self._log is not None:
            return _read(self._log)
        fields = ",".join(_FIELDS)
        return _run(
            "journalctl",
            "-u",
            UNIT,
            "-n",
            str(_LOG_LINES),
            "--no-pager",
            "-o",
            "json",
            f"--output-fields={fields}",
        )

    def _alarms(self) -> str:
        lines = [line for line in self._journal().splitlines() if _event_of(line) in _ALARM_EVENTS]
        return "".join(f"{line}\n" for line in lines)


def _event_of(line: str) -> str | None:
    """Return the event of a line of the log, wrapped by systemd's journal or as the agent wrote it."""
    try:
        told: Any = json.loads(line)
        if isinstance(told, dict) and "MESSAGE" in told:
            told = json.loads(told["MESSAGE"])
    except (ValueError, TypeError):
        return None
    event = told.get("event") if isinstance(told, dict) else None
    return event if isinstance(event, str) else None


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            file.seek(max(0, size - _PIECE_BYTES_MAX))
            return file.read(_PIECE_BYTES_MAX).decode(errors="replace")
    except OSError as error:
        raise Unobtainable(f"{path}: {error.strerror}") from error


def _run(*command: str) -> str:
    """Return what a command prints, or say why it can't be had."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=_COMMAND_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unobtainable(f"{command[0]}: {error}") from error
    if done.returncode != 0 or not done.stdout:
        said = done.stderr.decode(errors="replace").strip() or f"exit code {done.returncode}, nothing printed"
        raise Unobtainable(f"{command[0]}: {said}; run it by sudo, or as a member of systemd-journal")
    return done.stdout.decode(errors="replace")


def _newest(text: str) -> str:
    """Return a text's end where it is too long, from the beginning of a line on."""
    if len(text.encode()) <= _PIECE_BYTES_MAX:
        return text
    return text.encode()[-_PIECE_BYTES_MAX:].decode(errors="ignore").partition("\n")[2]


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, default=str)
