"""`cloud-sink import` of protocols: what a technician proved at a lock, signed by the gateway, moves it along its life.

    signature of the gateway ──▶ registers in it against the ledger's entries ──▶ lifecycle, with the protocol as reason

Taking it twice does nothing the second time but compare the registers again: entries may have come since.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from hashlib import sha256
from pathlib import Path

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.engine import Connection

from cloud_sink.errors import InputRejected, NotPossible
from cloud_sink.keys import KeyRing
from cloud_sink.ledger.database import Database
from cloud_sink.ledger.tables import entries, locks
from cloud_sink.operating import Author, Operations
from cloud_sink.operator_events import SubjectKind
from cloud_sink.projections.twins.lifecycle import Lifecycle, moves_from
from wastelock.page import format_instant, parse_instant
from wastelock.protocol import Protocol, ProtocolKind, Reading, Source
from wastelock.record import Kind
from wastelock.signed_file import SIGNED_FILE_BYTES_MAX, InvalidFile, check_signature, read_file
from wastelock.topics import GatewayTopics, InvalidTopic

_ENDED = re.compile(r"; ended (\S+);")  # in a protocol's note

_WITH_REGISTER = (Kind.POUR, Kind.REGISTER_REPORT)


@dataclass(slots=True)
class ImportedProtocol:
    """What came of it. `moved`: locks and where they are now; `agreeing`: registers that the ledger shows as well.

    `differing`: where protocol and ledger contradict each other; `waiting`: what can't be compared or done yet;
    `overtaken`: locks that it moves nowhere, since that was decided anew after it was made.
    """

    file: str
    reference: str
    kind: str
    site: str
    gateway: str
    passed: bool
    known: bool = False
    moved: dict[str, str] = field(default_factory=dict)
    agreeing: int = 0
    differing: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    overtaken: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """True if nothing contradicts the ledger, and nothing is left to be done."""
        return not (self.differing or self.waiting)


class ImportingProtocols:
    """Takes protocols into a ledger."""

    def __init__(
        self, database: Database, operations: Operations, keys: KeyRing, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._operations = operations
        self._keys = keys
        self._clock = clock

    def take(self, file: Path) -> ImportedProtocol:
        """Take a protocol in; InputRejected where it isn't one of a gateway that is known."""
        protocol, digest = self._read(file)
        imported = ImportedProtocol(
            str(file),
            protocol.reference,
            protocol.kind.value,
            protocol.site,
            protocol.gateway,
            protocol.passed,
        )
        with self._database.reading() as connection:
            for reading in (*protocol.opening, *protocol.closing):
                _compare(connection, reading, imported)
        self._decide(protocol, digest, imported)
        return imported

    def _read(self, file: Path) -> tuple[Protocol, str]:
        try:
            with file.open("rb") as opened:
                content = opened.read(SIGNED_FILE_BYTES_MAX)
            signed = read_file(content, "protocol")
            protocol = Protocol.model_validate_json(signed.body)
            topics = GatewayTopics(protocol.site, protocol.gateway)
            ring = self._keys.gateways.get((protocol.site, protocol.gateway), {})
            check_signature(signed, topics.protocol_file, ring.get)
        except OSError as error:
            raise InputRejected([f"{file}: can't be read ({error.strerror}): name another file"]) from error
        except InvalidFile as error:
            raise InputRejected(
                [f"{file}: this file {error}: expected what `edge-agent commission` and its like have written, at a "
                 "gateway that is known here (docs/operations-keys.md)"]
            ) from error  # fmt: skip
        except (ValidationError, InvalidTopic) as error:
            raise InputRejected(
                [f"{file}: isn't a protocol that this release can read: upgrade first"]
            ) from error
        return protocol, sha256(signed.body.encode()).hexdigest()

    def _decide(self, protocol: Protocol, digest: str, imported: ImportedProtocol) -> None:
        """Move the locks along, and note the protocol where it belongs."""
        author = Author(protocol.technician, f"protocol {protocol.reference}")
        for lock, to in _moves(protocol):
            if self._operations.has_note(SubjectKind.LOCK, lock, f"protocol {protocol.reference}:"):
                imported.known = True
                continue
            try:
                self._inherit(protocol, lock, author)
                self._check_site(protocol, lock)
                later = self._decided_later(protocol, lock)
                if later is None:
                    step = partial(_next_step, to, protocol.passed)
                    imported.moved[lock] = self._operations.advance(lock, step, author).value
                else:
                    imported.overtaken.append(later)
                self._operations.note(SubjectKind.LOCK, lock, _note(protocol, digest), author)
            except NotPossible as error:
                imported.waiting.append(f"{error}; then import this protocol again")
        if protocol.kind is ProtocolKind.GATEWAY_REPLACEMENT:
            self._note_gateway(protocol, digest, author, imported)

    def _note_gateway(
        self, protocol: Protocol, digest: str, author: Author, imported: ImportedProtocol
    ) -> None:
        subject = f"{protocol.site}/{protocol.gateway}"
        if self._operations.has_note(SubjectKind.GATEWAY, subject, f"protocol {protocol.reference}:"):
            imported.known = True
            return
        try:
            self._operations.note(SubjectKind.GATEWAY, subject, _note(protocol, digest), author)
        except NotPossible as error:
            imported.waiting.append(f"{error}: nothing was heard of it yet; import this protocol again then")

    def _inherit(self, protocol: Protocol, lock: str, author: Author) -> None:
        """A controller that takes another's place stands where that stood, until somebody describes it otherwise."""
        if protocol.kind is not ProtocolKind.CONTROLLER_REPLACEMENT or not protocol.closing:
            return
        if lock != protocol.opening[0].lock or self._operations.description(lock) is not None:
            return
        self._check_site(protocol, protocol.closing[0].lock)
        before = self._operations.description(protocol.closing[0].lock)
        if before is not None:
            self._operations.describe_locks({lock: before}, author)

    def _check_site(self, protocol: Protocol, lock: str) -> None:
        """A gateway moves the locks of its own site, no others. NotPossible where all that is known says otherwise."""
        sites = self._operations.sites(lock)
        if sites and protocol.site not in sites:
            raise NotPossible(
                f"lock {lock} belongs to site {', '.join(sorted(sites))}, and was never heard at {protocol.site}: if "
                f"it hangs there now, `cloud-sink lock describe {lock} --site {protocol.site}`"
            )

    def _decided_later(self, protocol: Protocol, lock: str) -> str | None:
        """Return what was decided about a lock after this protocol was made, None if nothing was.

        Another protocol counts from when it was made: protocols may come late, and in any order.
        """
        last = self._operations.last_move(lock)
        if last is None:
            return None
        at = last.at
        if last.reason.startswith("protocol "):
            note = self._operations.note_beginning(SubjectKind.LOCK, lock, f"{last.reason}:")
            ended = _ENDED.search(note or "")
            at = parse_instant(ended[1]) if ended else at
        if at <= protocol.ended_at:
            return None
        by = last.reason or last.actor
        return f"lock {lock} was moved at {format_instant(at)} ({by}), after this protocol was made"


def _next_step(to: Lifecycle, passed: bool, now: Lifecycle) -> Lifecycle | None:
    """Return where a lock goes next on its way to where it should be, None if it stays.

    What hasn't passed goes no further than commissioning, and a lock that serves already goes on serving.
    """
    if not passed:
        return Lifecycle.COMMISSIONING if now is Lifecycle.PLANNED else None
    if now is to or (to is Lifecycle.IN_SERVICE and now in (Lifecycle.DEGRADED, Lifecycle.OUT_OF_SERVICE)):
        return None
    if to in moves_from(now):
        return to
    # What comes back after it was taken down is another installation.
    return Lifecycle.PLANNED if now is Lifecycle.DECOMMISSIONED else Lifecycle.COMMISSIONING


def _moves(protocol: Protocol) -> list[tuple[str, Lifecycle]]:
    """Return which locks it brings where."""
    match protocol.kind:
        case ProtocolKind.COMMISSIONING:
            return [(reading.lock, Lifecycle.IN_SERVICE) for reading in protocol.closing]
        case ProtocolKind.DECOMMISSIONING:
            return [(reading.lock, Lifecycle.DECOMMISSIONED) for reading in protocol.closing]
        case ProtocolKind.CONTROLLER_REPLACEMENT:
            old = [(reading.lock, Lifecycle.DECOMMISSIONED) for reading in protocol.closing]
            return [(reading.lock, Lifecycle.COMMISSIONING) for reading in protocol.opening] + old
        case ProtocolKind.GATEWAY_REPLACEMENT:
            return []


def _note(protocol: Protocol, digest: str) -> str:
    result = f"{'passed' if protocol.passed else 'not passed'}; ended {format_instant(protocol.ended_at)}"
    readings = "; ".join(
        f"lock {reading.lock} "
        + ", ".join(f"chamber {each.number} register {each.register_count}" for each in reading.chambers)
        for reading in (*protocol.opening, *protocol.closing)
    )
    text = f"protocol {protocol.reference}: {protocol.kind.value}, {result}; SHA-256 {digest}; {readings}"
    return text[:2000]


def _compare(connection: Connection, reading: Reading, imported: ImportedProtocol) -> None:
    """Compare a reading's registers with the ledger's last record of each chamber up to it."""
    if reading.driver != "wlc-1" or reading.source is Source.SPOOL:
        return  # a bare counter's journal is another in each program; a disk's records are the ledger's own
    e = entries.c
    mine = (
        sa.select(e.register_after)
        .join(locks, locks.c.lock_no == e.lock_no)
        .where(locks.c.lock == reading.lock, e.epoch == reading.epoch, e.seq <= reading.newest_seq)
        .where(e.unverified == 0)
        .order_by(e.seq.desc())
        .limit(1)
    )
    newest = connection.scalar(mine.with_only_columns(e.seq))
    if reading.newest_seq and newest != reading.newest_seq:
        imported.waiting.append(
            f"lock {reading.lock}: record {reading.newest_seq} of epoch {reading.epoch} isn't in the ledger yet "
            f"(newest: {newest or 'none'}): registers are compared when this protocol is imported again"
        )
        return
    for chamber in reading.chambers:
        found = connection.scalar(mine.where(e.chamber == chamber.number, e.kind.in_(_WITH_REGISTER)))
        if found is None:
            continue  # no record of this chamber yet: nothing to compare with
        if found == chamber.register_count:
            imported.agreeing += 1
        else:
            imported.differing.append(
                f"lock {reading.lock} chamber {chamber.number}: the protocol has register {chamber.register_count} at "
                f"record {reading.newest_seq}, the ledger {found}: have the controller checked (`cloud-sink reconcile`)"
            )
