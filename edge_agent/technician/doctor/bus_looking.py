"""Looks at a bus until a verdict can be given: asks each unit who it is, and tries other settings where none answers.

Everything is only read. While other settings are tried the line is borrowed, for half a minute at most: the agent
doesn't poll it meanwhile, and nothing is lost by that.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic

from edge_agent.config import AgentConfig, BusSettings, CounterLock, LockSettings, RtuBus
from edge_agent.errors import BusError, LineDown, NoAnswer, Refused, TryLater
from edge_agent.line import SILENCE_S
from edge_agent.line_rtu import RtuLine, SerialSettings
from edge_agent.line_tcp import TcpLine
from edge_agent.local.snapshot import BusSight, Snapshot, UnitSight
from edge_agent.modbus import SAID_BY_SERVER, Request, read_request
from edge_agent.technician.access import FieldAccess
from edge_agent.technician.doctor.bus_figures import BusFigures, Trial, UnitFigures
from wastelock import registers as wlc
from wastelock.registers import lock_id

ROUNDS = 12
TRIALS_S = 25.0
_LEAST, _PATIENCE = 6, 3  # so many rounds may take three times as long
_FIRST_ROUND_S = 60.0  # 32 units that are all silent take some 40 s
_MUTE_UNITS_MAX = 4
_LONG_TIMEOUT_MS = 3000
_INPUT = 4
# What installers leave controllers at, the likeliest first.
_SETTINGS = (
    (19_200, "E"), (19_200, "N"), (9_600, "E"), (9_600, "N"), (19_200, "O"), (38_400, "N"), (115_200, "N"),
)  # fmt: skip

Progress = Callable[[str], None]


@dataclass(slots=True)
class _Heard:
    """What this command itself was answered by one unit."""

    serials: list[str] = field(default_factory=list)
    codes: set[int] = field(default_factory=set)
    stranger: str | None = None
    by_server: bool = False
    tries: int = 0
    answers: int = 0

    @property
    def is_mute(self) -> bool:
        """Nothing came, and each question is asked twice: it costs a second, and once more would tell nothing new."""
        return self.tries > 0 and not self.answers


class BusLook:
    """One look at one bus. `seconds`: for how long its units are asked, at most."""

    def __init__(
        self,
        access: FieldAccess,
        settings: BusSettings,
        seconds: float,
        stop: threading.Event,
        tell: Progress,
    ) -> None:
        self._access = access
        self._settings = settings
        self._seconds = seconds
        self._stop = stop
        self._tell = tell
        self._locks = [lock for lock in access.config.locks if lock.bus == settings.name]
        self._down: str | None = None  # why the last question couldn't even be asked
        self._heard = {lock.unit: _Heard() for lock in self._locks}

    def look(self, may_borrow: bool, undervoltage: bool = False) -> BusFigures:
        """Return the figures. `may_borrow`: try other settings, too; `undervoltage`: the machine's supply is weak."""
        before = _sight(self._access.snapshot(), self._settings.name)
        if before.lent_to is None:
            self._ask_all()
        after = _sight(self._access.snapshot(), self._settings.name)
        figures = replace(self._figures(before, after), undervoltage=undervoltage)
        mute = [unit for unit in figures.units if unit.requests and not unit.speaks][:_MUTE_UNITS_MAX]
        if not may_borrow or not mute or figures.trouble is not None or figures.lent_to is not None:
            return figures
        return self._with_trials(figures, mute)

    def _ask_all(self) -> None:
        """Ask all of them once, then again and again those that answer: so often that a share of failures shows."""
        self._ask_round(0, monotonic() + _FIRST_ROUND_S)
        began = monotonic()
        for number in range(1, ROUNDS):
            if self._down is None and all(heard.is_mute for heard in self._heard.values()):
                return  # nobody is left to be asked again
            # Spread over the time: an adapter that comes and goes isn't caught by a glance.
            self._stop.wait(max(0.0, began + number * self._seconds / ROUNDS - monotonic()))
            self._ask_round(number, began + self._seconds * (_PATIENCE if number < _LEAST else 1))

    def _ask_round(self, number: int, until: float) -> None:
        for lock in self._locks:
            if monotonic() >= until or self._stop.is_set():
                return
            if not self._heard[lock.unit].is_mute:
                self._tell(f"bus {self._settings.name}: unit {lock.unit}, round {number + 1} of {ROUNDS}")
                self._ask(lock)

    def _ask(self, lock: LockSettings) -> None:
        heard, registers = self._heard[lock.unit], self._access.registers(lock.bus, lock.unit)
        heard.tries += 1
        try:
            block = registers.read(*question(lock))
        except LineDown as error:
            self._down = str(error)
            return
        except BusError as error:
            self._down = None
            self._note_failure(heard, error)
            return
        self._down = None
        heard.answers += 1
        if isinstance(lock, CounterLock):
            return
        try:
            words = [int.from_bytes(block[at : at + 2], "big") for at in range(0, len(block), 2)]
            heard.serials.append(lock_id(wlc.decode_identity(words).serial))
        except wlc.NotThisMap as error:
            heard.stranger = str(error)

    def _note_failure(self, heard: _Heard, error: BusError) -> None:
        """Of most failures the counts tell."""
        if isinstance(error, Refused):
            heard.answers += 1
            if error.code != wlc.ExceptionCode.BUSY:  # it says who it is another time
                heard.codes.add(error.code)
        elif isinstance(error, NoAnswer):
            heard.by_server = heard.by_server or SAID_BY_SERVER in str(error)

    def _figures(self, before: BusSight, after: BusSight) -> BusFigures:
        settings = self._settings
        return BusFigures(
            bus=settings.name,
            is_serial=isinstance(settings, RtuBus),
            where=str(settings.device)
            if isinstance(settings, RtuBus)
            else f"{settings.host}:{settings.port}",
            settings=after.where,
            answer_timeout_ms=settings.answer_timeout_ms,
            units=tuple(self._unit(lock, before, after) for lock in self._locks),
            trouble=self._down,
            lent_to=after.lent_to,
            broke=max(0, after.times_broken - before.times_broken),
            times_broken=after.times_broken,
            known_devices=tuple(sorted(map(str, Path("/dev/serial/by-id").glob("*")))),
        )

    def _unit(self, lock: LockSettings, before: BusSight, after: BusSight) -> UnitFigures:
        heard, old, new = self._heard[lock.unit], _unit(before, lock.unit), _unit(after, lock.unit)
        if old is None or new is None or new.requests < old.requests:
            old = UnitSight(unit=lock.unit, lock=lock.lock)  # the agent has begun afresh meanwhile
        new = new or old

        def since(name: str) -> int:
            return int(getattr(new, name)) - int(getattr(old, name))

        if heard.codes and heard.stranger is None and not heard.serials:
            heard.stranger = f"it refuses to say who it is (exception {min(heard.codes):#04x})"
        return UnitFigures(
            unit=lock.unit,
            lock=lock.lock,
            expected_serial=None if isinstance(lock, CounterLock) else lock.lock,
            requests=since("requests"),
            answered=since("answered"),
            exceptions=since("exceptions"),
            timeouts=since("timeouts"),
            broken=since("broken"),
            broken_crc=since("broken_crc"),
            late_or_foreign=since("late_or_foreign"),
            round_trip_ms=new.round_trip_ms,
            serials=tuple(heard.serials),
            said_by_server=heard.by_server,
            stranger=heard.stranger,
        )

    def _with_trials(self, figures: BusFigures, mute: Sequence[UnitFigures]) -> BusFigures:
        """Try other settings with the units that didn't answer."""
        locks = {lock.unit: lock for lock in self._locks}
        made: dict[int, list[Trial]] = {unit.unit: [] for unit in mute}
        until = monotonic() + TRIALS_S
        try:
            with self._access.borrow(self._settings.name):
                for attempt in attempts(self._settings):
                    for unit in [unit for unit in made if not any(trial.answered for trial in made[unit])]:
                        if monotonic() >= until or self._stop.is_set():
                            break
                        self._tell(f"bus {figures.bus}: unit {unit} at {attempt.settings}")
                        trial = attempt.ask(read_request(unit, *question(locks[unit])))
                        if trial is not None:
                            made[unit].append(trial)
        except TryLater:
            return figures  # somebody else has it just now
        units = tuple(replace(unit, trials=tuple(made.get(unit.unit, ()))) for unit in figures.units)
        return replace(figures, units=units, trials_made=True)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A line with other settings, opened for one request each time."""

    bus: BusSettings
    baudrate: int
    parity: str
    timeout_ms: int

    @property
    def settings(self) -> str:
        if not isinstance(self.bus, RtuBus):
            return ""
        return f"{self.baudrate} 8{self.parity}{self.bus.stopbits}"

    def ask(self, request: Request) -> Trial | None:
        """Return what came of it; None where these settings can't be tried, e.g. at a line that takes no parity."""
        with contextlib.closing(self._line()) as line:
            try:
                line.open()
            except LineDown:
                return None
            began = monotonic()
            try:
                line.exchange(request)
            except Refused:
                pass  # refused is answered
            except BusError:
                return Trial(self.settings, self.parity, self.baudrate, self.timeout_ms)
            took_ms = 1000 * (monotonic() - began)
            return Trial(self.settings, self.parity, self.baudrate, self.timeout_ms, took_ms)

    def _line(self) -> RtuLine | TcpLine:
        if not isinstance(self.bus, RtuBus):
            return TcpLine(self.bus.host, self.bus.port, self.timeout_ms / 1000)
        serial = SerialSettings(str(self.bus.device), self.baudrate, self.parity, self.bus.stopbits)
        return RtuLine(serial, self.timeout_ms / 1000)


def attempts(bus: BusSettings) -> Iterator[Attempt]:
    """Yield what is worth trying: more time first, then other settings of a serial line."""
    if not isinstance(bus, RtuBus):
        yield Attempt(bus, 0, "", _LONG_TIMEOUT_MS)
        return
    yield Attempt(bus, bus.baudrate, bus.parity, _LONG_TIMEOUT_MS)
    usual = [(bus.baudrate, parity) for parity in "ENO"]
    for baudrate, parity in dict.fromkeys([*usual, *_SETTINGS]):
        if (baudrate, parity) != (bus.baudrate, bus.parity):
            yield Attempt(bus, baudrate, parity, bus.answer_timeout_ms)


def longest_s(config: AgentConfig, bus: BusSettings, seconds: float, *, may_borrow: bool) -> float:
    """Return how long a look at this bus takes at most."""
    silent_s = sum(
        2 * (bus.answer_timeout_ms / 1000 + SILENCE_S) for lock in config.locks if lock.bus == bus.name
    )
    return min(_FIRST_ROUND_S, silent_s) + _PATIENCE * seconds + (TRIALS_S if may_borrow else 0.0)


def question(lock: LockSettings) -> tuple[int, int, int]:
    """Return function, address and count by which a controller shows who it is, or at least that it is there."""
    if isinstance(lock, CounterLock):
        chamber = lock.chambers[0]
        return lock.function, chamber.address, chamber.width // 16
    return _INPUT, wlc.IDENTITY_ADDRESS, wlc.IDENTITY_WORDS


def _sight(snapshot: Snapshot, bus: str) -> BusSight:
    return next(sight for sight in snapshot.buses if sight.bus == bus)


def _unit(sight: BusSight, unit: int) -> UnitSight | None:
    return next((each for each in sight.units if each.unit == unit), None)
