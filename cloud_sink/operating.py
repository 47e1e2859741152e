"""What people do to sites, locks and gateways: one function each, for the command line and for whoever serves pages.

    describe_site  describe_lock  describe_locks  move  advance  wish  acknowledge  note

Each is one transaction of the ledger.

What isn't possible raises NotPossible, what isn't right InputRejected; then nothing was written. What is said already
isn't written again.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.engine import Connection

from cloud_sink.errors import InputRejected, NotPossible
from cloud_sink.ledger import latest_reports
from cloud_sink.ledger.instants import to_ms
from cloud_sink.ledger.opening import open_ledger
from cloud_sink.ledger.operator_events import Decision, OperatorEvent, add_events, events_of, last_bodies
from cloud_sink.ledger.tables import entries, gateway_reports, journals, locks, pages
from cloud_sink.operator_events import (
    Acknowledgement,
    Body,
    EventKind,
    LockDescription,
    Move,
    Note,
    SiteDescription,
    SubjectKind,
    Wish,
    check_subject,
)
from cloud_sink.projections.twins.lifecycle import (
    IllegalMove,
    Lifecycle,
    LifecycleEvent,
    check_move,
    settle,
)

B = TypeVar("B", SiteDescription, LockDescription)
_NOTES_LOOKED_AT = 200


@dataclass(frozen=True, slots=True)
class Author:
    """Who does something, and why."""

    actor: str
    reason: str = ""


class Effect(StrEnum):
    """What a description does to what stands."""

    ADDED = "added"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class DescribedLock:
    """A lock that was described or heard of. `lifecycle`: as decided, and whether it was ever heard."""

    lock: str
    lifecycle: Lifecycle
    gateway: str | None
    description: LockDescription | None


class Operations:
    """Writes decisions into the ledger. Several threads and processes may; each call has a connection of its own."""

    def __init__(self, url: str, clock: Callable[[], datetime]) -> None:
        """`url`: the ledger's. ConfigError if there is none of this release's schema."""
        self._database = open_ledger(url)
        self._clock = clock

    def close(self) -> None:
        self._database.close()

    def describe_site(self, site: str, changes: Mapping[str, Any], author: Author) -> Effect:
        """Describe a site. `changes`: fields of SiteDescription; all others stay as they are."""
        _check(SubjectKind.SITE, site)
        with self._database.writing() as connection:
            before = _described(connection, SubjectKind.SITE, site)
            body = _validated(SiteDescription, before, changes)
            return self._describe(connection, SubjectKind.SITE, {site: body}, author)[site]

    def describe_lock(self, lock: str, changes: Mapping[str, Any], author: Author) -> Effect:
        """Describe a lock. `changes`: fields of LockDescription; all others stay as they are.

        Where no site is told, it is that of the gateway that the lock was heard through.
        """
        _check(SubjectKind.LOCK, lock)
        with self._database.writing() as connection:
            before = _described(connection, SubjectKind.LOCK, lock)
            heard = latest_reports.lock(connection, lock)
            assumed = {"site": heard[0]} if before is None and heard is not None else {}
            body = _validated(LockDescription, before, {**assumed, **changes})
            return self._describe(connection, SubjectKind.LOCK, {lock: body}, author)[lock]

    def describe_locks(
        self, descriptions: Mapping[str, LockDescription], author: Author, dry_run: bool = False
    ) -> dict[str, Effect]:
        """Describe many locks at once, all or none; return what that does, or with `dry_run` would do, to each."""
        for lock in descriptions:
            _check(SubjectKind.LOCK, lock)
        if dry_run:
            with self._database.reading() as connection:
                return _effects(connection, SubjectKind.LOCK, descriptions)
        with self._database.writing() as connection:
            return self._describe(connection, SubjectKind.LOCK, descriptions, author)

    def move(self, lock: str, to: str, author: Author) -> None:
        """Move a lock along its lifecycle; NotPossible says where it can go from where it is."""
        try:
            body = Move(to=to)
        except ValidationError as error:
            raise InputRejected(_problems(error)) from None
        with self._database.writing() as connection:
            self._require(connection, SubjectKind.LOCK, lock)
            self._step(connection, lock, body, author)

    def advance(
        self, lock: str, next_step: Callable[[Lifecycle], Lifecycle | None], author: Author
    ) -> Lifecycle:
        """Move a lock step by step, all of them or none; return where it is then.

        `next_step`: is told where the lock stands, which after a step may be further than that led: what was heard of
        counts. It returns where to go from there, None: nowhere. NotPossible as `move`.
        """
        with self._database.writing() as connection:
            self._require(connection, SubjectKind.LOCK, lock)
            for _ in Lifecycle:
                to = next_step(_lifecycle(connection, lock))
                if to is None:
                    break
                self._step(connection, lock, Move(to=to.value), author)
            return _lifecycle(connection, lock)

    def wish(self, kind: SubjectKind, subject: str, fields: Mapping[str, Any], author: Author) -> Wish:
        """Say what a property should be. `fields`: those of Wish; value None takes the wish back."""
        try:
            body = Wish.model_validate(dict(fields))
        except ValidationError as error:
            raise InputRejected(_problems(error)) from None
        self._decide(kind, subject, body, author)
        return body

    def acknowledge(self, kind: SubjectKind, subject: str, alarm_id: str, author: Author) -> None:
        """Say that an alarm was seen; `kind` and `subject`: whom the alarm is about."""
        _check(kind, subject)
        body = Acknowledgement(alarm_id=alarm_id)
        with self._database.writing() as connection:
            self._add(connection, Decision(kind, subject, body, author.actor, author.reason))

    def note(self, kind: SubjectKind, subject: str, text: str, author: Author) -> None:
        """Keep a note."""
        try:
            body = Note(text=text)
        except ValidationError as error:
            raise InputRejected(_problems(error)) from None
        self._decide(kind, subject, body, author)

    def lifecycle(self, lock: str) -> Lifecycle:
        """Return where people, or that it was heard of, have a lock stand."""
        _check(SubjectKind.LOCK, lock)
        with self._database.reading() as connection:
            return _lifecycle(connection, lock)

    def last_move(self, lock: str) -> OperatorEvent | None:
        """Return the last decision where a lock stands, None where nobody has decided."""
        _check(SubjectKind.LOCK, lock)
        with self._database.reading() as connection:
            found = events_of(connection, SubjectKind.LOCK, lock, EventKind.LIFECYCLE)
        return found[0] if found else None

    def sites(self, lock: str) -> set[str]:
        """Return to which sites a lock belongs: as it is described, as it was heard last, as its records came."""
        _check(SubjectKind.LOCK, lock)
        came = (
            sa.select(journals.c.site)
            .join(pages, pages.c.journal_no == journals.c.journal_no)
            .join(entries, entries.c.page_no == pages.c.page_no)
            .join(locks, locks.c.lock_no == entries.c.lock_no)
            .where(locks.c.lock == lock)
            .distinct()
        )
        with self._database.reading() as connection:
            found = set(connection.scalars(came))
            body = _described(connection, SubjectKind.LOCK, lock)
            heard = latest_reports.lock(connection, lock)
        return (
            found
            | ({body.site} if isinstance(body, LockDescription) else set())
            | set(heard[:1] if heard else ())
        )

    def description(self, lock: str) -> LockDescription | None:
        """Return how a lock is described, None if it isn't."""
        _check(SubjectKind.LOCK, lock)
        with self._database.reading() as connection:
            body = _described(connection, SubjectKind.LOCK, lock)
        return body if isinstance(body, LockDescription) else None

    def has_note(self, kind: SubjectKind, subject: str, beginning: str) -> bool:
        """True if one of the newest notes on this subject begins so."""
        return self.note_beginning(kind, subject, beginning) is not None

    def note_beginning(self, kind: SubjectKind, subject: str, beginning: str) -> str | None:
        """Return the newest note on this subject that begins so, None where there is none."""
        _check(kind, subject)
        with self._database.reading() as connection:
            events = events_of(connection, kind, subject, EventKind.NOTE, _NOTES_LOOKED_AT)
        texts = (each.body.text for each in events if isinstance(each.body, Note))
        return next((text for text in texts if text.startswith(beginning)), None)

    def locks(self) -> list[DescribedLock]:
        """Return all locks that were described or heard of, sorted by name."""
        with self._database.reading() as connection:
            described = last_bodies(connection, SubjectKind.LOCK, EventKind.DESCRIBED)
            moved = last_bodies(connection, SubjectKind.LOCK, EventKind.LIFECYCLE)
            through = latest_reports.gateways_of_locks(connection)
            known = set(connection.scalars(sa.select(locks.c.lock)))
        names = sorted({*described, *moved, *through, *known}, key=lambda name: (len(name), name))
        return [
            DescribedLock(
                name,
                _settled(moved.get(name), name in through or name in known),
                through.get(name),
                body if isinstance(body := described.get(name), LockDescription) else None,
            )
            for name in names
        ]

    def _step(self, connection: Connection, lock: str, body: Move, author: Author) -> None:
        try:
            check_move(_lifecycle(connection, lock), Lifecycle(body.to))
        except IllegalMove as error:
            raise NotPossible(f"lock {lock}: {error}") from None
        self._add(connection, Decision(SubjectKind.LOCK, lock, body, author.actor, author.reason))

    def _decide(self, kind: SubjectKind, subject: str, body: Body, author: Author) -> None:
        with self._database.writing() as connection:
            self._require(connection, kind, subject)
            self._add(connection, Decision(kind, subject, body, author.actor, author.reason))

    def _describe(
        self, connection: Connection, kind: SubjectKind, bodies: Mapping[str, Body], author: Author
    ) -> dict[str, Effect]:
        effects = _effects(connection, kind, bodies)
        news = [
            Decision(kind, subject, body, author.actor, author.reason)
            for subject, body in bodies.items()
            if effects[subject] is not Effect.UNCHANGED
        ]
        self._add(connection, *news)
        return effects

    def _add(self, connection: Connection, *decisions: Decision) -> None:
        refuse_nul(part for each in decisions for part in (each.reason, each.body.model_dump()))
        add_events(connection, decisions, to_ms(self._clock()))

    def _require(self, connection: Connection, kind: SubjectKind, subject: str) -> None:
        """Raise NotPossible unless somebody has described the subject, or something was heard of it."""
        _check(kind, subject)
        if _is_known(connection, kind, subject) or events_of(connection, kind, subject, EventKind.DESCRIBED):
            return
        remedy = (
            ""
            if kind is SubjectKind.GATEWAY
            else f"; describe it first: `cloud-sink {kind} describe {subject}`"
        )
        raise NotPossible(f"no {kind} {subject} is known{remedy}")


def refuse_nul(parts: Iterable[object]) -> None:
    """Raise InputRejected if text in these holds NUL: PostgreSQL keeps no such text, so twins could never hold it."""
    if any(map(_holds_nul, parts)):
        raise InputRejected(["the text holds the character NUL (code 0): take it out"])


def _holds_nul(value: object) -> bool:
    match value:
        case str():
            return "\0" in value
        case dict():
            return any(map(_holds_nul, value.values()))
    return False


def _check(kind: SubjectKind, subject: str) -> None:
    try:
        check_subject(kind, subject)
    except ValueError as error:
        raise InputRejected([str(error)]) from None


def _is_known(connection: Connection, kind: SubjectKind, subject: str) -> bool:
    match kind:
        case SubjectKind.LOCK:
            return _is_heard(connection, subject)
        case SubjectKind.SITE:
            query = sa.select(journals.c.site).where(journals.c.site == subject)
            reported = sa.select(gateway_reports.c.site).where(gateway_reports.c.site == subject)
        case SubjectKind.GATEWAY:
            site, _, gateway = subject.partition("/")
            query = sa.select(journals.c.site).where(journals.c.site == site, journals.c.gateway == gateway)
            g = gateway_reports.c
            reported = sa.select(g.site).where(g.site == site, g.gateway == gateway)
    return any(connection.scalar(each.limit(1)) is not None for each in (query, reported))


def _is_heard(connection: Connection, lock: str) -> bool:
    in_ledger = connection.scalar(sa.select(locks.c.lock_no).where(locks.c.lock == lock))
    return in_ledger is not None or latest_reports.lock(connection, lock) is not None


def _lifecycle(connection: Connection, lock: str) -> Lifecycle:
    last = events_of(connection, SubjectKind.LOCK, lock, EventKind.LIFECYCLE)
    return _settled(last[0].body if last else None, _is_heard(connection, lock))


def _settled(moved: Body | None, heard: bool) -> Lifecycle:
    """Where people have a lock stand. How well it serves is its twin's: the same moves are possible from there."""
    decided = Lifecycle(moved.to) if isinstance(moved, Move) else None
    return settle(decided, LifecycleEvent.SEEN if heard else None)


def _described(connection: Connection, kind: SubjectKind, subject: str) -> Body | None:
    found = events_of(connection, kind, subject, EventKind.DESCRIBED)
    return found[0].body if found else None


def _effects(connection: Connection, kind: SubjectKind, bodies: Mapping[str, Body]) -> dict[str, Effect]:
    standing = last_bodies(connection, kind, EventKind.DESCRIBED)
    effects = {}
    for subject, body in bodies.items():
        before = standing.get(subject)
        changed = Effect.UNCHANGED if before == body else Effect.CHANGED
        effects[subject] = Effect.ADDED if before is None else changed
    return effects


def _validated(model: type[B], before: Body | None, changes: Mapping[str, Any]) -> B:
    fields = {} if before is None else before.model_dump()
    try:
        return model.model_validate({**fields, **changes})
    except ValidationError as error:
        raise InputRejected(_problems(error)) from None


def _problems(error: ValidationError) -> Sequence[str]:
    return [_explain(problem) for problem in error.errors()]


def _explain(problem: Any) -> str:
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "missing":
        return f"{name} is missing: give it"
    message = problem["msg"].removeprefix("Value error, ")
    # A name that can't be one is told by the check itself, with the field's name.
    return message if not name or message.startswith(f"{name} ") else f"{name}: {message}"
