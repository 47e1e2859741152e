"""Driver counter-1: pours derived from bare registers, exactly as many as the register moved, through every restart."""

from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.custody import Cursor
from edge_agent.drivers.base import Confirmation
from edge_agent.drivers.counter_1 import Counter1Driver, CounterRegister
from edge_agent.errors import ClockUntrusted, NoAnswer, NotSupported
from tests.support.lock_rig import HandClock
from wastelock.record import Flag, Kind, Record, crc_holds, decode_record
from wastelock.registers import CommandCode

SERIAL = 0xC0FFEE
DAY_S = 86_400


@dataclass
class CounterRegisters:
    """The registers of an old counter: words by (function, address)."""

    words: dict[tuple[int, int], int] = field(default_factory=dict)
    exchanged_at: float = 0.0
    silent: bool = False

    def read(self, function: int, address: int, count: int) -> bytes:
        if self.silent:
            raise NoAnswer("silent")
        return b"".join(self.words[function, address + i].to_bytes(2, "big") for i in range(count))

    def write(self, address: int, words: object) -> None:
        raise AssertionError("a counter is never written to")

    def set(self, chamber: CounterRegister, value: int) -> None:
        words = [value & 0xFFFF] if chamber.width == 16 else [value >> 16 & 0xFFFF, value & 0xFFFF]
        for offset, word in enumerate(reversed(words) if chamber.low_word_first else words):
            self.words[chamber.function, chamber.address + offset] = word


class Counter:
    """A legacy counter, its driver and what the spool would keep of it."""

    def __init__(self, *chambers: CounterRegister, start: int = 100) -> None:
        self.chambers = chambers or (CounterRegister(1, 4, 10, 16, 5000),)
        self.clock = HandClock()
        self.registers = CounterRegisters()
        self.trusted = True
        self.values = {chamber.number: start for chamber in self.chambers}
        self.kept: list[tuple[int, Record]] = []
        self.cursor: Cursor | None = None
        for chamber in self.chambers:
            self.registers.set(chamber, start)
        self.restart()

    def restart(self) -> None:
        self.driver = Counter1Driver(
            self.registers,
            SERIAL,
            self.chambers,
            lambda: self.trusted,
            self.clock.unix_s,
            self.clock.monotonic,
        )
        self.driver.restore(self.cursor)

    def move(self, pours: int, chamber: int = 1) -> None:
        """Let the register run on; wrong values don't hurt it: it shows what fits its width."""
        self.values[chamber] += pours
        self.registers.set(self.chamber(chamber), self.values[chamber])

    def chamber(self, number: int) -> CounterRegister:
        return next(chamber for chamber in self.chambers if chamber.number == number)

    def poll(self, after_s: float = 10.0, page: int = 500, crash_before_seal: bool = False) -> None:
        """One visit: read, seal at most `page` records, acknowledge."""
        self.clock.seconds += after_s
        status = self.driver.read_status()
        if crash_before_seal:
            return
        seq = self.cursor.seq if self.cursor and self.cursor.epoch == status.epoch else 0
        last = min(status.newest_seq, seq + page)
        while seq < last:
            step = self.driver.read_journal(seq + 1, last - seq)
            assert step.records
            for record in step.records:
                seq += 1
                assert record.seq == seq
                assert crc_holds(record.raw, SERIAL, status.epoch)
                self.kept.append((status.epoch, decode_record(record.raw)))
            crc = int.from_bytes(record.raw[-4:], "big")
            self.cursor = Cursor(status.epoch, seq, crc, True, self.driver.memo(seq))
        if self.cursor and status.confirmed_seq < seq:
            assert self.driver.acknowledge(Confirmation(status.epoch, seq, self.cursor.crc)) == seq

    def drain(self) -> None:
        for _ in range(1000):
            self.poll(0.0)
            status = self.driver.read_status()
            if self.cursor and (status.epoch, status.newest_seq) == (self.cursor.epoch, self.cursor.seq):
                return
        raise AssertionError("the derived journal never ends")

    def pours(self, chamber: int = 1) -> int:
        return sum(r.kind == Kind.POUR for _, r in self.kept if r.chamber == chamber)

    def register_difference(self, chamber: int = 1) -> int:
        """Σ over epochs of last minus first register, mod 2^32: what reconciliation in the cloud computes."""
        total = 0
        for epoch in {epoch for epoch, _ in self.kept}:
            registers = [r.register_after for e, r in self.kept if e == epoch and r.chamber == chamber]
            total += (registers[-1] - registers[0]) % 2**32
        return total


WIDE = CounterRegister(1, 3, 20, 32, 20_000)
SWAPPED = CounterRegister(2, 3, 22, 32, 5000, low_word_first=True)
NARROW = CounterRegister(1, 4, 10, 16, 5000)


def test_first_reading_makes_a_register_report_and_no_pour() -> None:
    counter = Counter(WIDE, SWAPPED, start=70_000)
    counter.poll()
    assert [(r.kind, r.chamber, r.register_after, r.volume_ml) for _, r in counter.kept] == [
        (Kind.REGISTER_REPORT, 1, 70_000, 20_000),
        (Kind.REGISTER_REPORT, 2, 70_000, 5000),
    ]
    assert {epoch for epoch, _ in counter.kept} == {int(counter.clock.unix_s())}


def test_each_step_of_a_register_is_an_anonymous_pour_marked_as_derived() -> None:
    counter = Counter(WIDE, SWAPPED)
    counter.poll()
    counter.move(2, chamber=2)
    counter.poll(after_s=20)
    pours = [r for _, r in counter.kept if r.kind == Kind.POUR]
    assert [(r.chamber, r.register_after, r.volume_ml) for r in pours] == [(2, 101, 5000), (2, 102, 5000)]
    assert all(r.uid == 0 and r.flags & Flag.DERIVED and r.weight_g is None and r.result == 0 for r in pours)
    assert all(r.clock_status == 1 and r.began_clock_s == int(counter.clock.unix_s()) for r in pours)


plausible_polls = st.lists(
    st.tuples(
        st.integers(10, 3000),  # seconds until this reading
        st.floats(0, 1),  # share of the pours that fit in
        st.floats(0, 1),
        st.sampled_from(["", "restart", "crash", "small page"]),
    ),
    min_size=1,
    max_size=25,
)


@given(plausible_polls, st.integers(0, 2**32 - 1), st.sampled_from([16, 32]))
def test_derived_pours_are_exactly_the_true_ones_while_they_are_plausible(
    polls: list[tuple[int, float, float, str]], start: int, width: int
) -> None:
    chambers = (CounterRegister(1, 4, 10, width, 5000), CounterRegister(2, 4, 12, width, 20_000, width == 32))
    counter = Counter(*chambers, start=start)
    counter.poll()
    true = {1: 0, 2: 0}
    for after_s, *shares, event in polls:
        for number, share in zip((1, 2), shares, strict=True):
            pours = int(share * after_s / 10)
            true[number] += pours
            counter.move(pours, number)
        if event == "restart":
            counter.restart()
        counter.poll(after_s, page=3 if event == "small page" else 500, crash_before_seal=event == "crash")
        if event == "crash":
            counter.restart()
    counter.drain()
    assert {number: counter.pours(number) for number in (1, 2)} == true
    assert {number: counter.register_difference(number) for number in (1, 2)} == true
    assert len({epoch for epoch, _ in counter.kept}) == 1
    assert counter.driver.notice is None


def test_16_bit_register_wraps_without_losing_a_pour() -> None:
    counter = Counter(NARROW, start=65_530)
    counter.poll()
    for _ in range(20):
        counter.move(1)
        counter.poll()
    assert counter.pours() == counter.register_difference() == 20
    assert counter.kept[-1][1].register_after == 65_550


def test_single_pour_is_plausible_however_short_the_interval() -> None:
    counter = Counter()
    counter.poll()
    for _ in range(5):
        counter.move(1)
        counter.poll(after_s=0.5)
    assert counter.pours() == 5


def test_reset_makes_a_new_epoch_with_a_register_report_and_no_pours() -> None:
    counter = Counter(WIDE, start=90_000)
    counter.poll()
    first_epoch = counter.kept[0][0]
    counter.values[1] = 0
    counter.move(3)
    counter.poll()
    assert "more than pours can explain" in (counter.driver.notice or "")
    counter.poll()
    counter.drain()
    assert counter.pours() == 0
    epoch, report = counter.kept[-1]
    assert epoch > first_epoch
    assert (report.kind, report.seq, report.register_after) == (Kind.REGISTER_REPORT, 1, 3)
    assert counter.driver.notice == "register of chamber 1 was reset or swapped: a new epoch began"
    counter.move(1)
    counter.poll()
    assert counter.pours() == 1


def test_one_strange_reading_is_not_yet_a_reset() -> None:
    counter = Counter(WIDE, start=90_000)
    counter.poll()
    counter.registers.set(WIDE, 24_464)  # the high word of a torn reading
    counter.poll()
    counter.move(1)
    counter.poll()
    assert counter.pours() == 1
    assert len({epoch for epoch, _ in counter.kept}) == 1
    assert counter.driver.notice is None


def test_pours_of_the_other_chamber_are_kept_in_the_old_epoch_before_a_reset_ends_it() -> None:
    counter = Counter(WIDE, SWAPPED)
    counter.poll()
    counter.values[1] = 5
    counter.move(0, 1)
    for _ in range(4):
        counter.move(1, 2)
        counter.poll()
    counter.poll()
    counter.drain()
    assert counter.pours(1) == 0
    assert counter.pours(2) == counter.register_difference(2) + _reported_again(counter, 2)
    assert counter.pours(2) == 4


def _reported_again(counter: Counter, chamber: int) -> int:
    """Pours between the last record of one epoch and the first report of the next: there must be none."""
    epochs = sorted({epoch for epoch, _ in counter.kept})
    between = 0
    for old, new in pairwise(epochs):
        last = [r for e, r in counter.kept if e == old and r.chamber == chamber][-1]
        first = next(r for e, r in counter.kept if e == new and r.chamber == chamber)
        between += first.register_after - last.register_after
    return between


def test_epoch_is_greater_than_any_before_even_if_the_clock_went_back() -> None:
    counter = Counter(WIDE, start=90_000)
    counter.poll()
    epoch = counter.kept[0][0]
    counter.clock.seconds -= 30 * DAY_S
    counter.values[1] = 0
    counter.move(0)
    counter.restart()
    counter.poll()
    counter.poll()
    counter.drain()
    assert counter.kept[-1][0] == epoch + 1


def test_lost_memo_or_other_chambers_begin_a_new_epoch() -> None:
    counter = Counter(WIDE)
    counter.poll()
    epoch = counter.kept[0][0]
    assert counter.cursor is not None
    for memo in (None, b"not a memo", b'{"readings":[]}'):
        counter.cursor = Cursor(epoch, 1, 0, True, memo)
        counter.restart()
        counter.move(50)
        counter.poll()
        assert counter.kept[-1][0] > epoch
        assert counter.kept[-1][1].kind == Kind.REGISTER_REPORT
    assert counter.pours() == 0


def test_long_absence_of_a_32_bit_register_is_made_up_for() -> None:
    counter = Counter(WIDE)
    counter.poll()
    counter.move(12_345)
    counter.restart()
    counter.poll(after_s=20 * DAY_S)
    counter.drain()
    assert counter.pours() == 12_345
    assert counter.driver.notice is None


def test_absence_in_which_a_16_bit_register_may_have_wrapped_is_told() -> None:
    counter = Counter(NARROW)
    counter.poll()
    counter.move(40)
    counter.restart()
    counter.poll(after_s=8 * DAY_S)
    assert counter.pours() == 40
    assert "wasn't read for 8 days: it may have wrapped" in (counter.driver.notice or "")


def test_crash_in_the_middle_of_a_long_absence_makes_no_pour_twice_and_loses_none() -> None:
    counter = Counter(WIDE)
    counter.poll()
    counter.move(1000)
    counter.poll(after_s=10_000, page=300)
    counter.restart()
    counter.poll(after_s=5, page=300)
    counter.restart()
    counter.drain()
    assert counter.pours() == 1000
    assert [r.register_after for _, r in counter.kept] == list(range(100, 1101))


def test_without_a_trusted_clock_nothing_is_derived_until_it_is_set() -> None:
    counter = Counter()
    counter.trusted = False
    with pytest.raises(ClockUntrusted, match="waiting"):
        counter.poll()
    counter.trusted = True
    counter.poll()
    counter.trusted = False
    counter.move(1)
    counter.poll()
    assert counter.pours() == 1
    assert counter.kept[-1][1].clock_status == 2, "the time of this pour is of poor quality"


def test_epochs_are_named_apart_though_spools_are_lost_within_a_second() -> None:
    counter = Counter()
    names = []
    for _ in range(3):
        counter.cursor = None
        counter.restart()
        with pytest.raises(ClockUntrusted, match="waiting for the next"):
            counter.poll(after_s=0.1)
        counter.poll(after_s=1.0)
        names.append(counter.driver.identify().epoch)
        counter.cursor = None
        counter.driver.restore(None)  # the same agent, whose spool was lost while it runs
        with pytest.raises(ClockUntrusted, match="waiting for the next"):
            counter.poll(after_s=0.1)
        counter.poll(after_s=0.9)
        names.append(counter.driver.identify().epoch)
    assert names == sorted(set(names))


def test_silence_changes_nothing() -> None:
    counter = Counter()
    counter.poll()
    counter.registers.silent = True
    with pytest.raises(NoAnswer):
        counter.poll()
    counter.registers.silent = False
    counter.move(2)
    counter.poll()
    assert counter.pours() == 2


def test_while_the_spool_takes_nothing_the_records_stay_the_same_and_bounded() -> None:
    counter = Counter()
    counter.poll()
    for _ in range(20):
        counter.move(1)
        counter.poll(page=0)
    first = counter.driver.read_journal(2, 5)
    assert counter.driver.read_journal(2, 5) == first
    counter.drain()
    assert counter.pours() == 20


def test_a_counter_refuses_what_it_cannot_do() -> None:
    driver = Counter().driver
    for order in (
        lambda: driver.set_clock(1),
        lambda: driver.enable_chambers(1),
        lambda: driver.write_access_list(1, []),
        lambda: driver.run_command(1, CommandCode.REBOOT, 1),
    ):
        with pytest.raises(NotSupported):
            order()
