"""The authority's directory: its key, readable by its owner only, its certificate, and files replaced whole."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from cloud_sink.authority.certificates import Issuer
from cloud_sink.errors import ConfigError

_KEY, _CERTIFICATE, _REGISTER = "ca.key", "ca.crt", "register.sqlite"


@dataclass(frozen=True, slots=True)
class Vault:
    """Where the authority lives. `passphrase_file`: holds what its key is encrypted with; None: it isn't."""

    directory: Path
    passphrase_file: Path | None = None

    @property
    def certificate(self) -> Path:
        return self.directory / _CERTIFICATE

    @property
    def register(self) -> Path:
        return self.directory / _REGISTER

    @property
    def key(self) -> Path:
        return self.directory / _KEY

    def create(self, issuer: Issuer) -> None:
        """Write a new authority; ConfigError where there is one already: another one would lock everybody out."""
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.directory.chmod(0o700)
            if self.key.exists() or self.register.exists():
                raise ConfigError(
                    [
                        f"{self.directory}: there is an authority already; it is never overwritten. Left as it is"
                    ]
                )
            replace_file(self.certificate, issuer.certificate.public_bytes(Encoding.PEM), 0o644)
            # Last: whoever finds a key finds a whole authority.
            replace_file(self.key, private_pem(issuer.key, self._passphrase()), 0o600)
        except OSError as error:
            raise ConfigError([f"{self.directory}: can't be written: {error.strerror}"]) from error

    def open(self) -> Issuer:
        """Return the authority; ConfigError with what is wrong with its files, and what to do."""
        try:
            if self.key.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise ConfigError(
                    [
                        f"{self.key}: is open to other users: chmod 600 {self.key}, and think of who has read it"
                    ]
                )
            certificate = x509.load_pem_x509_certificate(self.certificate.read_bytes())
            key = load_pem_private_key(self.key.read_bytes(), self._passphrase())
        except FileNotFoundError as error:
            raise ConfigError(
                [
                    f"{error.filename}: isn't there: make the authority with `cloud-sink ca init`, or restore its copy"
                ]
            ) from error
        except OSError as error:
            raise ConfigError([f"{error.filename}: can't be read: {error.strerror}"]) from error
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ConfigError(
                [f"{self.directory}: {_KEY} or {_CERTIFICATE} can't be used: see authority.passphrase_file"]
            ) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise ConfigError(
                [f"{self.directory}: {_KEY} isn't the key of {_CERTIFICATE}: restore both from a copy"]
            )
        return Issuer(certificate, key)

    def _passphrase(self) -> bytes | None:
        if self.passphrase_file is None:
            return None
        phrase = self.passphrase_file.read_bytes().strip()
        if not phrase:
            raise ConfigError([f"{self.passphrase_file}: is empty: it must hold the passphrase"])
        return phrase


def private_pem(key: ec.EllipticCurvePrivateKey, passphrase: bytes | None = None) -> bytes:
    """Return a private key in PEM, encrypted where there is a passphrase."""
    encryption: KeySerializationEncryption = NoEncryption()
    if passphrase is not None:
        encryption = BestAvailableEncryption(passphrase)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def replace_file(path: Path, content: bytes, mode: int) -> None:
    """Put a file there whole, or leave the one that was: who reads it never sees half of one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    temporary.replace(path)
