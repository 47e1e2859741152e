"""Compares what the controllers made with what the agent has: on its disk and at the sink."""

from collections import Counter as Count
from collections.abc import Iterable
from datetime import datetime

from tests.conformance.estate import Estate, Lock, OldLock
from tests.conformance.gateway import Gateway
from tests.conformance.pages import Identity, PageRecord, SpoolFile, find_broken_pages
from tests.conformance.sink import PAGE_TOPIC, Sink
from tests.conformance.vendor.conduct import Glance
from tests.conformance.vendor.journal import Made
from tests.conformance.vendor.sums import record_check

_POUR, _REPORT = 1, 10
_OFFSET_SLACK_S = 2
_VISIT_LASTS_S = 20.0


class Verdict:
    """What one run has shown. `complaints` is empty where the agent did everything right."""

    def __init__(self, estate: Estate, gateway: Gateway, spool: SpoolFile, sink: Sink) -> None:
        self.complaints: list[str] = []
        self.records = 0
        self._estate = estate
        self._gateway = gateway
        self._spool = spool
        self._sink = sink

    def judge(self) -> None:
        pages = self._spool.pages
        self.complaints += find_broken_pages(pages, self._gateway.key.public_key(), PAGE_TOPIC)
        self.complaints += self._sink.disagreements
        sent = {(page.journal, page.number): page.payload for page in self._sink.all_pages()}
        for page in pages:  # what was sealed at the very end may still wait to be sent
            if sent.get((page.journal, page.number), page.payload) != page.payload:
                self.complaints.append(f"page {page.number} isn't at the sink as it is in the spool")
        records = [record for page in pages for record in page.records()]
        self.records = len(records)
        self._judge_journals([record for record in records if record.driver == "wlc-1"])
        for old in self._estate.old_locks:
            self.complaints += _judge_counter(
                old, [record for record in records if record.serial == old.serial]
            )
        self._judge_clocks({page.header["clock"] for page in pages})
        self._judge_log()
        bad = {lock.configured_serial: lock.stranger for lock in self._estate.locks if lock.stranger}
        bad |= dict.fromkeys(self._estate.others, "isn't there, or isn't a lock")
        for serial, why in bad.items():
            if not self._sink.lock_states.get(serial, {}).get("problem"):
                self.complaints.append(f"nobody was told that {serial:06x} {why}")
        self.complaints += self._estate.offences()

    def _judge_journals(self, records: Iterable[PageRecord]) -> None:
        journal = self._spool.pages[-1].journal if self._spool.pages else ""
        found: dict[Identity, list[PageRecord]] = {}
        for record in records:
            found.setdefault(record.identity, []).append(record)
        for lock in self._estate.good_locks:
            name, missed = lock.conduct.name, 0
            for made in lock.controller.history:
                copies = found.pop((made.serial, made.epoch, made.seq), [])
                # What came up after everything had been fetched (a clock was set, say) still waits in the ring.
                waits = (
                    made.epoch == lock.controller.journal.epoch
                    and made.seq > lock.controller.journal.confirmed
                )
                found_wrong = _judge_record(made, copies, waits)
                for copy in copies:
                    found_wrong += _judge_offset(lock, copy) + _judge_unverified(lock, copy)
                self.complaints += [f"{name}: {text}" for text in found_wrong]
                missed += not any(copy.journal == journal for copy in copies)
            self._judge_state(lock, missed)
        for identity, copies in found.items():
            kept = ", ".join(f"{copy.raw.hex()}{' unverified' * copy.unverified}" for copy in copies)
            self.complaints.append(f"a record that no good controller made: {identity}: {kept}")

    def _judge_state(self, lock: Lock, missed: int) -> None:
        """What the agent tells of the lock: more records gone than are gone would alarm people for nothing.

        `missed`: those that its journal in force doesn't have.
        """
        state = self._sink.lock_states.get(lock.configured_serial)
        if state is None:
            self.complaints.append(f"{lock.conduct.name}: no state was ever told")
        elif state["overwritten_records"] > missed:
            gone = state["overwritten_records"]
            self.complaints.append(f"{lock.conduct.name}: {gone} records are said to be gone, {missed} are")

    def _judge_clocks(self, grades: set[str]) -> None:
        """Nobody may set a clock by a clock that it doesn't trust itself."""
        if grades == {"unset"}:
            for lock in self._estate.locks:
                if lock.conduct.clocks_set:
                    self.complaints.append(f"{lock.conduct.name}: clock set by a gateway without time")

    def _judge_log(self) -> None:
        text = self._gateway.log.read_text() if self._gateway.log.exists() else ""
        for sign in ("Traceback", '"critical"', "[critical"):
            if sign in text:
                self.complaints.append(f"the agent's log holds {sign}")


def _judge_record(made: Made, copies: list[PageRecord], waits: bool) -> list[str]:
    what = f"record {made.seq} of epoch {made.epoch}"
    if not copies:
        return [] if made.may_be_missed or waits else [f"{what} is lost"]
    found = [
        f"{what} is {count} times in journal {journal}"
        for journal, count in Count(copy.journal for copy in copies).items()
        if count > 1
    ]
    for copy in copies:
        if copy.unverified and not made.torn_for_ever:
            found.append(f"{what} is marked unverified, but could be read")
        elif copy.raw != made.raw and not copy.unverified:
            found.append(f"{what} has other bytes: {copy.raw.hex()} instead of {made.raw.hex()}")
    return found


def _judge_unverified(lock: Lock, record: PageRecord) -> list[str]:
    """What is kept of a record that couldn't be read must at least be what was read of it."""
    reads = lock.conduct.torn.get((record.epoch, record.seq))
    if not record.unverified or (reads is not None and record.raw in reads.served):
        return []
    return [f"record {record.seq} of epoch {record.epoch} is kept as nobody ever read it: {record.raw.hex()}"]


def _judge_offset(lock: Lock, record: PageRecord) -> list[str]:
    """The offset must be one that the controller's clock had within the visit that brought the record."""
    read_at = datetime.fromisoformat(record.read_at).timestamp()
    glances = [
        glance for glance in lock.conduct.glances if -_VISIT_LASTS_S <= glance.at - read_at <= _OFFSET_SLACK_S
    ]
    if any(_fits(glance, record.clock_offset_s) for glance in glances):
        return []
    return [
        f"record {record.seq} of epoch {record.epoch} has clock offset {record.clock_offset_s}, never seen"
    ]


def _fits(glance: Glance, offset_s: int | None) -> bool:
    if glance.clock_status == 0:
        return offset_s is None
    return offset_s is not None and abs(glance.shown - glance.at - offset_s) <= _OFFSET_SLACK_S


def _judge_counter(old: OldLock, records: list[PageRecord]) -> list[str]:
    """Pours are counted one by one; a replaced register begins a new epoch by reports and makes no pour."""
    name, found = old.legacy.name, []
    records.sort(key=lambda record: (record.epoch, record.seq))
    epochs = sorted({record.epoch for record in records})
    if len(epochs) != old.legacy.epochs:
        found.append(
            f"{name}: {old.legacy.epochs - 1} registers were replaced, but there are epochs {epochs}"
        )
    for epoch in epochs:
        numbers = [record.seq for record in records if record.epoch == epoch]
        if numbers != list(range(1, len(numbers) + 1)):
            found.append(f"{name}: numbers of epoch {epoch} aren't 1, 2, …: {numbers[:30]}")
    for record in records:
        if record_check(record.raw[:40], old.serial, record.epoch) != int.from_bytes(record.raw[40:], "big"):
            found.append(f"{name}: record {record.seq} has a wrong check")
    for counter in old.legacy.counters:
        own = [record.raw for record in records if record.raw[12] == counter.chamber]
        pours = sum(raw[10] == _POUR for raw in own)
        if pours != counter.steps.count("pour"):
            found.append(
                f"{name}: chamber {counter.chamber} has {pours} pours instead of {counter.steps.count('pour')}"
            )
        shown = int.from_bytes(own[-1][32 - 4 : 32], "big") if own else -1
        if shown % (1 << counter.width) != counter.value:
            found.append(f"{name}: chamber {counter.chamber} ends at {shown} instead of {counter.value}")
        found += _judge_register(name, own)
    return found


def _judge_register(name: str, own: list[bytes]) -> list[str]:
    found, register = [], None
    for raw in own:
        kind, after = raw[10], int.from_bytes(raw[28:32], "big")
        if kind not in (_POUR, _REPORT):
            found.append(f"{name}: a record of kind {kind}")
        if kind == _POUR and (register is None or after != (register + 1) % (1 << 32)):
            found.append(f"{name}: a pour from register {register} to {after}")
        register = after
    return found
