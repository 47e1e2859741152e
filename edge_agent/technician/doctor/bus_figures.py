"""The figures that a verdict on a bus rests on: what came of requests, who answered, what other settings brought."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trial:
    """One request to a unit with other settings of the line than the configured ones; `took_ms`: None: no answer."""

    settings: str
    parity: str
    baudrate: int
    timeout_ms: int
    took_ms: float | None = None

    @property
    def answered(self) -> bool:
        return self.took_ms is not None


@dataclass(frozen=True, slots=True)
class UnitFigures:
    """One configured unit, while it was looked at. Counts as in bus_counts.UnitCounts.

    `serials`: who said that it is here, in the order of saying it. `said_by_server`: a serial server said that
    it is silent. `stranger`: something that isn't this map answered. `round_trip_ms`: a mean of the newest answers.
    """

    unit: int
    lock: str
    expected_serial: str | None
    requests: int = 0
    answered: int = 0
    exceptions: int = 0
    timeouts: int = 0
    broken: int = 0
    broken_crc: int = 0
    late_or_foreign: int = 0
    round_trip_ms: float | None = None
    serials: tuple[str, ...] = ()
    said_by_server: bool = False
    stranger: str | None = None
    trials: tuple[Trial, ...] = ()

    @property
    def speaks(self) -> bool:
        """Some answer was whole."""
        return self.answered + self.exceptions > 0

    @property
    def is_silent(self) -> bool:
        """Nothing at all came back."""
        return self.requests > 0 and not self.speaks and not self.broken and not self.late_or_foreign

    @property
    def broken_permille(self) -> int:
        return 1000 * self.broken // self.requests if self.requests else 0

    @property
    def lost(self) -> int:
        """Requests that brought nothing usable."""
        return self.timeouts + self.broken

    @property
    def lost_permille(self) -> int:
        return 1000 * self.lost // self.requests if self.requests else 0

    @property
    def better(self) -> Trial | None:
        """The first trial that was answered."""
        return next((trial for trial in self.trials if trial.answered), None)

    @property
    def evidence(self) -> str:
        parts = [f"{self.requests} requests", f"{self.answered} answered"]
        counts = {
            "refused": self.exceptions, "silent": self.timeouts, "broken": self.broken,
            "of these with a wrong CRC": self.broken_crc, "late or another's": self.late_or_foreign,
        }  # fmt: skip
        parts += [f"{count} {name}" for name, count in counts.items() if count]
        if self.round_trip_ms is not None:
            parts.append(f"{self.round_trip_ms:.0f} ms")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class BusFigures:
    """One bus. `trouble`: why its device or connection isn't open. `broke`: it went while it was looked at.

    `times_broken`: since the agent's start. `trials_made`: other settings were tried with those that didn't answer.
    """

    bus: str
    is_serial: bool
    where: str
    settings: str
    answer_timeout_ms: int
    units: tuple[UnitFigures, ...]
    trouble: str | None = None
    lent_to: str | None = None
    broke: int = 0
    times_broken: int = 0
    trials_made: bool = False
    undervoltage: bool = False
    known_devices: tuple[str, ...] = ()
