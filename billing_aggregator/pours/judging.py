"""A pour, what it may come to, and what people decided -> what counts, and what they still have to look at.

Ids of reviews name the record and the kind, so each run that meets the pour again asks the same question; groups hold
what has one cause, so that thousands can be decided at once.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from billing_aggregator.model import Review, ReviewKind
from billing_aggregator.pours.deciding import Decided
from billing_aggregator.pours.holders import Holders
from billing_aggregator.pours.resolution import (
    ELSEWHERE,
    NOT_BILLED,
    UNKNOWN_CHAMBER,
    Billed,
    Outcome,
    PourGroup,
    choices_of,
    possible_outcomes,
)
from wastelock.clock_grade import ClockGrade

_AS_FRACTION = "as:"
_MASTER_DATA, _CONTROLLER = "master_data", "controller"


@dataclass(slots=True)
class Judge:
    """Decides of pours, one after the other, and keeps the reviews that it came across.

    `disputes`: the kind of dispute about a record, by lock, epoch and seq.
    """

    holders: Holders
    decided: Decided
    disputes: dict[tuple[str, int, int], str] = field(default_factory=dict)
    reviews: list[Review] = field(default_factory=list)

    def judge(self, group: PourGroup) -> Billed | None:
        """Return what counts of complete pours; None if nothing of it does."""
        outcomes = possible_outcomes(self.holders, group)
        if not any(outcome.matters for outcome in outcomes):
            return None  # wherever in its uncertainty it lies, it changes no bill of this period
        never_set = group.quality is not None and group.quality.grade is ClockGrade.NEVER_SET
        outcome = next(iter(outcomes))
        dispute = self.disputes.get((group.lock, group.epoch, group.seq))
        if dispute is not None:
            outcome = self._ask(ReviewKind.DISPUTED, f":{dispute}", group, outcomes, None)
        elif never_set:
            outcome = self._ask(ReviewKind.CLOCK_NEVER_SET, f":{group.boot}", group, outcomes, None)
        elif len(outcomes) > 1:
            outcome = self._ask(ReviewKind.CLOCK_NEAR_CHANGE, "", group, outcomes, None)
        return self._counted(group, outcome, outcomes.get(outcome, group.at_s))

    def judge_unverified(self, group: PourGroup, is_pour: bool) -> Billed | None:
        """The same for a record whose CRC never held: nothing is billed unless somebody says so.

        `is_pour`: that's what it looks like; all else can only be taken note of.
        """
        outcomes = possible_outcomes(self.holders, group)
        if all(outcome.side or outcome.row == ELSEWHERE for outcome in outcomes):
            return None
        outcome = self._ask(ReviewKind.UNVERIFIED, "", group, outcomes if is_pour else {}, NOT_BILLED)
        return self._counted(group, outcome, outcomes.get(outcome, group.at_s))

    def _counted(self, group: PourGroup, outcome: Outcome, at_s: int) -> Billed | None:
        if outcome.row == UNKNOWN_CHAMBER and outcome.matters:
            outcome = self._ask_for_fraction(group)
        if not outcome.is_counted:
            return None
        if outcome.expected_ml != group.volume_ml:
            outcome = self._ask_for_volume(group, outcome)
        return Billed(group, outcome, self.holders.day_of(at_s))

    def _ask(
        self, kind: ReviewKind, of: str, group: PourGroup, outcomes: dict[Outcome, int], nominal: str | None
    ) -> Outcome:
        """Ask which of the outcomes it is; `nominal` None: the first one counts until somebody says."""
        choices = choices_of(self.holders, outcomes)
        name = nominal or next(iter(choices))
        if kind is not ReviewKind.CLOCK_NEAR_CHANGE:
            choices.setdefault(NOT_BILLED, Outcome(NOT_BILLED))
        text = {
            ReviewKind.DISPUTED: "it is disputed, `cloud-sink disputes` says how: as it stands it is billed",
            ReviewKind.UNVERIFIED: "its CRC-32 never held: what it says may be wrong",
            ReviewKind.CLOCK_NEVER_SET: "the lock's clock was never set: its time was reckoned back",
        }.get(kind, "its clock isn't exact enough to tell which side of a change it lies on")
        chosen = self._choose(kind, of, group, tuple(choices), name, text, outcomes)
        return choices[chosen]

    def _ask_for_fraction(self, group: PourGroup) -> Outcome:
        """No chamber is known: nothing is billed, unless somebody says which fraction it was."""
        choices = (NOT_BILLED, *(f"{_AS_FRACTION}{fraction}" for fraction in self.holders.fractions))
        text = (
            f"chamber {group.chamber} isn't in the master data then; the controller says {group.volume_ml} ml"
        )
        chosen = self._choose(
            ReviewKind.UNKNOWN_CHAMBER, f":{group.chamber}", group, choices, NOT_BILLED, text
        )
        if chosen == NOT_BILLED:
            return Outcome(NOT_BILLED)
        holder = self.holders.holder_at(group.credential, group.at_s) or "unattributed/owner"
        return Outcome(holder, chosen.removeprefix(_AS_FRACTION), group.volume_ml, group.volume_ml)

    def _ask_for_volume(self, group: PourGroup, outcome: Outcome) -> Outcome:
        text = f"the controller says {group.volume_ml} ml, the master data {outcome.expected_ml} ml"
        of = f":{group.chamber}:{group.volume_ml}:{outcome.expected_ml}"
        choices = (_MASTER_DATA, _CONTROLLER)
        chosen = self._choose(
            ReviewKind.VOLUME_DISAGREES, of, group, choices, _MASTER_DATA, text, {outcome: 0}
        )
        if chosen == _MASTER_DATA:
            return outcome
        # Degraded pours are billed at the smallest chamber's volume already: never more than that.
        degraded = outcome.volume_ml < outcome.expected_ml
        volume_ml = min(outcome.volume_ml, group.volume_ml) if degraded else group.volume_ml
        return outcome._replace(volume_ml=volume_ml)

    def _choose(
        self,
        kind: ReviewKind,
        of: str,
        group: PourGroup,
        choices: tuple[str, ...],
        nominal: str,
        text: str,
        outcomes: dict[Outcome, int] | None = None,
    ) -> str:
        volume_ml = max((outcome.volume_ml for outcome in outcomes or ()), default=0) or group.volume_ml
        review = Review(
            review=f"{kind}:{group.place}",
            kind=kind,
            detail=f"pour {group.place}: {text}",
            nominal=nominal,
            choices=choices,
            at=datetime.fromtimestamp(group.at_s, UTC),
            lock=group.lock,
            chamber=group.chamber,
            pours=group.pours,
            volume_ml=volume_ml,
            group=f"{kind}:{group.lock}{of}",
        )
        self.reviews.append(review)
        return self.decided.about(review) or nominal
