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
from edge_agent.errors import BusError, NotReady, NotSupported
from edge_agent.technician.custody_waiting import Waiting, await_disk, await_ledger
from edge_agent.technician.register_readings import read_now
from wastelock.archive import Manifest
from wastelock.protocol import Finding, Reading
from wastelock.registers import State, lock_id

_TRIES = 5
_REST_S = 60.0  # for a pour that is under way


class Decommissioning:
    """One lock's. `notes`: what is worth knowing of how it went."""

    def __init__(self, driver: Driver, spool: Path, now: Callable[[], datetime], waiting: Waiting) -> None:
        self.notes: list[Finding] = []
        self._driver = driver
        self._spool = spool
        self._now = now
        self._waiting = waiting

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Switch all chambers off; on again as they were, should what follows not come to its end."""
        status = self._driver.read_status()
        lock = lock_id(status.serial)
        try:
            self._driver.enable_chambers(0)
        except NotSupported as error:
            self._note("not_locked", lock=lock, why=str(error))
            yield
            return
        try:
            patience_s = max(self._waiting.patience_s, _REST_S)
            if not replace(self._waiting, patience_s=patience_s).until(self._is_at_rest, "the end of a pour"):
                raise NotReady(f"lock {lock} doesn't come to rest: see to its flap, then begin again")
            self._note("locked", lock=lock)
            yield
        except BaseException:
            self._unlock(lock, status.enable_mask)
            raise

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
            _, _, reading = read_now(self._driver, self._now)
            await_disk(self._spool, reading, self._waiting)
            leave(reading)
            status = self._driver.read_status()
            if (status.epoch, status.newest_seq) == (reading.epoch, reading.newest_seq):
                return reading  # else somebody held a transponder to it
        raise NotReady(
            f"lock {reading.lock} goes on recording (record {status.newest_seq}): begin again at a quieter time; where "
            "its chambers were switched on again, take back what the cloud wants: `cloud-sink lock desire "
            f"{reading.lock} enable_mask 0 --config FILE`"
        )

    def _is_at_rest(self) -> bool:
        return self._driver.read_status().state in (State.LOCKED, State.OUT_OF_SERVICE, State.MAINTENANCE)

    def _unlock(self, lock: str, mask: int) -> None:
        try:
            self._driver.enable_chambers(mask)
        except BusError as error:
            raise NotReady(
                f"lock {lock} stays locked ({error}): begin again, or switch its chambers on from the cloud"
            ) from error

    def _note(self, code: str, **values: str | int) -> None:
        self.notes.append(Finding(code=code, values=values))
