"""Decommissioning of a lock: nobody pours any more, all that it knows is elsewhere, and only then it is taken out.

    chambers off ──▶ closing reading ──▶ records on this disk ──▶ in the ledger, or exported ──▶ taken out

Until the protocol is written everything can be taken back: whoever ends in the middle finds the chambers as they were.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from edge_agent.drivers.base import Driver
from edge_agent.errors import EdgeAgentError, MediumFailed, NotReady, NotSupported
from edge_agent.technician.chamber_switching import ChamberSwitch, take_back
from edge_agent.technician.custody_waiting import Waiting, await_disk, await_ledger, await_visit
from edge_agent.technician.register_readings import read_now
from wastelock.archive import Manifest
from wastelock.protocol import Finding, Reading
from wastelock.registers import State

_TRIES = 5
_REST_S = 60.0  # for a pour that is under way


class Decommissioning:
    """One lock's. `notes`: what is worth knowing of how it went. `is_locked`: its chambers were switched off."""

    def __init__(self, driver: Driver, spool: Path, now: Callable[[], datetime], waiting: Waiting) -> None:
        self.notes: list[Finding] = []
        self.is_locked = False
        self._switch: ChamberSwitch | None = None
        self._driver = driver
        self._spool = spool
        self._now = now
        self._waiting = waiting

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Switch all chambers off; on again as they were, should what follows not come to its end.

        Where it does, they stay off, and what they were stays known until `forget_chambers`.
        """
        status = self._driver.read_status()
        switch = ChamberSwitch(self._driver, status, self._spool, self._waiting.sleep)
        try:
            if not self._switch_off(switch):
                yield
                return
            patience_s = max(self._waiting.patience_s, _REST_S)
            if not replace(self._waiting, patience_s=patience_s).until(self._is_at_rest, "the end of a pour"):
                raise NotReady(f"lock {switch.lock} doesn't come to rest: see to its flap, then begin again")
            yield
        except BaseException as error:
            if self.is_locked:
                self._restore(switch, error)
            raise

    def forget_chambers(self) -> None:
        """They are to stay off: no later command has to switch them on again."""
        if self._switch is not None:
            self._switch.forget()

    def drain(self) -> Reading:
        """Return the closing reading once everything up to it is on this disk. NotReady, BusError."""
        return self._settle(lambda _reading: None)

    def close(self, exports: Sequence[tuple[Path, Manifest]]) -> Reading:
        """Return the closing reading once everything up to it is safe elsewhere. NotReady, BusError."""
        exported: list[tuple[str, Path]] = []

        def leave(reading: Reading) -> None:
            exported[:] = await_ledger(self._spool, reading.lock, exports, self._waiting)

        reading = self._settle(leave)
        for file in sorted({file for _, file in exported}):
            self._note("exported", lock=reading.lock, file=file.name)
        if not exported:
            self._note("received", lock=reading.lock, seq=reading.newest_seq)
        return reading

    def _settle(self, leave: Callable[[Reading], None]) -> Reading:
        """Read, wait until all of it is on disk and has left; again, where something was recorded meanwhile."""
        for _ in range(_TRIES):
            reading = self._read()
            leave(reading)
            status = self._driver.read_status()
            if self.is_locked and (reading.enable_mask or status.enable_mask):
                raise NotReady(
                    f"the chambers of lock {reading.lock} are on again (mask {status.enable_mask}). "
                    f"Where the cloud did it: {take_back(reading.lock)}"
                )
            if (status.epoch, status.newest_seq) == (reading.epoch, reading.newest_seq):
                return reading  # else somebody held a transponder to it
        raise NotReady(
            f"lock {reading.lock} goes on recording (record {status.newest_seq}): begin again at a quieter time"
        )

    def _read(self) -> Reading:
        """Return a reading of which everything is on this disk."""
        if not self._driver.has_journal:
            await_visit(self._spool, self._driver, self._waiting)
        _, _, reading = read_now(self._driver, self._now)
        await_disk(self._spool, reading, self._waiting)
        return reading

    def _restore(self, switch: ChamberSwitch, why: BaseException) -> None:
        try:
            switch.restore()
        except NotReady as error:
            if isinstance(why, EdgeAgentError):
                raise NotReady(f"{why}\n{error}") from error
            raise
        self.is_locked = False

    def _switch_off(self, switch: ChamberSwitch) -> bool:
        """Switch all chambers off; False where this lock can't be locked from afar."""
        self._switch = switch
        self.is_locked = True  # from here on it may have been done, whatever is heard of it
        try:
            switch.switch_off()
        except NotSupported as error:
            self.is_locked = False
            switch.forget()
            self._note("not_locked", lock=switch.lock, why=str(error))
            return False
        except MediumFailed:
            self.is_locked = False
            raise
        self._note("locked", lock=switch.lock)
        return True

    def _is_at_rest(self) -> bool:
        return self._driver.read_status().state in (State.LOCKED, State.OUT_OF_SERVICE, State.MAINTENANCE)

    def _note(self, code: str, **values: str | int) -> None:
        self.notes.append(Finding(code=code, values=values))
