"""The journal's promises under everything that can happen, in any order, with kills at any instant.

Σ complete pours = difference of the registers; sequence numbers without gaps; an unconfirmed record is never
overwritten; what was told is what the ring holds; no room, no pour.
"""

import sqlite3
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from firmware_sim.cycle import Phase
from firmware_sim.errors import StateError
from firmware_sim.journal import Journal
from firmware_sim.reader import Answer
from tests.unit.firmware_sim.rig import (
    BLOCKED,
    RESIDENT,
    SERIAL,
    SERVICE,
    STRANGER,
    Refused,
    Rig,
    lock_config,
    u32,
)
from wastelock.record import Kind, MacKey, crc_holds, decode_record
from wastelock.registers import Fault, State

FIRST_REGISTERS = (0xFFFFFFFD, 3)
U32 = 2**32


class ControllerMachine(RuleBasedStateMachine):
    """A controller with a small ring and registers about to wrap, and whatever may befall it."""

    @initialize(capacity=st.sampled_from([32, 33, 47]))
    def build(self, capacity: int) -> None:
        self.directory = TemporaryDirectory()
        config = lock_config(capacity=capacity, registers=FIRST_REGISTERS)
        self.rig = Rig(Path(self.directory.name) / "lock", config).start()
        self.confirmed = 0
        self.unlocked_with: list[int] = []

    def teardown(self) -> None:
        if hasattr(self, "directory"):
            self.directory.cleanup()

    @property
    def phase(self) -> Phase:
        return self.rig.lock.pours.phase

    @rule(uid=st.sampled_from([RESIDENT, SERVICE, STRANGER, BLOCKED]), chamber=st.integers(1, 2))
    def somebody_comes(self, uid: int, chamber: int) -> None:
        free, state = self.rig.journal.memory.free, self.rig.lock.state
        answer = self.rig.lock.present(uid, chamber)
        if answer is Answer.AUTHORISED:
            assert free >= 12 and state is State.LOCKED and uid in (RESIDENT, SERVICE)

    @precondition(lambda self: self.phase is Phase.AUTHORISED)
    @rule(opens=st.booleans())
    def flap_opens_or_not(self, opens: bool) -> None:
        if opens:
            self.rig.lock.pours.open_flap()
        else:
            self.rig.lock.pours.time_out()

    @precondition(lambda self: self.phase is Phase.OPEN)
    @rule(thrown=st.booleans())
    def flap_closes(self, thrown: bool) -> None:
        if thrown:
            self.rig.lock.pours.close_flap()
        else:
            self.rig.lock.pours.give_up(33)

    @precondition(lambda self: self.phase is Phase.DISCHARGING)
    @rule(turns=st.booleans())
    def chamber_turns(self, turns: bool) -> None:
        if turns:
            self.rig.lock.pours.pass_discharge_point()
        else:
            self.rig.lock.pours.jam(44)

    @precondition(lambda self: self.phase is Phase.PASSED)
    @rule()
    def cycle_ends(self) -> None:
        self.rig.lock.pours.complete(80)

    @precondition(lambda self: self.phase is Phase.JAMMED)
    @rule(again=st.booleans())
    def jam_is_retried_or_not(self, again: bool) -> None:
        if again and self.rig.lock.pours.may_retry:
            self.rig.lock.pours.retry()
        else:
            self.rig.lock.pours.abandon()

    @rule(n=st.integers(1, 12))
    def pours_are_made(self, n: int) -> None:
        for _ in range(n):
            if self.phase is Phase.IDLE and self.rig.lock.present(RESIDENT, 2) is Answer.AUTHORISED:
                self.rig.lock.pours.open_flap()
                self.rig.lock.pours.close_flap()
                self.rig.lock.pours.pass_discharge_point()
                self.rig.lock.pours.complete(80)

    @rule(share=st.floats(0, 1))
    def gateway_confirms(self, share: float) -> None:
        status = self.rig.status()
        seq = round(status.confirmed_seq + share * (status.newest_seq - status.confirmed_seq))
        if seq:
            self.rig.acknowledge(seq)
            self.confirmed = max(self.confirmed, seq)

    @rule(offset=st.integers(-100, 100))
    def clock_is_set(self, offset: int) -> None:
        try:
            self.rig.write(0x0106, u32(int(self.rig.now_s) + offset))
        except Refused as refused:
            assert refused.code == 4 and self.rig.journal.memory.free <= 2

    @rule(fault=st.sampled_from([Fault.TAMPER, Fault.DOOR_OPEN, Fault.CONTAINER_FULL]), raised=st.booleans())
    def fault_comes_or_goes(self, fault: Fault, raised: bool) -> None:
        (self.rig.lock.raise_fault if raised else self.rig.lock.clear_fault)(fault)

    @rule(chamber=st.integers(1, 2), blocked=st.booleans())
    def chamber_is_blocked_or_freed(self, chamber: int, blocked: bool) -> None:
        change = self.rig.lock.raise_fault if blocked else self.rig.lock.clear_fault
        change(Fault.CHAMBER_BLOCKED, chamber)

    @rule(seconds=st.sampled_from([0.5, 30, 61, 86_400]))
    def time_passes(self, seconds: float) -> None:
        self.rig.now_s += seconds
        self.rig.lock.tick()

    @rule()
    def power_is_cut(self) -> None:
        self.rig.cut_power(1)

    @rule()
    def process_is_killed(self) -> None:
        self.rig.kill()

    # --- what holds after each step

    @invariant()
    def ring_holds_what_was_told_without_gaps(self) -> None:
        if not hasattr(self, "rig"):
            return
        memory, made = self.rig.journal.memory, self.rig.made
        assert [one.seq for one in made] == list(range(1, memory.newest + 1))
        assert memory.newest - memory.confirmed <= memory.capacity
        assert memory.confirmed == self.confirmed, "what is confirmed stays so, and nothing else is"
        for one in made[-memory.capacity :]:
            assert self.rig.journal.raw(one.seq) == one.raw

    @invariant()
    def registers_count_exactly_the_complete_pours(self) -> None:
        if not hasattr(self, "rig"):
            return
        registers = list(FIRST_REGISTERS)
        for one in self.rig.made:
            record = decode_record(one.raw)
            if record.is_complete_pour:
                registers[record.chamber - 1] = (registers[record.chamber - 1] + 1) % U32
            if record.kind in (Kind.POUR, Kind.REGISTER_REPORT):
                assert record.register_after == registers[record.chamber - 1]
        assert self.rig.journal.memory.registers[:2] == tuple(registers)

    @invariant()
    def lock_without_room_is_out_of_service(self) -> None:
        if not hasattr(self, "rig") or self.rig.lock.pours.mid_cycle:
            return
        status = self.rig.status()
        full = bool(status.faults >> Fault.JOURNAL_NEARLY_FULL & 1)
        free = self.rig.journal.memory.free
        if free < 12:
            assert full
        if full:
            assert status.state == State.OUT_OF_SERVICE and free < 20

    @invariant()
    def records_are_sealed(self) -> None:
        if not hasattr(self, "rig") or not self.rig.made:
            return
        last = self.rig.made[-1]
        assert crc_holds(last.raw, SERIAL, 1)
        assert MacKey(bytes.fromhex(str(self.rig.config.mac_key))).holds(last.raw, SERIAL, 1)


TestController = ControllerMachine.TestCase
TestController.settings = settings(max_examples=20, stateful_step_count=40)


class CrashingJournal(Journal):
    """A journal that leaves a copy of its files as they are before and after each statement."""

    rig: Rig
    crashes: list[Path]

    def _execute(self, sql: str, values: tuple[object, ...] = ()) -> None:
        self._leave_copy()
        super()._execute(sql, values)
        self._leave_copy()

    def _leave_copy(self) -> None:
        path = self.rig.path.with_name(f"crash-{len(self.crashes)}")
        self.crashes.append(path)
        self.rig.from_crash(path).close()


def test_crash_at_any_statement_of_a_pour_leaves_its_state_before_or_after(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "lock").start()
    rig.pour()
    before = rig.journal.memory
    rig.journal.__class__ = CrashingJournal
    journal = rig.journal
    assert isinstance(journal, CrashingJournal)
    journal.rig, journal.crashes = rig, []
    rig.pour()
    rig.acknowledge(rig.status().newest_seq)
    after = rig.journal.memory
    seen: Counter[tuple[bool, int, int, int]] = Counter()
    for path in journal.crashes:
        found = Journal(path, rig.config.birth(), lambda made: None)
        memory = found.memory
        mark = memory.mark
        passed = mark is not None and mark.passed
        seen[passed, memory.newest, memory.registers[0], memory.confirmed] += 1
        told = [one.raw for one in found.records_after(0)]
        assert len(told) == memory.newest and told == [one.raw for one in rig.made[: memory.newest]]
        assert memory.registers[0] == sum(decode_record(raw).is_complete_pour for raw in told)
        found.close()
    assert set(seen) == {
        (False, before.newest, 1, 0),
        (True, before.newest, 1, 0),
        (False, after.newest, 2, 0),
        (False, after.newest, 2, after.newest),
    }


def test_memory_of_another_release_is_left_alone_and_named(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 9")
    db.close()
    with pytest.raises(StateError, match="schema 9, this release knows 1"):
        Journal(path, lock_config().birth(), lambda made: None)


def test_file_that_is_no_memory_is_named(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_bytes(b"not a database, but long enough to look like one" * 40)
    with pytest.raises(StateError, match=str(path)):
        Journal(path, lock_config().birth(), lambda made: None)


def test_full_disk_ends_the_controller_and_loses_nothing(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "lock").start()
    before = list(rig.made)
    rig.journal._db.execute("PRAGMA query_only = ON")
    with pytest.raises(StateError, match="can't be written any more"):
        rig.lock.raise_fault(Fault.TAMPER)
    assert rig.made == before
    again = rig.from_crash(tmp_path / "again")
    assert again.memory.newest == len(before)
