"""Makes and reads a gateway's page-signing key, as `edge-agent keygen` does."""

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)


def new_signing_key() -> bytes:
    """Return a new Ed25519 private key as PEM, as `edge-agent keygen` makes it."""
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_key(private_pem: bytes) -> Ed25519PublicKey:
    """Return the public half of a page-signing key."""
    private = load_pem_private_key(private_pem, password=None)
    assert isinstance(private, Ed25519PrivateKey)
    return private.public_key()


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, from its first byte on."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
