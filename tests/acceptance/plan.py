"""Draws the plan of a fault run: which faults, in which order, how hard, all from one seed.

The law of this file: nothing is drawn that may destroy a record physically, for the comparison at the end admits no
loss. So rings are large enough for a whole run, torn records become readable again, and whoever begins a new epoch
waits until the ledger has the old one.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from tests.acceptance.launcher import STEPS

PROGRAMS = ("edge-agent", "cloud-sink", "mosquitto", "firmware-sim")
BUS_FAULTS_ANYWHERE = ("silence", "lost_reply", "late_reply", "cut_frame", "exception_6", "foreign_reply")
CUT_POINTS = ("authorised", "open", "before_discharge", "after_discharge")


@dataclass(frozen=True, slots=True)
class Fault:
    """`hold_s`: how long it lasts where it lasts; `then_s`: how long until the next one. So faults may overlap."""

    kind: str
    hold_s: float
    then_s: float
    with_what: Mapping[str, str | int | float] = field(default_factory=dict)

    def __str__(self) -> str:
        details = ", ".join(f"{value}" for value in self.with_what.values())
        return f"{self.kind} ({details})" if details else self.kind


Draw = Callable[[Random, Sequence[str], Mapping[str, str]], Mapping[str, str | int | float]]


def _program(
    rng: Random, _locks: Sequence[str], _buses: Mapping[str, str]
) -> Mapping[str, str | int | float]:
    return {"program": rng.choice(PROGRAMS)}


def _step(rng: Random, _locks: Sequence[str], _buses: Mapping[str, str]) -> Mapping[str, str | int | float]:
    return {"step": rng.choice(sorted(STEPS)), "nth": rng.randint(1, 3)}


def _side(rng: Random, _locks: Sequence[str], _buses: Mapping[str, str]) -> Mapping[str, str | int | float]:
    return {"side": rng.choice(("gateway", "sink"))}


def _bus_fault(
    rng: Random, locks: Sequence[str], buses: Mapping[str, str]
) -> Mapping[str, str | int | float]:
    bus = rng.choice(sorted(buses))
    own = "broken_crc" if buses[bus] == "rtu" else "reset_connection"
    return {"fault": rng.choice((*BUS_FAULTS_ANYWHERE, own)), "bus": bus}


def _lock(rng: Random, locks: Sequence[str], _buses: Mapping[str, str]) -> Mapping[str, str | int | float]:
    return {"lock": rng.choice(locks)}


def _torn(rng: Random, locks: Sequence[str], _buses: Mapping[str, str]) -> Mapping[str, str | int | float]:
    # A record that reads wrongly five times is taken as it is, unverified: that has a test of its own.
    return {"lock": rng.choice(locks), "reads": rng.randint(1, 3), "word": rng.randint(0, 21)}


def _power_cut(
    rng: Random, locks: Sequence[str], _buses: Mapping[str, str]
) -> Mapping[str, str | int | float]:
    return {"lock": rng.choice(locks), "at": rng.choice(CUT_POINTS), "off_s": round(rng.uniform(0, 1), 2)}


def _clock(rng: Random, locks: Sequence[str], _buses: Mapping[str, str]) -> Mapping[str, str | int | float]:
    how = rng.choice(("clock_step", "clock_drift", "clock_loss"))
    by = {"clock_step": rng.randint(-100_000, 100_000), "clock_drift": rng.randint(-50_000, 50_000)}.get(
        how, 0
    )
    return {"how": how, "lock": rng.choice(locks), "by": by}


def _gateway_clock(
    rng: Random, _locks: Sequence[str], _buses: Mapping[str, str]
) -> Mapping[str, str | int | float]:
    return {"by_s": rng.choice((-1, 1)) * rng.randint(5, 400_000)}


def _forgery(
    rng: Random, _locks: Sequence[str], _buses: Mapping[str, str]
) -> Mapping[str, str | int | float]:
    return {"forgery": rng.choice(("altered", "foreign topic", "unknown key", "no signature", "no page"))}


def _nothing(
    _rng: Random, _locks: Sequence[str], _buses: Mapping[str, str]
) -> Mapping[str, str | int | float]:
    return {}


# kind -> how often (weight), how what it strikes is drawn, and for how long it lasts at most (s)
KINDS: dict[str, tuple[int, Draw, float]] = {
    "kill -9": (8, _program, 1.0),
    "kill -9 at step": (10, _step, 2.0),
    "freeze": (4, _program, 1.5),
    "broker outage": (3, _nothing, 2.0),
    "broker forgets everything": (2, _nothing, 0.5),
    "link cut": (4, _side, 1.5),
    "link stalled": (3, _side, 1.5),
    "bus fault": (8, _bus_fault, 1.0),
    "torn record": (3, _torn, 0.0),
    "power cut": (4, _power_cut, 0.0),
    "power cut everywhere": (1, _nothing, 0.5),
    "controller's clock": (3, _clock, 0.0),
    "gateway's clock": (3, _gateway_clock, 1.5),
    "spool corrupted": (4, _nothing, 0.0),
    "spool lost": (3, _nothing, 0.0),
    "spool restored from an old copy": (4, _nothing, 0.0),
    "gateway swapped": (1, _nothing, 0.0),
    "ledger locked": (2, _nothing, 1.5),
    "pages sent again": (3, _nothing, 0.0),
    "page forged": (4, _forgery, 0.0),
    "new epoch": (1, _lock, 0.0),
    "jam": (2, _lock, 0.0),
}


def draw_plan(
    seed: int, n: int, locks: Sequence[str], buses: Mapping[str, str], kinds: Collection[str] = KINDS.keys()
) -> list[Fault]:
    """Return `n` faults of these kinds; the same arguments give the same plan. `buses`: name -> kind.

    Kinds are drawn without replacement until each had its turn (in proportion to its weight), then anew: a long run
    has all of them, a short one not the same twice.
    """
    rng = Random(f"faults/{seed}")
    plan: list[Fault] = []
    bag: list[str] = []
    while len(plan) < n:
        if not bag:
            bag = [kind for kind, (weight, _, _) in KINDS.items() if kind in kinds for _ in range(weight)]
            rng.shuffle(bag)
        kind = bag.pop()
        _, draw, longest_s = KINDS[kind]
        hold_s = round(rng.uniform(0.1, longest_s), 2) if longest_s else 0.0
        overlaps = rng.random() < 0.3
        then_s = round(rng.uniform(0, hold_s) if overlaps else hold_s + rng.uniform(0.1, 1.0), 2)
        plan.append(Fault(kind, hold_s, then_s, draw(rng, locks, buses)))
    return plan
