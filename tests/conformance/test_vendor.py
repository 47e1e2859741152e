"""The second vendor's controller keeps to the map itself, and sees when somebody else doesn't."""

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.conformance.vendor import slot
from tests.conformance.vendor.conduct import Conduct
from tests.conformance.vendor.controller import Controller
from tests.conformance.vendor.frames import READ_INPUT, WRITE_MANY, Refusal, Request, parse_request
from tests.conformance.vendor.life import Life
from tests.conformance.vendor.manners import Manners
from tests.conformance.vendor.registers import ACK, COMMAND, MASK, RING, STATUS, STATUS_WORDS, Registers
from tests.conformance.vendor.rtu import RtuBus
from tests.conformance.vendor.slot import Content, check_of, pack
from tests.conformance.vendor.sums import frame_check
from tests.conformance.vendor.traits import LAST_SEQ, draw_traits
from tests.conformance.vendor.unit import LockUnit
from tests.support.waiting import wait_until

VECTORS = Path(__file__).parents[1] / "vectors" / "records.json"


def controller_of(seed: int) -> Controller:
    return Controller(draw_traits(Random(seed)), Random(seed), time.time)


def test_records_are_packed_as_the_vectors_say() -> None:
    for vector in json.loads(VECTORS.read_text()):
        fields = vector["fields"]
        content = Content(
            fields["kind"],
            fields["began_clock_s"],
            fields["boot"],
            fields["flags"],
            fields["result"],
            fields["chamber"],
            fields["uid"],
            fields["volume_ml"],
            fields["weight_word"],
            fields["duration_ds"],
            fields["register_after"],
        )
        key = bytes.fromhex(vector["mac_key"]) if vector["mac_key"] else None
        assert pack(content, fields["seq"], vector["serial"], vector["epoch"], key).hex() == vector["raw"]


@pytest.mark.parametrize("seed", range(12))
def test_journal_is_gap_free_and_proves_its_registers_whatever_happens(seed: int) -> None:
    device, rng = controller_of(seed), Random(seed)
    life = Life(device, rng, epochs=0.2, power_cuts=3.0)
    for _ in range(1500):
        life.step()
        journal = device.journal
        assert journal.newest - journal.confirmed <= journal.capacity
        if rng.random() < 0.02 and journal.newest > journal.confirmed:
            device.confirm(rng.randint(journal.confirmed + 1, journal.newest))
    registers: dict[tuple[int, int], int] = {}
    last: dict[int, int] = {}
    for made in device.history:
        assert made.seq == last.get(made.epoch, made.seq - 1) + 1
        last[made.epoch] = made.seq
        kind, result, chamber = made.raw[10], made.raw[11], made.raw[12]
        if kind in (slot.POUR, slot.REPORT):
            after, place = int.from_bytes(made.raw[28:32], "big"), (made.epoch, chamber)
            counted = kind == slot.POUR and result == 0
            assert after == (registers.get(place, after - counted) + counted) % (1 << 32)
            registers[place] = after


@pytest.mark.parametrize("seed", range(40))
def test_every_record_that_the_status_calls_readable_is_there(seed: int) -> None:
    journal = controller_of(seed).journal
    for seq in range(journal.oldest, journal.newest + 1) if journal.newest else ():
        assert slot.seq_of(journal.serve(seq % journal.capacity)) == seq


def test_last_sequence_number_is_never_passed() -> None:
    device = controller_of(1)
    device.journal.newest = device.journal.confirmed = LAST_SEQ - 15
    life = Life(device, Random(1), power_cuts=0.0)
    epoch = device.journal.epoch
    for _ in range(300):
        life.step()
        assert device.journal.newest <= LAST_SEQ
    assert device.journal.epoch == epoch, "not all of it is confirmed yet"


class Client:
    """Somebody who asks one lock, rightly or wrongly; `disk` is what it has stored."""

    def __init__(self) -> None:
        self.device = controller_of(3)
        self.disk: dict[tuple[int, int, int], bytes] = {}
        self.conduct = Conduct(
            "lock", self.device, lambda *identity: self.disk.get(identity), time.monotonic, 30
        )
        self.unit = LockUnit(Registers(self.device), self.conduct, lambda request: None)
        self.device.clock.set(int(time.time()))
        self.device.confirm(self.device.journal.newest, elsewhere=True)
        Life(self.device, Random(2)).pour(8)

    def ask(self, function: int, address: int, words: int, data: bytes = b"") -> bytes:
        answer = self.unit.answer(Request(1, function, address, words, data))
        self.unit.after_answer(arrived=True)
        return answer[2:]

    def read_status(self) -> None:
        self.ask(READ_INPUT, STATUS, STATUS_WORDS)

    def read_new_records(self) -> None:
        """Read and store everything that isn't confirmed."""
        journal = self.device.journal
        for seq in range(journal.confirmed + 1, journal.newest + 1):
            raw = self.ask(READ_INPUT, RING + seq % journal.capacity * 22, 22)
            self.disk[journal.traits.serial, journal.epoch, seq] = raw

    def acknowledge(self, seq: int, check: int | None = None) -> None:
        journal = self.device.journal
        check = check_of(journal.made[seq].raw) if check is None else check
        data = b"".join(word.to_bytes(4, "big") for word in (journal.epoch, seq, check))
        self.ask(WRITE_MANY, ACK, 6, data)


@pytest.fixture
def client() -> Client:
    return Client()


def test_good_client_gives_no_offence(client: Client) -> None:
    client.read_status()
    client.read_new_records()
    client.acknowledge(client.device.journal.newest)
    assert client.device.journal.confirmed == client.device.journal.newest
    for _ in range(5):
        client.read_status()
    assert client.conduct.offences == []


def test_confirming_what_is_not_on_disk_is_an_offence(client: Client) -> None:
    client.read_status()
    client.read_new_records()
    missing = client.device.journal.newest - 2
    del client.disk[client.device.traits.serial, client.device.journal.epoch, missing]
    client.acknowledge(client.device.journal.newest)
    assert client.conduct.offences == [
        f"lock: the agent acknowledged {missing} of epoch {client.device.journal.epoch} before it was in the spool"
    ]


def test_confirming_what_was_never_read_is_an_offence(client: Client) -> None:
    client.read_status()
    client.acknowledge(client.device.journal.newest)
    assert "which it never read whole" in client.conduct.offences[0]


def test_confirming_with_a_wrong_check_is_refused_and_an_offence(client: Client) -> None:
    client.read_status()
    client.read_new_records()
    with pytest.raises(Refusal, match="exception 3"):
        client.acknowledge(client.device.journal.newest, check=1)
    assert client.conduct.offences


def test_storing_other_bytes_than_were_read_is_an_offence(client: Client) -> None:
    client.read_status()
    client.read_new_records()
    client.disk[client.device.traits.serial, client.device.journal.epoch, client.device.journal.newest] = (
        bytes(44)
    )
    client.acknowledge(client.device.journal.newest)
    assert "stored other bytes" in client.conduct.offences[0]


@pytest.mark.parametrize(
    ("what", "request_"),
    [
        ("half a status", Request(1, READ_INPUT, STATUS, 20)),
        ("beyond the identity", Request(1, READ_INPUT, 0x10, 0x20)),
        ("between the blocks", Request(1, READ_INPUT, 0x200, 1)),
        ("beyond the ring's end", Request(1, READ_INPUT, RING + 2047 * 22, 22)),
        ("half a field", Request(1, WRITE_MANY, ACK, 4, bytes(8))),
        ("a mask that nobody asked for", Request(1, WRITE_MANY, MASK, 1, b"\x00\x01")),
        ("a command that nobody asked for", Request(1, WRITE_MANY, COMMAND, 2, b"\x00\x01\x00\x01")),
        ("no field", Request(1, WRITE_MANY, 0x300, 1, bytes(2))),
    ],
)
def test_what_the_map_does_not_offer_is_an_offence(client: Client, what: str, request_: Request) -> None:
    client.read_status()
    try:
        client.unit.answer(request_)
    except Refusal as refusal:
        assert refusal.code in (2, 3), what
    assert client.conduct.offences, what


def test_setting_a_good_clock_is_an_offence(client: Client) -> None:
    client.read_status()
    client.ask(WRITE_MANY, 0x106, 2, int(time.time()).to_bytes(4, "big"))
    assert "less than 30 s" in client.conduct.offences[0]


def test_asking_an_idle_lock_on_and_on_is_an_offence(client: Client) -> None:
    client.read_status()
    client.read_new_records()
    client.acknowledge(client.device.journal.newest)
    client.read_status()
    for _ in range(3):
        client.ask(READ_INPUT, 0, 32)
    assert "nothing to say" in client.conduct.offences[0]


def test_more_words_than_a_frame_holds_are_refused() -> None:
    with pytest.raises(Refusal, match="126 words"):
        parse_request(1, bytes((READ_INPUT, 0, 0, 0, 126)))


class Wire:
    """The other end of a line on which unit 1 takes its time to answer."""

    def __init__(self, client: Client) -> None:
        manners = Manners(Random(1), slow=1.0, mute=0.0, pieces=0.0)
        self.bus = RtuBus("rtu", threading.RLock(), Random(1), manners, patience_s=0.3)
        self.bus.units[1] = client.unit
        self.end = os.open(self.bus.device, os.O_RDWR | os.O_NOCTTY)

    def ask(self, unit: int) -> None:
        frame = bytes((unit, READ_INPUT, 0, STATUS, 0, STATUS_WORDS))
        os.write(self.end, frame + frame_check(frame))

    def offends(self, offence: str, *units: int) -> bool:
        """Ask these units one after the other, each as soon as the one before was heard; was that an offence?

        On a busy machine it may take too long to be one: to be asked again.
        """
        for unit in units:
            wanted = self.bus.requests + 1
            self.ask(unit)
            wait_until(lambda: self.bus.requests >= wanted, 5, "a request to be heard", 0.002)  # noqa: B023
        return any(offence in found for found in self.bus.offences)


@pytest.fixture
def wire(client: Client) -> Iterator[Wire]:
    wire = Wire(client)
    wire.bus.start()
    yield wire
    os.close(wire.end)
    wire.bus.close()


def test_talking_into_an_answer_is_an_offence(wire: Wire) -> None:
    wait_until(lambda: wire.offends("while the answer to the one before was on its way", 1, 1), 10)


def test_asking_on_after_silence_without_draining_is_an_offence(wire: Wire) -> None:
    wait_until(lambda: wire.offends("after the line was last disturbed", 9, 1), 10)
    assert any("unit 9, which it wasn't told of" in offence for offence in wire.bus.offences)
