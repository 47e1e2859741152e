"""Facts as canonical JSON and back, and a property's facts as a snapshot.

The same fact always has the same bytes, so two are compared by their payloads and a snapshot is hashed over them.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from types import GenericAlias
from typing import Any

import msgspec

from billing_aggregator.masterdata import schema
from billing_aggregator.masterdata.columns import Table
from billing_aggregator.masterdata.facts import Fact
from billing_aggregator.masterdata.schema import TABLES
from billing_aggregator.masterdata.snapshot import Snapshot

Payloads = Mapping[str, Mapping[str, str]]  # table -> key -> payload

_ENCODER = msgspec.json.Encoder(order="sorted")
_DECODERS: Mapping[str, msgspec.json.Decoder[Any]] = {
    name: msgspec.json.Decoder(GenericAlias(tuple, (table.fact, ...))) for name, table in TABLES.items()
}
_UNHASHED = frozenset({schema.PARTY.name})  # names and addresses are for printing only


def encode_fact(fact: Fact) -> str:
    """Return a fact's canonical JSON."""
    return _ENCODER.encode(fact).decode()


def decode_fact(table: Table, payload: str) -> Fact:
    """Return the fact that a payload holds."""
    found: tuple[Fact, ...] = decode_all(table, [payload])
    return found[0]


def decode_all(table: Table, payloads: Sequence[str]) -> Any:
    """Return the facts of one table that these payloads hold, as a tuple."""
    return _DECODERS[table.name].decode(f"[{','.join(payloads)}]")


def make_snapshot(payloads: Payloads, known_at: datetime) -> Snapshot | None:
    """Return the snapshot of one property's facts; None while the property itself isn't among them."""
    decoded: dict[str, Any] = {}
    digest = sha256()
    for name, decoder in _DECODERS.items():
        rows = payloads.get(name, {})
        joined = "[" + ",".join([rows[key] for key in sorted(rows)]) + "]"
        if name not in _UNHASHED:
            digest.update(f'"{name}":{joined}\n'.encode())
        decoded[name] = decoder.decode(joined)
    properties = decoded.pop(schema.PROPERTY.name)
    if not properties:
        return None
    return Snapshot(
        property=properties[0],
        known_at=known_at,
        hash=digest.hexdigest(),
        **{field: decoded[name] for name, field in schema.COLLECTIONS.items()},
    )
