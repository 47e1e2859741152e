"""The key that the cloud signs orders with: an Ed25519 key in PEM, readable by its owner only."""

import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from cloud_sink.errors import ConfigError
from wastelock.page import SigningKey, to_base64url

_REMEDY = "make one with `cloud-sink orders-key make`, or restore its copy"


def make_signing_key(path: Path) -> SigningKey:
    """Write a new key; ConfigError if there is a file already: gateways would no longer believe what is signed."""
    key = Ed25519PrivateKey.generate()
    content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        raise ConfigError(
            [f"{path}: there is a key already; name another file in orders.signing_key. Left as it is"]
        ) from error
    except OSError as error:
        raise ConfigError([f"{path}: can't be written: {error.strerror}"]) from error
    return SigningKey(key)


def load_signing_key(path: Path) -> SigningKey:
    """Return the key in this file; ConfigError with what is wrong with it, and what to do."""
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(
                [f"{path}: is open to other users: chmod 600 {path}, and think of who has read it"]
            )
        key = load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError as error:
        raise ConfigError([f"{path}: orders.signing_key isn't there: {_REMEDY}"]) from error
    except OSError as error:
        raise ConfigError([f"{path}: can't be read: {error.strerror}"]) from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError([f"{path}: isn't a private key in PEM without passphrase: {_REMEDY}"]) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError([f"{path}: isn't an Ed25519 key: {_REMEDY}"])
    return SigningKey(key)


def public_text(key: SigningKey) -> str:
    """Return the public half as gateways and the authority have it: base64url, 43 characters."""
    return to_base64url(key.private.public_key().public_bytes_raw())
