"""Truth against ledger: are they exactly the same physical events, field by field? Knows nothing of how they got there.

`truth.jsonl` is what the simulated controllers wrote down as they made their records, `ledger.jsonl` what
`cloud-sink export` prints. An event is (lock, epoch, seq). A dispute, a record that came twice under another page, a
pour that was made up by a gateway: each shows as a difference here.
"""

import hmac
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from wastelock.page import parse_instant
from wastelock.record import ClockStatus, Kind, PourResult

Event = tuple[str, int, int]
Line = Mapping[str, Any]

_EXACT = ("kind", "result", "chamber", "flags", "volume_ml", "register_after", "began_clock_s")
_SHOWN = 20  # differences of one kind that are listed for each lock


@dataclass(slots=True)
class LockComparison:
    """One lock's result. The lists are empty where truth and ledger agree; volumes are of complete pours, in ml."""

    lock: str
    truth: int = 0
    ledger: int = 0
    truth_ml: int = 0
    ledger_ml: int = 0
    missing: list[Event] = field(default_factory=list)
    extra: list[Event] = field(default_factory=list)
    doubled: list[Event] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    registers: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        lists = (self.missing, self.extra, self.doubled, self.differing, self.registers)
        return not any(lists) and self.truth == self.ledger and self.truth_ml == self.ledger_ml


@dataclass(frozen=True, slots=True)
class Comparison:
    """All locks, by serial number. Two empty sides are equal: whoever expects events has to check `events`."""

    locks: tuple[LockComparison, ...]

    @property
    def equal(self) -> bool:
        return all(lock.equal for lock in self.locks)

    @property
    def events(self) -> int:
        return sum(lock.truth for lock in self.locks)

    def differences(self) -> list[str]:
        """Return each difference as a line of text, a bounded number for each lock and kind."""
        lines = []
        for lock in self.locks:
            named: list[tuple[str, list[Any]]] = [
                ("missing in the ledger", lock.missing),
                ("in the ledger but not in the truth", lock.extra),
                ("more than once in the ledger", lock.doubled),
                ("differs", lock.differing),
                ("register", lock.registers),
            ]
            for what, found in named:
                lines += [f"{lock.lock}: {what}: {_text(item)}" for item in found[:_SHOWN]]
                if len(found) > _SHOWN:
                    lines.append(f"{lock.lock}: {what}: … and {len(found) - _SHOWN} more")
        return lines


def compare(truth: Iterable[Line], ledger: Iterable[Line], pseudonym_key: bytes) -> Comparison:
    """Compare the lines of both files. `pseudonym_key`: what the sink makes credentials from transponders with."""
    true_lines = list(truth)
    true_events = {event_of(line): line for line in true_lines}
    entries: dict[Event, list[Line]] = {}
    for line in ledger:
        entries.setdefault(event_of(line), []).append(line)
    results: dict[str, LockComparison] = {}

    def of(event: Event) -> LockComparison:
        return results.setdefault(event[0], LockComparison(event[0]))

    for event, times in Counter(map(event_of, true_lines)).items():
        if times > 1:
            of(event).differing.append(f"{_text(event)}: {times} times in truth: its writer is wrong")
    for event, line in sorted(true_events.items()):
        lock = of(event)
        lock.truth += 1
        lock.truth_ml += charged_ml(line)
        if event not in entries:
            lock.missing.append(event)
    for event, lines in sorted(entries.items()):
        lock = of(event)
        lock.ledger += len(lines)
        lock.ledger_ml += sum(charged_ml(line) for line in lines)
        if len(lines) > 1:
            lock.doubled.append(event)
        if event not in true_events:
            lock.extra.append(event)
            continue
        for line in lines:
            lock.differing += _differing(event, true_events[event], line, pseudonym_key)
    for name, lock in results.items():
        lock.registers += register_breaks(e[0] for k, e in sorted(entries.items()) if k[0] == name)
    return Comparison(tuple(lock for _, lock in sorted(results.items())))


def event_of(line: Line) -> Event:
    """Return the identity of the physical event that a line of either file tells of."""
    return str(line["lock"]), int(line["epoch"]), int(line["seq"])


def charged_ml(line: Line) -> int:
    """Return the volume that a complete pour charges, 0 for everything else."""
    complete = line["kind"] == Kind.POUR and line["result"] == PourResult.COMPLETE
    return int(line["volume_ml"]) if complete else 0


def register_breaks(lines: Iterable[Line]) -> list[str]:
    """Return where a chamber's cycle register moved by other than its complete pours. `lines`: one lock's, in order.

    Within an epoch each complete pour moves its chamber's register by one (mod 2^32), and nothing else does: so a
    lost or an invented pour shows here even if truth and ledger were both wrong.
    """
    known: dict[tuple[int, int], int] = {}
    breaks = []
    for line in lines:
        if line["kind"] not in (Kind.POUR, Kind.REGISTER_REPORT):
            continue
        run = (int(line["epoch"]), int(line["chamber"]))
        after = int(line["register_after"])
        moved = 1 if line["kind"] == Kind.POUR and line["result"] == PourResult.COMPLETE else 0
        before = known.get(run)
        if before is not None and after != (before + moved) % 2**32:
            breaks.append(
                f"chamber {run[1]}, epoch {run[0]}, seq {line['seq']}: {before} → {after}, not {before + moved}"
            )
        known[run] = after
    return breaks


def pseudonym(uid: int, key: bytes) -> str:
    """Return the credential that the ledger holds for a transponder number (decision: HMAC-SHA256, first 16 bytes)."""
    return hmac.new(key, uid.to_bytes(8, "big"), sha256).hexdigest()[:32]


def read_lines(path: Path) -> list[Line]:
    """Return the lines of a JSON-lines file. A torn last line (its writer was killed) is left out."""
    if not path.exists():
        return []
    whole, _, _torn = path.read_bytes().rpartition(b"\n")
    return [json.loads(line) for line in whole.splitlines()]


def _differing(event: Event, true: Line, entry: Line, key: bytes) -> Iterator[str]:
    expected = {name: true[name] for name in _EXACT}
    expected["credential"] = pseudonym(int(true["uid"], 16), key) if true["uid"] else None
    expected["began_at"] = _began_at(true)
    found = {name: entry.get(name) for name in expected}
    if found["began_at"] is not None:
        found["began_at"] = parse_instant(str(found["began_at"]))
    for name, value in expected.items():
        if found[name] != value:
            yield f"{_text(event)}: {name} is {found[name]!r} in the ledger, {value!r} in truth"


def _began_at(true: Line) -> datetime | None:
    if true["clock_status"] == ClockStatus.NEVER_SET:
        return None  # the controller's clock counted seconds since power-up
    return datetime.fromtimestamp(int(true["began_clock_s"]), UTC)


def _text(item: Event | str) -> str:
    return item if isinstance(item, str) else f"epoch {item[1]}, seq {item[2]}"
