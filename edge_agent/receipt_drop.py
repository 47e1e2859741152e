"""Receipts that came by hand: `edge-agent spool import` lays them beside the spool, the agent takes them up from there.

Only who may write beside the spool can lay one down, and such a one could change the spool itself: whose word it is was
checked by whoever laid it down.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import structlog
from pydantic import ValidationError

from edge_agent.spool_opening import sync_directory
from wastelock.messages import Receipt
from wastelock.signed_file import Receipts

LOOK_S = 2.0
_FILES_MAX = 100
_BYTES_MAX = 4 * 1024 * 1024

_log = structlog.get_logger(__name__)


class ReceiptDrop:
    """The place beside one spool. `put` and `take` are called by different programs."""

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self._looked_at_s = -LOOK_S
        self._left: set[Path] = set()  # what can't be read or taken away: told once, then left alone

    def put(self, receipts: Receipts) -> Path:
        """Lay receipts down, whole or not at all; OSError where that can't be."""
        target = self._spool.with_name(f"{self._spool.name}.receipts-{uuid4().hex}")
        passing = target.with_name(f".{target.name}.part")
        try:
            with passing.open("xb") as file:
                file.write(receipts.to_json())
                file.flush()
                os.fsync(file.fileno())
            own_like(passing, self._spool.parent)
            passing.replace(target)
            sync_directory(target.parent)
        finally:
            passing.unlink(missing_ok=True)
        return target

    def due(self, now_s: float) -> list[Path]:
        """Return what lies there, oldest name first; looks at most every LOOK_S (`now_s`: monotonic)."""
        if now_s - self._looked_at_s < LOOK_S:
            return []
        self._looked_at_s = now_s
        prefix = f"{self._spool.name}.receipts-"
        try:
            names = sorted(name for name in os.listdir(self._spool.parent) if name.startswith(prefix))  # noqa: PTH208
        except OSError as error:
            _log.warning("can't look for receipts that came by hand", why=error.strerror)
            return []
        lying = [self._spool.with_name(name) for name in names]
        self._left.intersection_update(lying)
        return [file for file in lying if file not in self._left][:_FILES_MAX]

    def read(self, file: Path) -> Sequence[Receipt] | None:
        """Return what a file says, nothing where that is no receipts; None where it can't be read: it is left there."""
        try:
            with file.open("rb") as opened:
                return Receipts.model_validate_json(opened.read(_BYTES_MAX)).receipts
        except OSError as error:
            self._leave(file, error)
            return None
        except ValidationError as error:
            _log.warning("receipts that came by hand can't be read", file=str(file), why=type(error).__name__)
            return ()

    def done(self, file: Path) -> None:
        """Take away a file whose receipts were noted."""
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            self._leave(file, error)

    def _leave(self, file: Path, error: OSError) -> None:
        self._left.add(file)
        _log.warning(
            "receipts that came by hand can't be read or taken away: delete them, and import them once more",
            file=str(file),
            why=error.strerror,
        )


def own_like(file: Path, directory: Path) -> None:
    """Give a file that root has made beside the spool to whose the spool is, so that the agent may read it."""
    if os.geteuid() == 0:
        owner = directory.stat()
        os.chown(file, owner.st_uid, owner.st_gid)
    file.chmod(0o640)
