"""A transponder's number is in page bytes and nowhere else: no table, no report, no log (contract rule 7)."""

import json
import logging
import re
import traceback
from collections.abc import Callable
from io import BytesIO, StringIO
from typing import Any

import pytest
import sqlalchemy as sa
import structlog

from cloud_sink import presenting
from cloud_sink.exporting import write_lines
from cloud_sink.ledger import tables as t
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.ledger import Ledger, message, pseudonym
from wastelock.page import PageRecord, to_base64url

UID = 0xE0040150_7A6B5C4D
# Whatever somebody could make of it: numbers, bytes, hexadecimal, base64, each also with bytes turned round.
_BYTES = [UID.to_bytes(8, "big"), UID.to_bytes(8, "little")]
SHAPES = [
    *(data.hex().encode() for data in _BYTES), *(data.hex().upper().encode() for data in _BYTES), *_BYTES,
    str(UID).encode(), str(UID - 2**64).encode(), to_base64url(_BYTES[0])[:10].encode(),
]  # fmt: skip


def fill(ledger: Ledger, gateway: FakeGateway, keyed: FakeLock) -> None:
    """Everything that can happen to a record of this transponder."""
    lock = FakeLock()
    whole = lock.page_record(lock.record(uid=UID))
    torn = lock.page_record(lock.record(uid=UID), unverified=True)
    unknown = PageRecord(lock.name, "wlc-9", 1, 3, whole.raw, whole.read_at)
    unfit = PageRecord(lock.name, "wlc-1", 1, 9, whole.raw, whole.read_at)
    forged = FakeLock(keyed.serial, keyed.epoch, key=b"x" * 16)
    lock.seq = 0
    other = lock.page_record(lock.record(uid=UID, volume_ml=1))
    lock.seq = 20
    late = lock.page_record(lock.record(uid=UID))
    page = gateway.seal([whole, torn, unknown, unfit, forged.page_record(forged.record(uid=UID))])
    ledger.take(page, gateway.seal([other, late]), gateway.seal([whole], prev="C" * 43))
    ledger.take(message(page, sig="A" * 86), message(page, payload=page.payload[:-5], sig="B" * 86))


def leaks(data: bytes) -> list[bytes]:
    return [shape for shape in SHAPES if shape in data]


def test_no_table_but_pages_and_quarantined_bytes_holds_a_number(
    ledger: Ledger, gateway: FakeGateway, keyed_lock: FakeLock
) -> None:
    fill(ledger, gateway, keyed_lock)
    seen = 0
    with ledger.database.reading() as connection:
        for table in t.metadata.sorted_tables:
            columns = [column for column in table.columns if column.name != "payload"]
            for row in connection.execute(sa.select(*columns)):
                for value in row:
                    data = bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
                    assert not leaks(data), f"{table.name}: {row}"
                    assert value not in (UID, UID - 2**64)
                    seen += 1
        raws = [row.payload for row in connection.execute(sa.select(t.pages.c.payload))]
    assert seen > 100
    assert any(re.search(rb'"raw":"', bytes(raw)) for raw in raws), (
        "the page bytes do hold it: nothing was lost"
    )


def test_no_report_prints_a_number(ledger: Ledger, gateway: FakeGateway, keyed_lock: FakeLock) -> None:
    fill(ledger, gateway, keyed_lock)
    reader = ledger.reader
    exported = BytesIO()
    write_lines(reader.all_entries(), exported)
    assert json.loads(exported.getvalue().splitlines()[0])["credential"] == pseudonym(ledger, UID)
    shown: list[tuple[list[Any], Callable[[Any], str]]] = [
        (reader.record_gaps(), presenting.gap), (list(reader.runs()), presenting.run),
        (list(reader.disputes()), presenting.dispute), (list(reader.quarantine()), presenting.quarantined),
        (reader.journals(), presenting.journal),
    ]  # fmt: skip
    for items, describe in shown:
        assert items
        for as_json in (False, True):
            out = StringIO()
            presenting.print_all(items, describe, as_json, out, "none")
            assert not leaks(out.getvalue().encode())
    assert not leaks(exported.getvalue())


def test_no_log_and_no_error_text_holds_a_number(
    ledger: Ledger, gateway: FakeGateway, keyed_lock: FakeLock, capsys: pytest.CaptureFixture[str]
) -> None:
    structlog.reset_defaults()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG))
    try:
        fill(ledger, gateway, keyed_lock)
        # A row that the database refuses: its error text would hold all values.
        with pytest.raises(Exception) as caught, ledger.database.writing() as connection:
            row = {column.name: 1 for column in t.entries.columns} | {"credential": UID.to_bytes(8, "big")}
            connection.execute(t.entries.insert(), row)
        whole = "".join(traceback.format_exception(caught.value))  # as a log may have it
        assert not leaks(whole.encode()) and repr(UID.to_bytes(8, "big")) not in whole
    finally:
        structlog.reset_defaults()
    captured = capsys.readouterr()
    assert not leaks((captured.out + captured.err).encode())
