"""`edge-agent spool import`: receipts and old journals that come back to the gateway by hand.

    receipts   what `cloud-sink import` answered: signed by the cloud; the agent may forget what they cover
    archive    what another card's `spool export` wrote: its pages go to the ledger from here
    spool      another card's spool itself, also a damaged one

All of it is laid beside the spool for the agent, which takes it up within seconds, or when it is started next.
"""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge_agent.config import AgentConfig
from edge_agent.errors import NotReady, NotTaken, SpoolCorrupt, SpoolUnavailable
from edge_agent.identity import IdentityStore
from edge_agent.orders.trust import OrderTrust
from edge_agent.receipt_drop import ReceiptDrop, own_like
from edge_agent.spool_opening import brought_path, sync_directory
from edge_agent.spool_reader import JournalView, SpoolReader, open_for_reading
from edge_agent.spool_receipts import Verdict, judge_receipt
from edge_agent.spool_room import DATABASE_ERRORS, named_error
from edge_agent.spool_schema import connect, migrate
from edge_agent.technician.signing import check_own_archive
from wastelock.archive import archived_pages, read_lines
from wastelock.page import SigningKey, page_hash
from wastelock.signed_file import InvalidFile, Receipts, check_signature, read_file
from wastelock.topics import GatewayTopics

SQLITE_MAGIC = b"SQLite format 3\0"
_FREE_BYTES = 16 * 1024 * 1024
_COPIED_AT_ONCE = 1024 * 1024
_TO_THE_CLOUD = "`edge-agent spool export --spool FILE --to DIR`, and import that in the cloud"
_INSERT_JOURNAL = """
INSERT INTO journal (uuid, gateway, site, state, reason, began_at) VALUES (?, ?, ?, 'retired', 'brought along', 0)
    RETURNING id
"""
_INSERT_PAGE = """
INSERT INTO page (journal, page, sealed_at, records, hash, kid, signature, payload) VALUES (?, ?, 0, 0, ?, ?, ?, ?)
"""


@dataclass(frozen=True, slots=True)
class Brought:
    """What was laid down for the agent. `notes`: what each part of it will do."""

    what: str
    notes: tuple[str, ...]


class Bringing:
    """Brings files to one gateway. Raises NotTaken where one isn't for it or can't be believed."""

    def __init__(self, config: AgentConfig, now: Callable[[], datetime]) -> None:
        self._config = config
        self._spool = config.spool.path
        self._topics = GatewayTopics(config.gateway.site, config.gateway.id)
        self._now = now

    def receipts(self, content: bytes, *, unsigned: bool) -> Brought:
        """Bring what the ledger says that it has. `unsigned`: believe it whoever has signed it."""
        try:
            file = read_file(content, "receipts")
            receipts = Receipts.model_validate_json(file.body)
            if not unsigned:
                check_signature(file, self._topics.receipts_file, self._order_keys().get)
        except InvalidFile as error:
            raise NotTaken(
                f"these receipts aren't believed: this file {error}. A gateway forgets pages by receipts, so they "
                "have to be signed with an order key of the cloud's; --unsigned takes them on your word"
            ) from error
        except ValueError as error:
            raise NotTaken(
                "this file of receipts can't be read: import the archive in the cloud once more"
            ) from error
        if (receipts.site, receipts.gateway) != (self._topics.site, self._topics.gateway):
            raise NotTaken(f"these receipts are for gateway {receipts.gateway}, site {receipts.site}")
        notes = self._judge(receipts)
        self._lay(lambda: ReceiptDrop(self._spool).put(receipts))
        return Brought("receipts", notes)

    def archive(self, file: Path, key: SigningKey, *, another_key: bool) -> Brought:
        """Bring an archive of an older journal. `another_key`: it is signed with a key that this gateway hasn't."""
        manifest = check_own_archive(file, key, another_key=another_key)
        if (manifest.site, manifest.gateway) != (self._topics.site, self._topics.gateway):
            raise NotTaken(f"{file}: is of gateway {manifest.gateway}, site {manifest.site}, not of this one")
        own = self._own_journals()
        in_use = {uuid for uuid, view in own.items() if view.state != "retired"}
        taken = [each.journal for each in manifest.journals if each.journal not in in_use]
        if not taken:
            raise NotTaken(
                f"{file}: holds only pages of a journal that is in use here: they are here already; what isn't goes to "
                "the cloud from this file: cloud-sink import"
            )
        self._need_room(file)

        def make() -> None:
            target = brought_path(self._spool, self._now())
            passing = target.with_name(f".{target.name}.part")
            try:
                with file.open("rb") as opened:
                    _write_spool(passing, self._topics, opened, set(taken))
                own_like(passing, self._spool.parent)
                passing.replace(target)
                sync_directory(target.parent)
            finally:
                for suffix in ("", "-wal", "-shm"):
                    passing.with_name(passing.name + suffix).unlink(missing_ok=True)

        self._lay(make)
        spans = [span for each in manifest.journals if each.journal in taken for span in each.pages]
        pages = sum(last - first + 1 for first, last in spans)
        return Brought("archive", (f"{pages} pages of {len(taken)} journals go to the ledger from here",))

    def spool(self, file: Path) -> Brought:
        """Bring another card's spool; what in it is damaged doesn't matter, each page proves itself."""
        if file.resolve() == self._spool.resolve():
            raise NotTaken(f"{file}: is the spool in use")
        self._need_room(file)
        left = self._left_to_the_cloud(file)

        def copy() -> None:
            target = brought_path(self._spool, self._now())
            log, passing = file.with_name(file.name + "-wal"), target.with_name(f".{target.name}.part")
            log_here = target.with_name(target.name + "-wal")
            try:
                if log.exists():
                    _copy(log, log_here)
                _copy(file, passing)
                passing.replace(target)
                sync_directory(target.parent)
            finally:
                passing.unlink(missing_ok=True)
                if not target.exists():
                    log_here.unlink(missing_ok=True)

        self._lay(copy)
        taken = f"what gateway {self._topics.gateway} sealed in it goes to the ledger from here"
        return Brought("spool", (taken, *left))

    def _order_keys(self) -> dict[str, Ed25519PublicKey]:
        identity = self._config.identity
        store = None if identity is None else IdentityStore(identity.directory)
        return dict(OrderTrust(self._config.orders.keys, store).keys())

    def _judge(self, receipts: Receipts) -> tuple[str, ...]:
        """Return what each receipt will do here."""
        if not self._spool.exists():
            raise NotReady(f"{self._spool} isn't there yet: let the agent run once, then bring the receipts")
        notes = []
        with closing(open_for_reading(self._spool)) as connection:
            for receipt in receipts.receipts:
                try:
                    judgement = judge_receipt(connection, receipt, by_hand=True)
                except DATABASE_ERRORS as error:
                    raise named_error(error, self._spool) from error
                told = f"journal {receipt.journal}: the ledger has all up to page {receipt.committed_through}"
                if judgement.verdict is not Verdict.ACCEPTED:
                    told += f"; {judgement.verdict.value}: {judgement.why}"
                notes.append(told)
        return tuple(notes)

    def _left_to_the_cloud(self, file: Path) -> tuple[str, ...]:
        """Return what of another card's spool isn't taken over here; NotTaken where that is all of it."""
        try:
            with closing(SpoolReader(file)) as reader:
                views = reader.journals()
        except (SpoolCorrupt, SpoolUnavailable):
            return ()  # it is damaged: each page that is whole will say whose it is
        if views and all(view.gateway != self._topics.gateway for view in views):
            raise NotTaken(
                f"{file}: is the spool of gateway {views[0].gateway}, not of this one: {_TO_THE_CLOUD}"
            )
        own = self._own_journals()
        here = [view.uuid for view in views if view.uuid in own and own[view.uuid].state != "retired"]
        if views and len(here) == len(views):
            raise NotTaken(f"{file}: its journals are in use here, too, a copy of this card: {_TO_THE_CLOUD}")
        return tuple(
            f"journal {uuid} is in use here, too, and isn't taken over: {_TO_THE_CLOUD}" for uuid in here
        )

    def _own_journals(self) -> dict[str, JournalView]:
        if not self._spool.exists():
            return {}
        with closing(SpoolReader(self._spool)) as reader:
            return {view.uuid: view for view in reader.journals()}

    def _need_room(self, file: Path) -> None:
        try:
            needed = file.stat().st_size + _FREE_BYTES
            free = shutil.disk_usage(self._spool.parent).free
        except OSError as error:
            raise NotTaken(f"{file}: can't be read ({error.strerror}): is the stick mounted?") from error
        if free < needed:
            raise NotReady(
                f"{self._spool.parent}: {free // 2**20} MiB are free, {needed // 2**20} are needed: make room first"
            )

    def _lay(self, down: Callable[[], object]) -> None:
        try:
            down()
        except OSError as error:
            raise NotReady(
                f"{self._spool.parent}: can't be written ({error.strerror}): run this as root: sudo edge-agent …"
            ) from error
        except sqlite3.Error as error:
            raise named_error(error, self._spool) from error


def _copy(source: Path, target: Path) -> None:
    """Copy a file beside the spool; it is on the disk when this returns."""
    with source.open("rb") as reading, target.open("xb") as writing:
        shutil.copyfileobj(reading, writing, _COPIED_AT_ONCE)
        writing.flush()
        os.fsync(writing.fileno())
    own_like(target, target.parent)


def _write_spool(target: Path, topics: GatewayTopics, archive: BinaryIO, journals: set[str]) -> None:
    """Write an archive's pages as a spool, from which the agent takes them over as from any old one."""
    database = connect(target)
    try:
        migrate(database)
        numbers: dict[str, int] = {}
        with database.atomic():
            for page in archived_pages(read_lines(archive)):
                header = page.header
                if header.journal not in journals:
                    continue
                if header.journal not in numbers:
                    row = database.conn.execute(
                        _INSERT_JOURNAL, (header.journal, topics.gateway, topics.site)
                    )
                    numbers[header.journal] = row.fetchone()[0]
                signed = (page_hash(page.payload), page.kid, page.signature, page.payload)
                database.conn.execute(_INSERT_PAGE, (numbers[header.journal], header.page, *signed))
        # All of it in the one file that is laid down.
        database.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        database.close()
