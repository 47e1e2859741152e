"""What checking a record costs: decode, CRC-32 and MAC, in batches as the sink gets them, on one core.

figure    records per second of CPU time
baseline  struct.unpack of the same 44 bytes in a plain loop: no names, no CRC, no MAC

The last row is the sink's whole way from page bytes to rows: JSON, base64, CRC-32, MAC, pseudonym.
"""

import struct
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.table import Baseline, Row
from bench.workplace import BenchFailed, Workplace
from cloud_sink.checking import decode_page
from cloud_sink.keys import KeyRing
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.ledger import load_keys, write_keys
from wastelock.page import from_base64url
from wastelock.record import MacKey, crc_holds, decode_record

_KEY = bytes(range(16))
_BATCH = 100
_PLAIN = struct.Struct(">IIHBBBBQHHHI8sI")
_UNIT = "records/CPU-s"


def run(place: Workplace) -> list[Row]:
    lock, gateway = FakeLock(key=_KEY), FakeGateway()
    records = [lock.pours(_BATCH) for _ in range(place.pick(100, 10))]
    batches = [[from_base64url(record.raw) for record in batch] for batch in records]
    pages = [gateway.seal(batch).payload for batch in records]
    keys = _keys(place.directory, gateway, lock)
    key = MacKey(_KEY)
    subjects: dict[str, Callable[[], None]] = {
        "plain": lambda: _unpack(batches),
        "decode": lambda: _decode(batches),
        "decode, CRC-32": lambda: _decode_and_check(batches, lock),
        "decode, CRC-32, MAC": lambda: _decode_and_prove(batches, lock, key),
        "page bytes to the ledger's rows": lambda: _decode_pages(pages, keys),
    }
    place.say(f"{len(batches) * _BATCH:,} records, over and over")
    rates: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(place.pick(15, 3)):
        for name, subject in subjects.items():
            rates[name].append(len(batches) * _BATCH / _cpu_s(subject))
    baseline = Baseline("struct.unpack in a loop", tuple(rates.pop("plain")))
    return [Row(name, _UNIT, tuple(mine), baseline) for name, mine in rates.items()]


def _cpu_s(action: Callable[[], None]) -> float:
    began_s = time.process_time()
    action()
    return time.process_time() - began_s


def _keys(directory: Path, gateway: FakeGateway, lock: FakeLock) -> KeyRing:
    write_keys(directory, [gateway], [lock])
    return load_keys(directory)


def _unpack(batches: Sequence[Sequence[bytes]]) -> None:
    for batch in batches:
        for raw in batch:
            _PLAIN.unpack(raw)


def _decode(batches: Sequence[Sequence[bytes]]) -> None:
    for batch in batches:
        for raw in batch:
            decode_record(raw)


def _decode_and_check(batches: Sequence[Sequence[bytes]], lock: FakeLock) -> None:
    for batch in batches:
        for raw in batch:
            decode_record(raw)
            if not crc_holds(raw, lock.serial, lock.epoch):
                raise BenchFailed("the CRC-32 of a good record doesn't hold")


def _decode_and_prove(batches: Sequence[Sequence[bytes]], lock: FakeLock, key: MacKey) -> None:
    _decode_and_check(batches, lock)
    for batch in batches:
        if key.tags(batch, lock.serial, lock.epoch) != [raw[32:40] for raw in batch]:
            raise BenchFailed("the MAC of a good record doesn't hold")


def _decode_pages(pages: Sequence[bytes], keys: KeyRing) -> None:
    for payload in pages:
        _, _, decoded = decode_page(payload, keys)
        if sum(len(group.rows) for group in decoded.groups) != _BATCH:
            raise BenchFailed("records of a good page were left out")
