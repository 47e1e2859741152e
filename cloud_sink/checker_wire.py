"""What a sink and its checking processes tell each other, as bytes: keys and messages there, what became of them back.

    sink ──▶ NewKeys            the keys in force from here on; first of all, and whenever they were read again
         ──▶ Messages           as they came, in their order
         ◀── Answers            one for each message, in the same order
         ◀── Failed             the last words of a process that can't go on

An answer leaves out the message itself, whose bytes the sink has kept.
"""

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cloud_sink.checking import CheckedPage, JournalKey, Message, Reason, Rejected
from cloud_sink.decoding import Decoded
from cloud_sink.keys import KeyRing, LockKeys
from cloud_sink.pseudonyms import Pseudonyms
from wastelock.page import key_id
from wastelock.record import MacKey


class NewKeys(msgspec.Struct, array_like=True, tag=0):
    """A KeyRing. `gateways`: site, gateway, its public keys. `locks`: lock, from_epochs, the MAC key from each on."""

    gateways: list[tuple[str, str, list[bytes]]]
    locks: list[tuple[str, list[int], list[bytes]]]
    pseudonym_key: bytes


class Messages(msgspec.Struct, array_like=True, tag=1):
    """Messages to check."""

    messages: list[Message]


class _Taken(msgspec.Struct, array_like=True, tag=0):
    """A CheckedPage."""

    key: JournalKey
    page: int
    prev: str
    hash: str
    version: int
    clock: str | None
    kid: str
    sig: str
    decoded: Decoded


class _Refused(msgspec.Struct, array_like=True, tag=1):
    """A Rejected message."""

    reason: Reason
    detail: str
    key: JournalKey | None
    page: int | None


class Answers(msgspec.Struct, array_like=True, tag=0):
    """What became of each of some messages."""

    answers: list[_Taken | _Refused]


class Failed(msgspec.Struct, array_like=True, tag=1):
    """An error that nobody foresaw: its kind, and where it happened, but not what it says: that may hold anything."""

    error: str
    places: list[str]


encode = msgspec.msgpack.Encoder().encode
decode_request = msgspec.msgpack.Decoder(NewKeys | Messages).decode
decode_reply = msgspec.msgpack.Decoder(Answers | Failed).decode


def give_keys(keys: KeyRing) -> NewKeys:
    """Return what `take_keys` makes the same KeyRing of."""
    return NewKeys(
        [(*name, [key.public_bytes_raw() for key in ring.values()]) for name, ring in keys.gateways.items()],
        [(name, list(of.from_epochs), [key.key for key in of.keys]) for name, of in keys.locks.items()],
        keys.pseudonyms.key,
    )


def take_keys(given: NewKeys, before: KeyRing | None) -> KeyRing:
    """Return the keys. `before`: those in force until now, whose pseudonyms are kept if their key is the same."""
    pseudonyms = before.pseudonyms if before is not None else None
    if pseudonyms is None or pseudonyms.key != given.pseudonym_key:
        pseudonyms = Pseudonyms(given.pseudonym_key)
    rings = {
        (site, gateway): [Ed25519PublicKey.from_public_bytes(key) for key in keys]
        for site, gateway, keys in given.gateways
    }
    return KeyRing(
        {name: {key_id(key): key for key in ring} for name, ring in rings.items()},
        {
            lock: LockKeys(tuple(epochs), tuple(MacKey(key) for key in keys))
            for lock, epochs, keys in given.locks
        },
        pseudonyms,
    )


def give_answer(result: CheckedPage | Rejected) -> _Taken | _Refused:
    """Return what `take_answer` makes the same result of."""
    if isinstance(result, Rejected):
        return _Refused(result.reason, result.detail, result.key, result.page)
    return _Taken(
        result.key, result.page, result.prev, result.hash, result.version, result.clock, result.kid, result.sig,
        result.decoded,
    )  # fmt: skip


def take_answer(message: Message, answer: _Taken | _Refused) -> CheckedPage | Rejected:
    """Return the result of checking this message."""
    if isinstance(answer, _Refused):
        return Rejected(message, answer.reason, answer.detail, answer.key, answer.page)
    return CheckedPage(
        message, answer.key, answer.page, answer.prev, answer.hash, answer.version, answer.clock, answer.kid,
        answer.sig, answer.decoded,
    )  # fmt: skip
