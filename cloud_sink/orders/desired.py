"""What is wished of a gateway's locks -> the desired state as it goes onto the wire. Pure.

The same wishes always make the same bytes: a gateway takes other bytes under a revision that it has for a replay.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from cloud_sink.ledger.desired_states import Entry, WishedLock
from wastelock.page import format_instant, to_base64url

_SEPARATORS = (",", ":")


def locks_as_told(wished: Mapping[str, WishedLock]) -> dict[str, Any]:
    """Return what a desired state says of its locks, by lock; what isn't wished is left out."""
    return {lock: _told(wished[lock]) for lock in sorted(wished)}


def digest(locks: Mapping[str, Any]) -> str:
    """Return what tells this content from any other."""
    return to_base64url(sha256(json.dumps(locks, separators=_SEPARATORS).encode()).digest())


def payload(locks: Mapping[str, Any], revision: int, changed_at: datetime) -> bytes:
    """Return the bytes of a `Desired`; entries are as short as they can be: there may be tens of thousands."""
    told = {"v": 1, "revision": revision, "at": format_instant(changed_at), "locks": locks}
    return json.dumps(told, separators=_SEPARATORS).encode()


def _told(wished: WishedLock) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if wished.version is not None:
        told["access_list_version"] = wished.version
        told["access_list"] = [_entry(each) for each in wished.entries]
    if wished.enable_mask is not None:
        told["enable_mask"] = wished.enable_mask
    if wished.poll_interval_s is not None:
        told["poll_interval_s"] = wished.poll_interval_s
    return told


def _entry(entry: Entry) -> dict[str, Any]:
    flags = {"service": entry.service, "blocked": entry.blocked}
    return {"uid": entry.uid, **{name: True for name, is_set in flags.items() if is_set}}
