"""How well units and buses answered lately: differences between snapshots, over the last minute. Pure."""

from collections import deque
from dataclasses import dataclass

from edge_agent.local.snapshot import BusSight, Snapshot, UnitSight

WINDOW_S = 60.0
_LOOKS_MAX = 120


@dataclass(frozen=True, slots=True)
class Lately:
    """What happened in `over_s`. `good_permille`: requests with a sound answer, None where nothing was asked."""

    over_s: float = 0.0
    requests: int = 0
    timeouts: int = 0
    broken: int = 0
    late_or_foreign: int = 0
    wire_permille: int | None = None

    @property
    def good_permille(self) -> int | None:
        if not self.requests:
            return None
        return round(1000 * (self.requests - self.timeouts - self.broken) / self.requests)

    @property
    def requests_per_s(self) -> float:
        return self.requests / self.over_s if self.over_s else 0.0


class Quality:
    """Is fed each snapshot. Counts that ran backwards (the agent began afresh) begin anew."""

    def __init__(self) -> None:
        self._looks: deque[Snapshot] = deque(maxlen=_LOOKS_MAX)

    def feed(self, snapshot: Snapshot) -> None:
        """Take in the newest snapshot."""
        if self._looks and _began_afresh(self._looks[-1], snapshot):
            self._looks.clear()
        self._looks.append(snapshot)
        while len(self._looks) > 2 and snapshot.clock_s - self._looks[1].clock_s >= WINDOW_S:
            self._looks.popleft()

    def of_unit(self, bus: str, unit: int) -> Lately:
        """Return how one unit did; of the first snapshot alone, since the start."""
        return self._lately(bus, unit)

    def of_bus(self, bus: str) -> Lately:
        """Return how all units of a bus did together, and how busy its wire was."""
        return self._lately(bus, None)

    def _lately(self, bus: str, unit: int | None) -> Lately:
        if not self._looks:
            return Lately()
        now, first = self._looks[-1], self._looks[0]
        counts = _counts(now, bus, unit)
        before = _counts(first, bus, unit) if len(self._looks) > 1 else (0, 0, 0, 0)
        over_s = now.clock_s - first.clock_s
        requests, timeouts, broken, late = (
            max(0, new - old) for new, old in zip(counts, before, strict=True)
        )
        return Lately(over_s, requests, timeouts, broken, late, _wire(now, first, bus, over_s))


def _began_afresh(before: Snapshot, now: Snapshot) -> bool:
    return before.gateway.pid != now.gateway.pid or before.gateway.incarnation != now.gateway.incarnation


def _find(snapshot: Snapshot, bus: str) -> BusSight | None:
    return next((each for each in snapshot.buses if each.bus == bus), None)


def _counts(snapshot: Snapshot, bus: str, unit: int | None) -> tuple[int, int, int, int]:
    seen = _find(snapshot, bus)
    units: tuple[UnitSight, ...] = seen.units if seen is not None else ()
    chosen = [each for each in units if unit is None or each.unit == unit]
    return (
        sum(each.requests for each in chosen),
        sum(each.timeouts for each in chosen),
        sum(each.broken for each in chosen),
        sum(each.late_or_foreign for each in chosen),
    )


def _wire(now: Snapshot, first: Snapshot, bus: str, over_s: float) -> int | None:
    new, old = _find(now, bus), _find(first, bus)
    if new is None or old is None or new.wire_s is None or old.wire_s is None or over_s <= 0:
        return None
    return min(1000, max(0, round(1000 * (new.wire_s - old.wire_s) / over_s)))
