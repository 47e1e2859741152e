"""Makes the gateway's page-signing key."""

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from edge_agent.errors import ConfigError
from wastelock.page import SigningKey


def make_signing_key(path: Path) -> SigningKey:
    """Write a new Ed25519 key as PEM that only its owner can read; never over one that is there.

    An overwritten key would make the sink refuse every page that is sealed but not yet sent.
    """
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConfigError(
            f"gateway.signing_key: {path} is there already; it is never overwritten; "
            "remedy: keep it, or move it away and register the new key's public half with the sink"
        ) from error
    except OSError as error:
        raise ConfigError(
            f"gateway.signing_key: {path} can't be written ({error.strerror}); remedy: make its directory writable"
        ) from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    return SigningKey(private)
