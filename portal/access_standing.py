"""How it stands with a lock's access list: what the last look at it found."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ListState(StrEnum):
    """What became of a list."""

    GIVEN = "given"  # the sink has it; whether the lock has come there, the twin's drift tells
    HELD = "held"  # many would be dropped at once: they are admitted until somebody lets them go
    TAKEOVER = (
        "takeover"  # the lock has a list that nobody gave it here, and keeps it until somebody lets it go
    )
    UNREAD = "unread"  # the lock hasn't told yet whether it has one
    UNNUMBERED = "unnumbered"  # numbers are missing of those who are to be admitted: it keeps what it has
    TOO_MANY = "too_many"  # more are to be admitted than the lock takes
    REFUSED = "refused"  # the sink didn't take it

    @property
    def is_tried_again(self) -> bool:
        """True if it may become another one though the master data don't: it was let through elsewhere, or heard of."""
        return self is not ListState.GIVEN

    @property
    def needs_somebody(self) -> bool:
        """True if it stays so until somebody does something."""
        return self not in (ListState.GIVEN, ListState.UNREAD)


@dataclass(frozen=True, slots=True)
class Standing:
    """Transponders are told by their pseudonyms.

    `admitted`: so many the master data admit and can be listed. `unknown`: those whom the master data admit, too, but
    whose numbers were never added, so that no list can name them. `lacks_numbers`: without them the list isn't let
    through: it would lock out whom the lock takes now. `held`: in the list although the master data admit them no more.
    `left_out`: so many blocked ones have no room. `capacity`: entries that the lock takes, as it says; None: it hasn't
    said. `said`: why the sink refused it.
    """

    lock: str
    properties: tuple[str, ...]
    admitted: int
    looked_at: datetime
    state: ListState = ListState.GIVEN
    held: frozenset[str] = frozenset()
    unknown: tuple[str, ...] = ()
    lacks_numbers: bool = False
    left_out: int = 0
    capacity: int | None = None
    said: str = ""

    @property
    def waits(self) -> bool:
        """True if somebody has to say whether the list is meant."""
        return self.state in (ListState.HELD, ListState.TAKEOVER)
