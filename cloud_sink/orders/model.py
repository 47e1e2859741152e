"""What is known of orders, as whoever shows them gets it: values only, nothing is read or reckoned here but states.

    command       waiting ─▶ sent ─▶ accepted ─▶ done | rejected | expired | failed
                     └▶ withdrawn     └▶ unanswered: it has expired and nobody said what became of it
    access list   versions of a lock's list; the newest one is wanted, the lock tells which one it has

Transponders are named by their pseudonyms, 32 hexadecimal digits. Instants are UTC.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from wastelock.messages import Instant, Message

_AHEAD_MAX = timedelta(days=366)


class Action(StrEnum):
    """What a command can order, as in the wire contract."""

    SYNC_CLOCK = "sync_clock"
    WRITE_ACCESS_LIST = "write_access_list"
    ENABLE_CHAMBERS = "enable_chambers"
    SELF_TEST = "self_test"
    CLEAR_FAULTS = "clear_faults"
    REBOOT = "reboot"
    READ_NOW = "read_now"


class CommandState(StrEnum):
    """How far a command has come."""

    WAITING = "waiting"
    SENT = "sent"
    ACCEPTED = "accepted"
    DONE = "done"
    REJECTED = "rejected"
    EXPIRED = "expired"
    FAILED = "failed"
    UNANSWERED = "unanswered"
    WITHDRAWN = "withdrawn"

    @property
    def is_under_way(self) -> bool:
        """True as long as the command may still be carried out."""
        return self in (CommandState.WAITING, CommandState.SENT, CommandState.ACCEPTED)

    @property
    def is_bad(self) -> bool:
        """True if it ended without being done, though nobody took it back."""
        return self in (
            CommandState.REJECTED,
            CommandState.EXPIRED,
            CommandState.FAILED,
            CommandState.UNANSWERED,
        )


@dataclass(frozen=True, slots=True)
class CommandView:
    """One command. `attempt`: how often it was sent. `told`: why, in the gateway's words, where it gave a reason.

    `accepted_at`, `ended_at`: when the sink learned that the gateway had it, and what became of it in the end.
    """

    id: str
    lock: str
    site: str
    gateway: str
    action: Action
    enable_mask: int | None
    requested_by: str
    reason: str
    issued_at: datetime
    expires_at: datetime
    attempt: int
    last_sent_at: datetime | None
    state: CommandState
    told: str | None
    accepted_at: datetime | None
    ended_at: datetime | None


class AnsweredCommand(Message):
    """What a gateway told of a command, as it is kept for the twins. `reason`: in the gateway's words."""

    id: str
    lock: str
    action: str
    outcome: str
    at: Instant
    reason: str | None = None


def state_of(outcome: str | None, attempt: int, expires_at: datetime, now: datetime) -> CommandState:
    """Return how far a command has come. `outcome`: the last word that is kept on it, None while there is none."""
    if outcome is not None and outcome != CommandState.ACCEPTED:
        return CommandState(outcome)
    if now >= expires_at:
        return CommandState.UNANSWERED
    if outcome is not None:
        return CommandState.ACCEPTED
    return CommandState.SENT if attempt else CommandState.WAITING


def greatest_revision(now: datetime) -> int:
    """Return the greatest revision that a desired state can have by now: they follow the time in seconds, and aren't
    ahead of it by more than a wrong clock explains. What a gateway says that it has isn't signed."""
    return int((now + _AHEAD_MAX).timestamp())


def how_often(attempts: int) -> str:
    """Return in words how often a command was sent."""
    if attempts == 0:
        return "not sent"
    return "sent once" if attempts == 1 else f"sent {attempts} times"


@dataclass(frozen=True, slots=True)
class ListedTransponder:
    """A transponder in an access list. `service`: a technician's. `blocked`: known, and refused as such."""

    credential: str
    service: bool = False
    blocked: bool = False


@dataclass(frozen=True, slots=True)
class AccessListView:
    """One version of a lock's access list, in figures. `entries`: all; of these `service` and `blocked` ones.

    `until_at`: when the next one took its place, None while it is the one that is wanted.
    """

    lock: str
    version: int
    entries: int
    service: int
    blocked: int
    set_at: datetime
    set_by: str
    reason: str
    until_at: datetime | None


@dataclass(frozen=True, slots=True)
class AccessList:
    """The list that is wanted of a lock; which one it says it has, and how many entries it takes (None: not heard)."""

    view: AccessListView
    transponders: tuple[ListedTransponder, ...]
    reported_version: int | None
    most_entries: int | None


@dataclass(frozen=True, slots=True)
class AccessListEffect:
    """What setting a list did: `version` is wanted now; `changed` False: it was already, nothing was written.

    `unknown`: pseudonyms whose transponder's number nobody has added; they couldn't be put into the list.
    """

    version: int
    changed: bool
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TransponderEffect:
    """What adding transponders did: how many were `added`, how many `known` before."""

    added: int
    known: int
