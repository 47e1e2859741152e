"""Prints entries as JSON lines, in the order of their positions; memory stays bounded however many there are."""

from collections.abc import Iterable
from datetime import datetime
from typing import BinaryIO

import msgspec

from cloud_sink.reading import Entry
from wastelock.page import format_instant

_FLUSH_BYTES = 1 << 16


def write_lines(entries: Iterable[Entry], out: BinaryIO) -> int:
    """Write one line per entry and return how many."""
    encode = msgspec.json.Encoder().encode_into
    buffer = bytearray()
    count = 0
    for entry in entries:
        encode(_line(entry), buffer, len(buffer))
        buffer += b"\n"
        count += 1
        if len(buffer) >= _FLUSH_BYTES:
            out.write(buffer)
            buffer.clear()
    out.write(buffer)
    out.flush()
    return count


def _line(entry: Entry) -> dict[str, object]:
    return {
        "position": entry.position,
        "lock": entry.lock,
        "epoch": entry.epoch,
        "seq": entry.seq,
        "kind": entry.kind,
        "result": entry.result,
        "chamber": entry.chamber,
        "flags": entry.flags,
        "volume_ml": entry.volume_ml,
        "register_after": entry.register_after,
        "began_at": _instant(entry.began_at),
        "began_clock_s": entry.began_clock_s,
        "credential": entry.credential,
        "unverified": entry.unverified,
        "gateway": entry.gateway,
        "journal": entry.journal,
        "page": entry.page,
        "committed_at": _instant(entry.committed_at),
    }


def _instant(at: datetime | None) -> str | None:
    return None if at is None else format_instant(at)
