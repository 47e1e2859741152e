"""One pour -> whose it is and how much: by the master data in force at its instant. Pure.

    a lock that has left the property       -> elsewhere
    a service credential's                  -> not_billed
    no chamber known there then             -> unknown_chamber    (a review)
    derived, from a counter without reader  -> lost               (its volume is divided by substitutes)
    no credential in force                  -> unattributed/owner
    else                                    -> dwelling/party

What is tried is not only its nominal instant t but all of [t - u, t + u], u by the grade of its clock: where the result
isn't the same everywhere, a person has to look. A pour that may lie on either side of a period's end is asked about in
both periods, by the same id and with the same choices: whatever is decided, it counts in one of them.
"""

from bisect import bisect_right
from datetime import date
from typing import NamedTuple

from billing_aggregator.model import UNATTRIBUTED_ROW
from billing_aggregator.pours.holders import SERVICE, Holders
from wastelock.clock_grade import ClockQuality
from wastelock.record import Flag

ELSEWHERE = "elsewhere"
NOT_BILLED = "not_billed"
UNKNOWN_CHAMBER = "unknown_chamber"
LOST = "lost"


class PourGroup(NamedTuple):
    """Pours, as many as `pours`, that can't be told apart as far as billing goes; all within [at_s - u, at_s + u].

    `traits`: service, degraded and derived, as in a record's flag byte. `epoch`, `seq`: of a single pour, else 0.
    """

    lock: str
    chamber: int
    credential: bytes | None
    volume_ml: int
    traits: int
    pours: int
    at_s: int
    quality: ClockQuality | None = None
    epoch: int = 0
    seq: int = 0
    boot: int = 0
    clock_s: int = 0  # what the controller's clock said of a single pour

    @property
    def place(self) -> str:
        """What names a single pour in the ids of reviews."""
        return f"{self.lock}:{self.epoch}:{self.seq}"


class Outcome(NamedTuple):
    """Whose a pour is, and what is billed for it. `row`: a row's id, or one of this module's words.

    `expected_ml`: the volume of the chamber that opened; `volume_ml`: what is billed (less where degraded).
    `side`: -1 before the period, 0 in it, 1 after it.
    """

    row: str
    fraction: str = ""
    volume_ml: int = 0
    expected_ml: int = 0
    side: int = 0

    @property
    def matters(self) -> bool:
        """True if it may go into this period's bill."""
        return self.side == 0 and self.row not in (ELSEWHERE, NOT_BILLED)

    @property
    def is_counted(self) -> bool:
        """True if its volume goes into this period's bill, to whomever."""
        return self.matters and self.row != UNKNOWN_CHAMBER


def outcome_at(holders: Holders, group: PourGroup, at_s: int) -> Outcome:
    """Return what a pour comes to if it happened at this second."""
    side = -1 if at_s < holders.start_s else int(at_s >= holders.end_s)
    if holders.has_left(group.lock, at_s):
        return Outcome(ELSEWHERE, side=side)
    holder = holders.holder_at(group.credential, at_s)
    if holder == SERVICE or group.traits & Flag.SERVICE:
        return Outcome(NOT_BILLED, side=side)
    chamber = holders.chamber_at(group.lock, group.chamber, at_s)
    if chamber is None:
        return Outcome(UNKNOWN_CHAMBER, side=side)
    volume_ml = chamber.volume_ml
    if group.traits & Flag.DEGRADED:
        volume_ml = holders.smallest_ml(group.lock, chamber.fraction, at_s)
    row = LOST if group.traits & Flag.DERIVED else holder or UNATTRIBUTED_ROW
    return Outcome(row, chamber.fraction, volume_ml, chamber.volume_ml, side)


def possible_outcomes(holders: Holders, group: PourGroup) -> dict[Outcome, int]:
    """Return each outcome that a pour may have, with the first second of its uncertainty at which it has it.

    The nominal one comes first, with the nominal instant.
    """
    found = {outcome_at(holders, group, group.at_s): group.at_s}
    u = group.quality.uncertainty_s if group.quality is not None else 0
    low, high = group.at_s - u, group.at_s + u
    changes = holders.changes(group.lock, group.credential)
    inside = changes[bisect_right(changes, low) : bisect_right(changes, high)]
    if inside:
        for at_s in (low, *inside):
            found.setdefault(outcome_at(holders, group, at_s), at_s)
    return found


def choices_of(holders: Holders, outcomes: dict[Outcome, int]) -> dict[str, Outcome]:
    """Return outcomes by what a person calls them; period's side, fraction and volume only where it takes them."""
    sides = {outcome.side for outcome in outcomes}
    named = [(_side(holders, outcome.side, sides) + outcome.row, outcome) for outcome in outcomes]
    names = [name for name, _ in named]
    return {
        name if names.count(name) == 1 else f"{name}@{outcome.fraction}/{outcome.volume_ml}": outcome
        for name, outcome in named
    }


def _side(holders: Holders, side: int, sides: set[int]) -> str:
    """Return on which side of a period's first or last day something lies, in words that both periods use."""
    if len(sides) == 1:
        return ""
    boundary = holders.first if -1 in sides and side < 1 else holders.end
    is_before = side == -1 or (side == 0 and -1 not in sides)
    return f"{'before' if is_before else 'from'}_{boundary}:"


class Billed(NamedTuple):
    """What was decided, or holds without anybody deciding: the outcome, and the local day that it counts on."""

    group: PourGroup
    outcome: Outcome
    day: date
