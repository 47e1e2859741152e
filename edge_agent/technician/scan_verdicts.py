"""What the looks at the units of one line mean: a verdict for each unit, and what to do. Pure.

heard of a unit, at the line's own settings or at others        verdict
nothing at any                                                  silent (told only of configured units)
one serial number, each time or nearly                          good; another lock or unit than configured
the same, but at other settings than the rest of the line       other settings
two serial numbers, or broken answers where the line is sound   two answer to this id
broken answers as of the others on this line                    noisy
an answer that isn't this map's                                 not a waste lock
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from edge_agent.technician.scan_probe import Heard, Look
from wastelock.registers import Identity, lock_id

_SOUND_SHARE = 0.9  # of all answers on a line: below that the line itself is bad


class Verdict(StrEnum):
    GOOD = "good"
    SILENT = "silent"
    OTHER_SETTINGS = "other settings"
    TWO_ANSWER = "two answer"
    OTHER_LOCK = "another lock"
    OTHER_UNIT = "another unit"
    NOISY = "noisy"
    NOT_A_LOCK = "not a waste lock"


@dataclass(frozen=True, slots=True)
class UnitVerdict:
    """One unit. `at`: the settings it answers at; `configured`: the lock that should be there, None if none is."""

    unit: int
    verdict: Verdict
    locks: tuple[str, ...]
    at: str | None
    configured: str | None
    what: str
    remedy: str | None = None
    identity: Identity | None = None
    took_ms: float | None = None

    @property
    def is_good(self) -> bool:
        return self.verdict is Verdict.GOOD


Heards = Mapping[str, Sequence[Look]]
"""All looks at one unit, by the settings that the line had."""


def main_settings(heard: Mapping[int, Heards], configured: str | None) -> str | None:
    """Return a line's settings: as configured if anybody answers there, else those of most units that answer."""
    tally = Counter(
        at
        for looks in heard.values()
        for at, each in looks.items()
        if any(x.heard is not Heard.NOTHING for x in each)
    )
    if configured is not None and (tally[configured] or not tally):
        return configured
    return tally.most_common(1)[0][0] if tally else None


def judge(
    heard: Mapping[int, Heards],
    configured_at: str | None,
    configured: Mapping[int, str],
    counters: frozenset[int] = frozenset(),
) -> list[UnitVerdict]:
    """Return a verdict for each unit that answered or is configured, by unit.

    `configured`: lock by unit; `counters`: those of them that are legacy counters and don't know who they are.
    """
    main = main_settings(heard, configured_at)
    is_sound = _is_sound(heard)
    verdicts = []
    for unit in sorted({*heard, *configured}):
        at, looks = _where(heard.get(unit, {}), main)
        if at is None:
            if unit in configured:
                verdicts.append(_silent(unit, configured[unit], len(heard.get(unit, {}))))
            continue
        verdict = _judge_unit(unit, at, looks, main, is_sound, configured.get(unit))
        if unit in counters and verdict.verdict is Verdict.NOT_A_LOCK:
            verdict = replace(
                verdict, verdict=Verdict.GOOD, what="answers; a legacy counter, as configured", remedy=None
            )
        verdicts.append(verdict)
    return _with_moved(verdicts)


def _with_moved(verdicts: Sequence[UnitVerdict]) -> list[UnitVerdict]:
    """A lock that is silent where it is configured, and answers as another unit, is told once, where it answers."""
    silent = {each.configured: each.unit for each in verdicts if each.verdict is Verdict.SILENT}
    moved = {
        each.unit: silent[each.locks[0]]
        for each in verdicts
        if each.is_good and each.locks and each.locks[0] in silent
    }
    return [
        each if each.unit not in moved else replace(
            each, verdict=Verdict.OTHER_UNIT, what=f"configured as unit {moved[each.unit]}; {each.what}",
            remedy="correct `unit` in the configuration (--write FILE --correct), or the unit id at the controller",
        )
        for each in verdicts if each.unit not in moved.values()
    ]  # fmt: skip


def _is_sound(heard: Mapping[int, Heards]) -> bool:
    """True if nearly all units that are one controller never gave a broken answer: what is broken is a unit's own."""
    answering = [
        looks
        for by_settings in heard.values()
        for looks in by_settings.values()
        if looks[0].heard is not Heard.NOTHING
        and len({look.identity.serial for look in looks if look.identity}) < 2
    ]
    broken = sum(any(look.heard is Heard.BROKEN for look in looks) for looks in answering)
    return broken <= 1 or broken / len(answering) <= 1 - _SOUND_SHARE


def _where(heards: Heards, main: str | None) -> tuple[str | None, Sequence[Look]]:
    """Return at which settings a unit answers, the line's own first, and the looks there."""
    for at in sorted(heards, key=lambda each: each != main):
        if any(look.heard is not Heard.NOTHING for look in heards[at]):
            return at, heards[at]
    return None, ()


def _judge_unit(
    unit: int, at: str, looks: Sequence[Look], main: str | None, is_sound: bool, configured: str | None
) -> UnitVerdict:
    identities = {look.identity.serial: look.identity for look in looks if look.identity is not None}
    locks = tuple(sorted(lock_id(serial) for serial in identities))
    broken = [look for look in looks if look.heard is Heard.BROKEN]
    took = [look.took_ms for look in looks if look.took_ms is not None]
    took_ms = round(sum(took) / len(took), 1) if took else None

    def verdict(kind: Verdict, what: str, remedy: str | None = None) -> UnitVerdict:
        identity = next(iter(identities.values())) if len(identities) == 1 else None
        return UnitVerdict(unit, kind, locks, at, configured, what, remedy, identity, took_ms)

    if len(identities) > 1 or (len(broken) > 1 and is_sound):
        who = (
            f"{' and '.join(locks)} answer"
            if len(locks) > 1
            else f"{len(broken)} of {len(looks)} answers were broken"
        )
        return verdict(
            Verdict.TWO_ANSWER, f"{who}, on an otherwise sound line: two controllers have unit id {unit}",
            "switch one of them off, give the other a unit id of its own, scan again",
        )  # fmt: skip
    if len(broken) > 1:
        return verdict(
            Verdict.NOISY, f"{len(broken)} of {len(looks)} answers were broken, of others too: {broken[0].why}",
            "termination at both ends, shield, branches: `edge-agent doctor`",
        )  # fmt: skip
    if not identities:
        return verdict(
            Verdict.NOT_A_LOCK, f"answers Modbus, but isn't wlc-1: {looks[0].why or looks[-1].why}",
            "a legacy counter is configured by hand: driver counter-1 in docs/edge-agent.md",
        )  # fmt: skip
    if at != main:
        return verdict(
            Verdict.OTHER_SETTINGS, f"answers at {at}, the others of this line at {main}", f"set it to {main}"
        )
    if configured is not None and configured not in locks:
        return verdict(
            Verdict.OTHER_LOCK, f"lock {locks[0]} answers where {configured} is configured",
            "compare type plates; correct serial or unit in the configuration, or the unit id at the controller",
        )  # fmt: skip
    return verdict(Verdict.GOOD, _describe(next(iter(identities.values())), took_ms, len(broken)))


def _silent(unit: int, lock: str, tried: int) -> UnitVerdict:
    what = f"lock {lock} is configured here; no answer at any of {tried} settings"
    return UnitVerdict(
        unit, Verdict.SILENT, (), None, lock, what,
        "is it powered, its unit id right, wired to this line, A and B not swapped? `edge-agent doctor` looks closer",
    )  # fmt: skip


def _describe(identity: Identity, took_ms: float | None, broken: int) -> str:
    volumes = " + ".join(f"{volume_ml / 1000:g} l" for volume_ml in identity.volumes_ml)
    once = ", one answer was broken" if broken else ""
    return f"wlc-1, firmware {identity.firmware}, {volumes}, answers in {took_ms or 0:.0f} ms{once}"
