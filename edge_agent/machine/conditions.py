"""What is wrong with the machine: one line for each alarm says from when on, until when, and what is then done less.

    off ──figure at `raise_at` or beyond for `raise_after_s`──▶ on ──at `clear_at` or back for `clear_after_s`──▶ off

Between the two levels nothing changes, so an alarm doesn't flutter. Pure: no clock, no I/O. What each alarm means and
what to do about it at length: docs/operations-troubleshooting.md.
"""

from collections.abc import Callable
from dataclasses import dataclass

from wastelock.messages import MachineHealth

_MIB = 1024 * 1024
_MINUTE, _DAY = 60.0, 86_400.0
# Telemetry goes first; what else follows where that doesn't help.
TELEMETRY, STATES, LOG = "telemetry", "states", "log"
STATES_AFTER_S = 10 * _MINUTE

Figure = Callable[[MachineHealth], int | None]


@dataclass(frozen=True, slots=True)
class Condition:
    """`figure`: compared with the levels, None: unknown, which counts as well. `text`: what is wrong, and the remedy.

    `saves`: what the agent does less of at once; `strains`: the machine has too much to do, so after ten minutes lock
    states are repeated less often, too.
    """

    alarm: str
    figure: Figure
    raise_at: int
    clear_at: int
    raise_after_s: float
    clear_after_s: float
    text: Callable[[MachineHealth], str]
    saves: tuple[str, ...] = ()
    strains: bool = False

    def is_beyond(self, figure: int | None) -> bool:
        """Return whether a figure is so bad that the alarm may begin."""
        if figure is None:
            return False
        return figure >= self.raise_at if self.raise_at > self.clear_at else figure <= self.raise_at

    def is_back(self, figure: int | None) -> bool:
        """Return whether a figure is so good that the alarm may end."""
        if figure is None:
            return True
        return figure <= self.clear_at if self.raise_at > self.clear_at else figure >= self.clear_at


def _flag(value: bool | None) -> int | None:
    return None if value is None else int(value)


def _is_alone(health: MachineHealth) -> int | None:
    return None if health.clock_source is None else int(health.clock_source == "rtc")


CONDITIONS = (
    Condition(
        "power low", lambda h: _flag(h.undervoltage), 1, 0, 0.0, 10 * _MINUTE,
        lambda _: "the supply's voltage falls below 4.63 V, which makes computers crash and cards lose data: use the "
        "board's own supply, a shorter cable, fewer USB devices",
        (TELEMETRY,), strains=True,
    ),
    Condition(
        "machine hot", lambda h: h.temperature_dc, 800, 750, _MINUTE, _MINUTE,
        lambda h: f"the processor has {(h.temperature_dc or 0) / 10:.0f} °C and slows itself down: give the case air, "
        "keep it out of the sun",
        (TELEMETRY,), strains=True,
    ),
    Condition(
        "machine overloaded", lambda h: h.load_permille, 2000, 1500, 15 * _MINUTE, 5 * _MINUTE,
        lambda h: f"{(h.load_permille or 0) / 1000:.1f} programs wait for each processor, for a quarter of an hour: "
        "see with `top` what else runs here, or whether the disk is slow",
        (TELEMETRY,), strains=True,
    ),
    Condition(
        "memory low", lambda h: h.memory_available_bytes, 64 * _MIB, 96 * _MIB, _MINUTE, _MINUTE,
        lambda h: f"{(h.memory_available_bytes or 0) // _MIB} MiB are left: see with `top` what takes it",
        (TELEMETRY,), strains=True,
    ),
    Condition(
        "disk low", lambda h: h.disk_free_permille, 30, 50, 0.0, 0.0,
        lambda h: f"{(h.disk_free_permille or 0) / 10:.1f} % of the spool's disk are free: make room, see with `du -x` "
        "what takes it. Pages are kept as long as there is room for one",
        (LOG, TELEMETRY),
    ),
    Condition(
        "disk read-only", lambda h: _flag(h.disk_read_only), 1, 0, 0.0, 0.0,
        lambda _: "nothing can be written where the spool is, so nothing is confirmed to the locks, whose rings keep "
        "the pours: `journalctl -k` says why; reboot, which checks the disk, and replace it if that comes again",
        (LOG, TELEMETRY),
    ),
    Condition(
        "disk worn", lambda h: h.disk_wear_permille, 800, 799, 0.0, 0.0,
        lambda h: f"the disk has used {(h.disk_wear_permille or 0) // 10} % of its life: replace it at the next "
        "visit (docs/operations-troubleshooting.md)",
    ),
    Condition(
        "clock alone", _is_alone, 1, 0, _DAY, _MINUTE,
        lambda _: "no time server has set the clock for a day, it goes by its battery and drifts: see to NTP",
    ),
)  # fmt: skip


class Watch:
    """One condition over time. `now_s`: monotonic seconds, never running backwards."""

    def __init__(self, condition: Condition) -> None:
        self.condition = condition
        self.text: str | None = (
            None  # as it was when the alarm began: it isn't told again for each tenth of a degree
        )
        self._turning_since_s: float | None = None
        self._on_since_s = 0.0

    @property
    def is_on(self) -> bool:
        return self.text is not None

    def look(self, health: MachineHealth, now_s: float) -> bool:
        """Take a new measurement in; return whether the alarm has begun or ended by it."""
        condition, figure = self.condition, self.condition.figure(health)
        turns = condition.is_back(figure) if self.is_on else condition.is_beyond(figure)
        if not turns:
            self._turning_since_s = None
            return False
        if self._turning_since_s is None:
            self._turning_since_s = now_s
        if now_s - self._turning_since_s < (
            condition.clear_after_s if self.is_on else condition.raise_after_s
        ):
            return False
        self._turning_since_s = None
        self.text = None if self.is_on else condition.text(health)
        self._on_since_s = now_s
        return True

    def savings(self, now_s: float) -> tuple[str, ...]:
        """Return what the agent does less of now because of this."""
        if not self.is_on:
            return ()
        lasts = self.condition.strains and now_s - self._on_since_s >= STATES_AFTER_S
        return (*self.condition.saves, STATES) if lasts else self.condition.saves
