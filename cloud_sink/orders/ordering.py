"""The door to orders, for the command line and for whoever serves pages: each function is one transaction.

    request_command  withdraw  command  commands            once, soon, answered
    set_access_list  access_list  access_lists  add_transponders       lasting

What isn't possible raises NotPossible, what isn't right InputRejected; then nothing was written. What is so already
isn't written again. Sending is the sink's (`cloud_sink.orders.sending`): whoever comes through here never waits for it.
"""

import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from cloud_sink.errors import InputRejected, NotPossible
from cloud_sink.ledger import access_lists, commands, latest_reports
from cloud_sink.ledger.command_wishes import take_back_wish
from cloud_sink.ledger.instants import to_ms
from cloud_sink.ledger.opening import open_ledger
from cloud_sink.ledger.operator_events import Decision, add_events
from cloud_sink.operating import Author, refuse_nul
from cloud_sink.operator_events import Ordered, SubjectKind, Wish, WishedProperty, Withdrawn, check_subject
from cloud_sink.orders.model import (
    AccessList,
    AccessListEffect,
    AccessListView,
    Action,
    CommandView,
    ListedTransponder,
    TransponderEffect,
)
from cloud_sink.pseudonyms import PSEUDONYM_BYTES, Pseudonyms
from wastelock.orders import MOST_ENTRIES

DEFAULT_TTL_S = 600
LONGEST_TTL_S = 86_400
_SHORTEST_TTL_S = 10
_LIST_DEADLINE = timedelta(minutes=10)
_OPEN_MAX = 20  # commands to one lock that may be under way at once
_COMMAND_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_CREDENTIAL = re.compile(rf"[0-9a-f]{{{2 * PSEUDONYM_BYTES}}}\Z")


class Ordering:
    """Several threads and processes may order at once; each call has a connection of its own."""

    def __init__(self, url: str, clock: Callable[[], datetime]) -> None:
        """`url`: the ledger's. ConfigError if there is none of this release's schema."""
        self._database = open_ledger(url)
        self._clock = clock

    def close(self) -> None:
        self._database.close()

    # ---- commands ----

    def request_command(
        self,
        lock: str,
        action: str,
        author: Author,
        enable_mask: int | None = None,
        ttl_s: int = DEFAULT_TTL_S,
        command_id: str | None = None,
    ) -> CommandView:
        """Order a lock to do something once, within `ttl_s` seconds; return the command as it now stands.

        `enable_mask`: of enable_chambers only: bit 0 is chamber 1; it is what the chambers shall be from now on, too
        (a Wish with the command's end as deadline), so that the lock isn't set back to an older wish. That lasts, also
        if the command expires; it goes with a command that is withdrawn or rejected. `command_id`: asked for again
        under the same id, the same command is returned, not ordered a second time.
        """
        now = self._clock()
        new_id = command_id or secrets.token_hex(10)
        refuse_nul((author.actor, author.reason))
        wanted = _checked_command(lock, action, enable_mask, ttl_s, new_id)
        with self._database.writing() as connection:
            known = commands.find_command(connection, new_id)
            if known is not None:
                return _same(commands.view_command(known, now), lock, wanted, enable_mask)
            site, gateway = self._way_to(connection, lock)
            if commands.count_open(connection, lock, now) >= _OPEN_MAX:
                raise NotPossible(
                    f"lock {lock}: {_OPEN_MAX} commands are under way: wait until some have ended"
                )
            expires_at = now + timedelta(seconds=ttl_s)
            commands.add_command(
                connection,
                commands.NewCommand(
                    new_id, site, gateway, lock, wanted, enable_mask, author.actor, author.reason, now, expires_at
                ),
            )  # fmt: skip
            ordered = Ordered(id=new_id, action=wanted.value, enable_mask=enable_mask, expires_at=expires_at)
            bodies: list[Ordered | Wish] = [ordered]
            if enable_mask is not None:
                bodies.append(_wish(WishedProperty.ENABLE_MASK, enable_mask, expires_at))
            _tell(connection, lock, bodies, author, now)
            return self._command(connection, new_id, now)

    def withdraw(self, command_id: str, author: Author) -> CommandView:
        """Take back a command, and what it wished; NotPossible once it was sent: what was sent may be carried out."""
        now = self._clock()
        refuse_nul((author.actor, author.reason))
        with self._database.writing() as connection:
            view = self._command(connection, command_id, now)
            if not commands.withdraw_command(connection, command_id, now):
                raise NotPossible(
                    f"command {command_id} is {view.state}: only one that wasn't sent yet can be"
                )
            _tell(connection, view.lock, [Withdrawn(id=command_id)], author, now)
            if view.action is Action.ENABLE_CHAMBERS:
                take_back_wish(connection, view.lock, command_id, author.actor, author.reason, now)
            return self._command(connection, command_id, now)

    def command(self, command_id: str) -> CommandView | None:
        """Return a command, None if there is none of that id."""
        with self._database.reading() as connection:
            row = commands.find_command(connection, command_id)
        return None if row is None else commands.view_command(row, self._clock())

    def commands(
        self,
        lock: str | None = None,
        gateway: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[CommandView]:
        """Return commands, the newest first: of a lock, of a gateway (`site/gateway`), or all; the next page follows
        the command whose id is `before`."""
        place = None
        if gateway is not None:
            site, _, name = _checked_subject(SubjectKind.GATEWAY, gateway).partition("/")
            place = site, name
        with self._database.reading() as connection:
            rows = commands.list_commands(connection, lock, place, before, limit)
        now = self._clock()
        return [commands.view_command(row, now) for row in rows]

    # ---- access lists ----

    def set_access_list(
        self,
        lock: str,
        entries: Sequence[ListedTransponder],
        author: Author,
        deadline_s: float = _LIST_DEADLINE.total_seconds(),
        again: bool = False,
    ) -> AccessListEffect:
        """Say who may use a lock from now on: all of them; whoever isn't named may not, even in offline operation.

        Pseudonyms that nobody has added a number for are left out and told. What is wanted already changes nothing,
        unless `again`: then it is a new version of the same, for a lock that has other content under this one.
        The lock has `deadline_s` to come there, beyond that it is an alarm. NotPossible: longer than the lock takes.
        """
        now = self._clock()
        refuse_nul((author.actor, author.reason))
        _checked_subject(SubjectKind.LOCK, lock)
        wanted = _checked_entries(entries)
        with self._database.writing() as connection:
            self._way_to(connection, lock)
            known = access_lists.known_credentials(connection, map(bytes.fromhex, wanted))
            unknown = tuple(name for name in wanted if bytes.fromhex(name) not in known)
            listed = tuple(each for name, each in wanted.items() if bytes.fromhex(name) in known)
            before = access_lists.list_in_force(connection, lock)
            is_same = before is not None and access_lists.entries_of(connection, before.list_no) == listed
            if before is not None and is_same and not again:
                return AccessListEffect(before.version, changed=False, unknown=unknown)
            room = _room_of(connection, lock)
            if room is not None and len(listed) > room:
                raise NotPossible(
                    f"lock {lock}: {len(listed)} transponders, but its controller takes {room}: "
                    "leave some out, blocked ones first"
                )
            version = max(0 if before is None else before.version + 1, int(now.timestamp()))
            access_lists.add_list(connection, lock, version, listed, to_ms(now), author.actor, author.reason)
            wish = _wish(WishedProperty.ACCESS_LIST_VERSION, version, now + timedelta(seconds=deadline_s))
            _tell(connection, lock, [wish], author, now)
            return AccessListEffect(version, changed=True, unknown=unknown)

    def access_list(self, lock: str) -> AccessList | None:
        """Return the list that is wanted of a lock, None if nobody has set one."""
        with self._database.reading() as connection:
            row = access_lists.list_in_force(connection, lock)
            if row is None:
                return None
            heard = latest_reports.lock(connection, lock)
            return AccessList(
                access_lists.view_list(row),
                access_lists.entries_of(connection, row.list_no),
                None if heard is None else heard[2].access_list_version,
                None if heard is None else heard[2].access_list_max,
            )

    def most_entries(self, lock: str) -> int | None:
        """Return how long a list the lock takes, as it last told; None if that isn't known."""
        with self._database.reading() as connection:
            return _room_of(connection, lock)

    def access_lists(self, lock: str, limit: int = 50) -> list[AccessListView]:
        """Return the versions of a lock's list, the newest first."""
        with self._database.reading() as connection:
            return access_lists.lists_of(connection, lock, limit)

    def add_transponders(self, uids: Iterable[int], pseudonyms: Pseudonyms) -> TransponderEffect:
        """Keep the numbers of transponders, so that access lists can name them by their pseudonyms."""
        by_credential = {
            credential: f"{uid:x}" for uid in uids if (credential := pseudonyms.of(uid)) is not None
        }
        with self._database.writing() as connection:
            added = access_lists.add_transponders(connection, by_credential, to_ms(self._clock()))
        return TransponderEffect(added, len(by_credential) - added)

    def transponders_mark(self) -> int:
        """Return a number that is another one once transponders were added: unknown ones may be known by now."""
        with self._database.reading() as connection:
            return access_lists.newest_transponder(connection)

    def _command(self, connection: Connection, command_id: str, now: datetime) -> CommandView:
        row = commands.find_command(connection, command_id)
        if row is None:
            raise NotPossible(f"there is no command {command_id}: `cloud-sink command list` shows all")
        return commands.view_command(row, now)

    def _way_to(self, connection: Connection, lock: str) -> tuple[str, str]:
        """Return site and gateway that a lock was heard through last."""
        heard = latest_reports.lock(connection, lock)
        if heard is None:
            raise NotPossible(
                f"lock {lock}: no gateway has reported it yet, so nothing can be ordered of it: "
                "is it in a gateway's configuration, and is that gateway online?"
            )
        return heard[0], heard[1]


def _room_of(connection: Connection, lock: str) -> int | None:
    heard = latest_reports.lock(connection, lock)
    return None if heard is None else heard[2].access_list_max


def _checked_command(lock: str, action: str, enable_mask: int | None, ttl_s: int, command_id: str) -> Action:
    _checked_subject(SubjectKind.LOCK, lock)
    problems = []
    if action not in list(Action):
        problems.append(f"{action!r}: expected one of {', '.join(Action)}")
    if (action == Action.ENABLE_CHAMBERS) != (enable_mask is not None):
        problems.append(f"a mask belongs to {Action.ENABLE_CHAMBERS}, and to nothing else")
    if enable_mask is not None and not 0 <= enable_mask <= 15:
        problems.append(
            "the mask is a number 0..15: 1 for chamber 1, 2 for chamber 2, 3 for both, 0 for none"
        )
    if not _SHORTEST_TTL_S <= ttl_s <= LONGEST_TTL_S:
        problems.append(f"time to live: expected {_SHORTEST_TTL_S} s to {LONGEST_TTL_S // 3600} h")
    if not _COMMAND_ID.match(command_id):
        problems.append("command id: expected 1 to 64 characters out of A-Z a-z 0-9 . _ -")
    if problems:
        raise InputRejected(problems)
    return Action(action)


def _same(known: CommandView, lock: str, action: Action, enable_mask: int | None) -> CommandView:
    if (known.lock, known.action, known.enable_mask) != (lock, action, enable_mask):
        raise NotPossible(f"command {known.id} is another one already: {known.action} of lock {known.lock}")
    return known


def _checked_entries(entries: Sequence[ListedTransponder]) -> dict[str, ListedTransponder]:
    """Return entries by pseudonym, in order."""
    problems = []
    if len(entries) > MOST_ENTRIES:
        problems.append(f"{len(entries)} transponders: no lock takes more than {MOST_ENTRIES}")
    wanted = {each.credential: each for each in sorted(entries, key=lambda each: each.credential)}
    if len(wanted) != len(entries):
        problems.append("a transponder is listed twice: name each of them once")
    if not all(map(_CREDENTIAL.match, wanted)):
        problems.append(f"expected pseudonyms of {2 * PSEUDONYM_BYTES} hexadecimal digits")
    if problems:
        raise InputRejected(problems)
    return wanted


def _checked_subject(kind: SubjectKind, subject: str) -> str:
    try:
        return check_subject(kind, subject)
    except ValueError as error:
        raise InputRejected([str(error)]) from None


def _wish(wished: WishedProperty, value: int, deadline_at: datetime) -> Wish:
    return Wish(property=wished, value=value, deadline_at=deadline_at)


def _tell(
    connection: Connection,
    lock: str,
    bodies: Sequence[Ordered | Withdrawn | Wish],
    author: Author,
    now: datetime,
) -> None:
    """Keep as operator events what was decided: the twins' history is made of these."""
    decisions = [Decision(SubjectKind.LOCK, lock, body, author.actor, author.reason) for body in bodies]
    add_events(connection, decisions, to_ms(now))
