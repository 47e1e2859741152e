"""What is carried as a small file between cloud and gateway: a body, fixed as text, and a signature over that text.

    protocol   of commissioning, decommissioning, replacement: signed with the gateway's page-signing key
    receipts   what the ledger has of a gateway's journals: signed with one of the cloud's order keys

Signed like a page, over what it is for and its text: what is signed for one gateway says nothing of another, and no
file can be taken for another sort of file. Pure: the caller reads and writes.
"""

from collections.abc import Callable
from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import Field, ValidationError

from wastelock.messages import Instant, Message, Receipt
from wastelock.page import SigningKey, signature_holds

RECEIPTS_SUFFIX = ".wlreceipts"
SIGNED_FILE_BYTES_MAX = 16 * 1024 * 1024


class InvalidFile(ValueError):
    """Not what it should be, or not signed by whom it should be: the message says which."""


class SignedFile(Message):
    """A body with its signature; without one where nobody had a key to sign it with."""

    wastelock: Literal["protocol", "receipts"]
    body: Annotated[str, Field(max_length=SIGNED_FILE_BYTES_MAX)]
    kid: Annotated[str | None, Field(max_length=64)] = None
    sig: Annotated[str | None, Field(max_length=128)] = None


class Receipts(Message):
    """What the ledger has of a gateway's journals, one receipt for each."""

    site: str
    gateway: str
    at: Instant
    receipts: Annotated[tuple[Receipt, ...], Field(min_length=1, max_length=1000)]


def seal_file(
    what: Literal["protocol", "receipts"], body: Message, signed_as: str, key: SigningKey | None
) -> SignedFile:
    """Return the file of a body. `signed_as`: protocol_file or receipts_file of the gateway's topics."""
    text = body.to_json().decode()
    if key is None:
        return SignedFile(wastelock=what, body=text)
    return SignedFile(wastelock=what, body=text, kid=key.kid, sig=key.sign(signed_as, text.encode()))


def read_file(content: bytes, what: Literal["protocol", "receipts"]) -> SignedFile:
    """Return the file in these bytes, or raise InvalidFile; its signature isn't looked at."""
    try:
        file = SignedFile.model_validate_json(content)
    except ValidationError:
        raise InvalidFile(f"isn't a file of {what}") from None
    if file.wastelock != what:
        raise InvalidFile(f"is a file of {file.wastelock}, expected {what}")
    return file


def check_signature(
    file: SignedFile, signed_as: str, key_of: Callable[[str], Ed25519PublicKey | None]
) -> str:
    """Return the kid of the key that signed the file, or raise InvalidFile. `key_of`: the known key of a kid."""
    if file.kid is None or file.sig is None:
        raise InvalidFile("isn't signed")
    public = key_of(file.kid)
    if public is None:
        raise InvalidFile(f"is signed with key {file.kid}, which isn't known here")
    if not signature_holds(public, signed_as, file.body.encode(), file.sig):
        raise InvalidFile("has a signature that doesn't hold: it was changed, or made by somebody else")
    return file.kid
