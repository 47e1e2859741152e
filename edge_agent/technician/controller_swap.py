"""The swap of a lock's controller, step by step; it can be ended at each and is gone on with by the same command."""

from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from edge_agent.clock import utc_now
from edge_agent.config import AgentConfig, CounterLock, LockSettings
from edge_agent.drivers.base import Registers
from edge_agent.errors import NotReady
from edge_agent.technician.access import FieldAccess, open_field
from edge_agent.technician.chamber_switching import (
    kept_mask,
    kept_mask_file,
    refuse_against_wish,
    still_off,
)
from edge_agent.technician.config_editing import replace_serial
from edge_agent.technician.custody_waiting import Waiting
from edge_agent.technician.decommissioning import Decommissioning
from edge_agent.technician.kept_files import keep_file
from edge_agent.technician.places import find_lock
from edge_agent.technician.protocol_files import SOFTWARE, ProtocolFiles
from edge_agent.technician.register_readings import LastKnown, read_now, records_backwards
from edge_agent.technician.replacing import await_another, driver_of, who_answers
from edge_agent.technician.spool_listing import opened_reader
from wastelock.protocol import Finding, Protocol, ProtocolKind, Reading
from wastelock.registers import lock_id


class ControllerSwap:
    """`say` is told what to do and what was done."""

    def __init__(
        self, config: AgentConfig, files: ProtocolFiles, patience_s: float, say: Callable[[str], object]
    ) -> None:
        self._config = config
        self._files = files
        self._patience_s = patience_s
        self._say = say
        self._notes: list[Finding] = []

    def run(self, lock: str, new: str | None, technician: str, remark: str) -> tuple[Protocol, list[Path]]:
        """Go through all of it; return the protocol and its files. The configuration names the new one by then.

        Raises NotReady, BusError.
        """
        settings = find_lock(self._config, lock)
        if isinstance(settings, CounterLock):
            raise NotReady(
                f"lock {settings.lock} is a bare counter, which doesn't say who it is: `edge-agent decommission` it, "
                "configure the new one under its own serial number, then `edge-agent commission`"
            )
        began_at = utc_now()
        kept_in = self._files.directory / f".replacing-{settings.lock}.json"
        with open_field(self._config) as field:
            registers = field.registers(settings.bus, settings.unit)
            before = self._before(field, settings, registers, kept_in)
            self._say("connect the new controller now, at the old one's address; waiting for it …")
            serial = self._await_another(registers, settings)
            self._check_new(serial, new)
            _, _, opening = read_now(driver_of(registers, serial), utc_now)
        protocol = Protocol(
            kind=ProtocolKind.CONTROLLER_REPLACEMENT, reference=self._files.name(settings.lock, began_at),
            site=self._config.gateway.site, gateway=self._config.gateway.id, software=SOFTWARE, began_at=began_at,
            ended_at=utc_now(), technician=technician, remark=remark, passed=True, opening=(opening,),
            closing=(before,) if before is not None else (), notes=tuple(self._notes),
        )  # fmt: skip
        written = self._files.write(protocol)
        kept = replace_serial(self._config.file, settings.lock, opening.lock, utc_now())
        kept_in.unlink(missing_ok=True)
        kept_mask_file(self._config.spool.path, settings.lock).unlink(missing_ok=True)
        self._say(
            f"{self._config.file}: lock {settings.lock} is {opening.lock} now (the file before: {kept}); next: "
            f"systemctl restart wastelock-edge-agent, then edge-agent commission {opening.lock}"
        )
        return protocol, written

    def _before(
        self, field: FieldAccess, settings: LockSettings, registers: Registers, kept_in: Path
    ) -> Reading | None:
        """Return the old controller's closing reading, from itself if it still answers."""
        answers = who_answers(registers)
        if answers == settings.serial_number:
            if field.via == "agent":
                refuse_against_wish(self._config, settings.lock)
            patience_s = self._patience_s if field.via == "agent" else 0.0
            waiting = Waiting(patience_s)
            work = Decommissioning(field.driver(settings.lock), self._config.spool.path, utc_now, waiting)
            self._say(
                f"the old controller {settings.lock} answers: it is locked, its records are waited for …"
            )
            with work.locked():
                reading = work.drain()
                keep_file(kept_in, reading.model_dump_json().encode())
            self._notes += work.notes
            return reading
        kept = _load(kept_in)
        if kept is not None:
            return kept
        known = self._last_known(settings.lock)
        if known is None:
            self._note("unknown_before", lock=settings.lock)
        else:
            self._note("dead_controller", lock=settings.lock, seq=known.newest_seq)
        return known

    def _await_another(self, registers: Registers, old: LockSettings) -> int:
        try:
            return await_another(registers, old.serial_number, self._patience_s)
        except NotReady as error:
            if kept_mask(self._config.spool.path, old.lock) is None:
                raise
            raise NotReady(f"{error}. Where you give up, {still_off(old.lock)}") from error

    def _last_known(self, lock: str) -> Reading | None:
        if not self._config.spool.path.exists():
            return None
        last = LastKnown([lock])
        with opened_reader(self._config.spool.path) as reader:
            for record in records_backwards(reader):
                last.note(record)
        return last.reading(lock)

    def _check_new(self, serial: int, wanted: str | None) -> None:
        name = lock_id(serial)
        if wanted is not None and name.lstrip("0") != wanted.lower().lstrip("0"):
            raise NotReady(f"lock {name} answers there, not {wanted}: see its type plate, then begin again")
        if any(lock.lock == name for lock in self._config.locks):
            raise NotReady(
                f"lock {name} answers there, but is configured at another address: see which controller is which "
                "(`edge-agent scan`), then begin again"
            )

    def _note(self, code: str, **values: str | int) -> None:
        self._notes.append(Finding(code=code, values=values))


def _load(path: Path) -> Reading | None:
    try:
        return Reading.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        return None
