"""What is remembered of commands, in the spool's database: none is carried out twice, each outcome is told.

    accepted ──▶ started ──▶ done | failed        started: something may have been written to the lock
        │           └──────▶ rejected | expired
        └──▶ done | rejected | expired | failed

All functions take the writer's connection and change nothing but the database; the caller commits. Instants are
milliseconds since 1970. A command may be forgotten once it has long expired; since the gateway's clock may have been
wrong then, what was forgotten stays known by one number: nothing that expires before it is taken any more.
"""

import sqlite3
from dataclasses import dataclass
from enum import StrEnum

ORDER = "id, lock, action, enable_mask, issued_at, expires_at, attempt, correlation, state, token, token_before, answer"
BY_ID = f"SELECT {ORDER} FROM command WHERE id = ?"
UNFINISHED = f"SELECT {ORDER} FROM command WHERE state IN ('accepted', 'started') ORDER BY issued_at, id"
REMEMBER = f"INSERT INTO command ({ORDER}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
NOTE_ATTEMPT = "UPDATE command SET attempt = ?, correlation = ? WHERE id = ?"
NOTE_STARTED = "UPDATE command SET state = 'started', token = ?, token_before = ? WHERE id = ?"
NOTE_STATE = "UPDATE command SET state = ?, answer = ? WHERE id = ?"
CORRELATION = "SELECT correlation FROM command WHERE id = ?"
TELL = "INSERT OR REPLACE INTO outcome (command, outcome, correlation, payload) VALUES (?, ?, ?, ?)"
UNTOLD = "SELECT id, payload, correlation FROM outcome ORDER BY id LIMIT ?"
TOLD = "DELETE FROM outcome WHERE id = ?"
COUNT = "SELECT count(*) FROM command"
OLD = """
SELECT id, expires_at FROM command WHERE expires_at < ? AND state NOT IN ('accepted', 'started')
    AND NOT EXISTS (SELECT 1 FROM outcome WHERE outcome.command = command.id) ORDER BY expires_at LIMIT ?
"""
FORGET = "DELETE FROM command WHERE id = ?"
MARK = "SELECT value FROM counter WHERE name = ?"
SET_MARK_ONCE = "INSERT OR IGNORE INTO counter (name, value) VALUES (?, ?)"
SET_MARK = "UPDATE counter SET value = ? WHERE name = ?"
RAISE_MARK = """
INSERT INTO counter (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)
"""
_SINCE, _SINCE_IS_CERTAIN, _FORGOTTEN_UNTIL = (
    "orders since",
    "orders since is certain",
    "orders forgotten until",
)

MOST_REMEMBERED = 2000
KEPT_MS = 24 * 3_600_000  # after they expired: the cloud may still ask what became of them
LEAST_KEPT_MS = 3_600_000  # where there are too many
_FORGET_AT_ONCE = 200


class State(StrEnum):
    """What has become of a command."""

    ACCEPTED = "accepted"
    STARTED = "started"
    DONE = "done"
    REJECTED = "rejected"
    EXPIRED = "expired"
    FAILED = "failed"


# A test walks every pair of states and checks that no other step is taken.
TRANSITIONS: dict[State, frozenset[State]] = {
    State.ACCEPTED: frozenset({State.STARTED, State.DONE, State.REJECTED, State.EXPIRED, State.FAILED}),
    State.STARTED: frozenset({State.STARTED, State.DONE, State.REJECTED, State.EXPIRED, State.FAILED}),
    State.DONE: frozenset(),
    State.REJECTED: frozenset(),
    State.EXPIRED: frozenset(),
    State.FAILED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Order:
    """A command as it is remembered. `answer`: its last outcome as it was told, to be told again."""

    id: str
    lock: str
    action: str
    enable_mask: int | None
    issued_at_ms: int
    expires_at_ms: int
    attempt: int
    correlation: bytes | None
    state: State
    token: int | None = None
    token_before: int | None = None
    answer: bytes | None = None

    @property
    def is_final(self) -> bool:
        return not TRANSITIONS[self.state]

    def means_the_same(self, other: "Order") -> bool:
        """True if both say the same of the same; attempts may differ."""
        return _meaning(self) == _meaning(other)


@dataclass(frozen=True, slots=True)
class Horizon:
    """How far the memory reaches. `since_ms`: None as long as the clock was never trusted here."""

    since_ms: int | None
    forgotten_until_ms: int
    is_full: bool


@dataclass(frozen=True, slots=True)
class Untold:
    """An outcome that the broker hasn't taken yet."""

    id: int
    payload: bytes
    correlation: bytes | None


def begin_memory(connection: sqlite3.Connection, now_ms: int, is_certain: bool) -> int | None:
    """From now on commands are remembered; what was issued before may have been carried out already.

    `is_certain`: a time source has the clock. A battery-backed one may have been wrong when the memory began: ahead,
    all commands would be rejected until that date; behind, some that an earlier spool has carried out would be taken.
    So the first time that the clock is certain, the begin becomes that instant; return by how many ms it was ahead,
    None where it stays as it is.

    Replays gain nothing by that. What an earlier spool may have carried out was issued before this one began, so
    before now; what this one has taken in or forgotten is known by its id and by a mark of its own. And it happens
    once for a spool: whoever turns a time source back later finds the begin certain.
    """
    connection.execute(SET_MARK_ONCE, (_SINCE, now_ms))
    if not is_certain or _mark(connection, _SINCE_IS_CERTAIN):
        return None
    began_ms = _mark(connection, _SINCE) or now_ms
    connection.execute(SET_MARK, (now_ms, _SINCE))
    connection.execute(SET_MARK_ONCE, (_SINCE_IS_CERTAIN, 1))
    return began_ms - now_ms if began_ms != now_ms else None


def horizon(connection: sqlite3.Connection) -> Horizon:
    (count,) = connection.execute(COUNT).fetchone()
    return Horizon(
        _mark(connection, _SINCE), _mark(connection, _FORGOTTEN_UNTIL) or 0, count >= MOST_REMEMBERED
    )


def find(connection: sqlite3.Connection, command: str) -> Order | None:
    row = connection.execute(BY_ID, (command,)).fetchone()
    return _order(row) if row else None


def unfinished(connection: sqlite3.Connection) -> list[Order]:
    """Return what is accepted or started, in the order in which it was issued."""
    return [_order(row) for row in connection.execute(UNFINISHED).fetchall()]


def remember(connection: sqlite3.Connection, order: Order, payload: bytes) -> None:
    """Keep a command that was never seen, with the outcome `payload` that is told of it now."""
    values = (
        order.id, order.lock, order.action, order.enable_mask, order.issued_at_ms, order.expires_at_ms, order.attempt,
        order.correlation, order.state, order.token, order.token_before, payload,
    )  # fmt: skip
    connection.execute(REMEMBER, values)
    connection.execute(TELL, (order.id, order.state, order.correlation, payload))


def answer_again(connection: sqlite3.Connection, known: Order, again: Order) -> None:
    """The cloud asks once more: tell what was told last, with what its question carries."""
    connection.execute(NOTE_ATTEMPT, (again.attempt, again.correlation, known.id))
    told = State.ACCEPTED if known.state is State.STARTED else known.state
    connection.execute(TELL, (known.id, told, again.correlation, known.answer))


def note_started(
    connection: sqlite3.Connection, command: str, token: int | None = None, token_before: int | None = None
) -> None:
    """Something is about to be written to the lock: after a power cut it may have arrived."""
    if _may_become(connection, command, State.STARTED):
        connection.execute(NOTE_STARTED, (token, token_before, command))


def finish(connection: sqlite3.Connection, command: str, state: State, payload: bytes) -> bool:
    """Note a final state and tell it; False, and nothing, where there was one already."""
    if not _may_become(connection, command, state):
        return False
    connection.execute(NOTE_STATE, (state, payload, command))
    (correlation,) = connection.execute(CORRELATION, (command,)).fetchone()
    connection.execute(TELL, (command, state, correlation, payload))
    return True


def untold(connection: sqlite3.Connection, limit: int) -> list[Untold]:
    """Return outcomes that the broker hasn't taken, oldest first."""
    return [Untold(*row) for row in connection.execute(UNTOLD, (limit,)).fetchall()]


def note_told(connection: sqlite3.Connection, outcomes: list[int]) -> None:
    connection.executemany(TOLD, [(outcome,) for outcome in outcomes])


def forget_old(connection: sqlite3.Connection, now_ms: int) -> int:
    """Forget some of what expired long ago; return how many. Nothing that may still be carried out, or isn't told."""
    (count,) = connection.execute(COUNT).fetchone()
    kept_ms = LEAST_KEPT_MS if count >= MOST_REMEMBERED else KEPT_MS
    old = connection.execute(OLD, (now_ms - kept_ms, _FORGET_AT_ONCE)).fetchall()
    for command, expires_at in old:
        connection.execute(RAISE_MARK, (_FORGOTTEN_UNTIL, expires_at))
        connection.execute(FORGET, (command,))
    return len(old)


def _may_become(connection: sqlite3.Connection, command: str, state: State) -> bool:
    known = find(connection, command)
    return known is not None and state in TRANSITIONS[known.state]


def _mark(connection: sqlite3.Connection, name: str) -> int | None:
    row = connection.execute(MARK, (name,)).fetchone()
    return int(row[0]) if row else None


def _order(row: tuple[object, ...]) -> Order:
    (command, lock, action, mask, issued, expires, attempt, correlation, state, token, before, answer) = row
    return Order(
        str(command), str(lock), str(action), _integer(mask), int(str(issued)), int(str(expires)), int(str(attempt)),
        _bytes(correlation), State(str(state)), _integer(token), _integer(before), _bytes(answer),
    )  # fmt: skip


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _bytes(value: object) -> bytes | None:
    return value if isinstance(value, bytes) else None


def _meaning(order: Order) -> tuple[object, ...]:
    return order.lock, order.action, order.enable_mask, order.issued_at_ms, order.expires_at_ms
