"""The gateway's identity on disk: certificate and keys in one directory, replaced all at once.

    identity/
      current -> v3/      ca.crt  gateway.crt  gateway.key  signing.pem  request.json     what is in use
      v2/                 the one before
      pending/            gateway.key  signing.pem  request.json  [authority]  [answer.json]   asked for
      order-keys.json     whose orders count, as the authority states and proves it

A private key is made here and never leaves. Every step is one rename: after a power cut there is the old identity or
the new one, never half of one. Files belong to whoever owns the directory, also when root runs the command.
"""

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import ValidationError

from edge_agent.config_rules import load_signing_key
from edge_agent.errors import ConfigError
from wastelock.messages import IdentityAnswer, IdentityRequest
from wastelock.page import SigningKey

_KEY, _CERTIFICATE, _AUTHORITY, _SIGNING, _REQUEST = (
    "gateway.key", "gateway.crt", "ca.crt", "signing.pem", "request.json",
)  # fmt: skip
_ANSWER, _EXPECTED_AUTHORITY = "answer.json", "authority"
_ORDER_KEYS = "order-keys.json"


@dataclass(frozen=True, slots=True)
class Pending:
    """What was asked for. `authority`: the fingerprint that the token named; None at a renewal."""

    directory: Path
    request: IdentityRequest
    key: ec.EllipticCurvePrivateKey
    authority: str | None
    answer: IdentityAnswer | None


class IdentityStore:
    """ConfigError where its files can't be read or written: the message says which and what to do."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.current = directory / "current"
        self._pending = directory / "pending"

    @property
    def version(self) -> str | None:
        """Name of what is in use, so that a change shows; None where there is nothing yet."""
        return self.current.readlink().name if self.current.is_symlink() else None

    def certificate(self) -> x509.Certificate | None:
        """Return the certificate in use."""
        return self._load(self.current / _CERTIFICATE)

    def authority(self) -> x509.Certificate | None:
        """Return the certificate of the authority that it came from."""
        return self._load(self.current / _AUTHORITY)

    def key(self) -> ec.EllipticCurvePrivateKey:
        """Return the private key of the certificate in use."""
        return _load_key(self.current / _KEY)

    def pending(self) -> Pending | None:
        """Return what was asked for and isn't in use yet. What is installed already is cleared away."""
        path = self._pending / _REQUEST
        try:
            if not path.exists():
                return None
            text = path.read_text()
            installed = self.current / _REQUEST
            if installed.exists() and installed.read_text() == text:
                shutil.rmtree(self._pending)  # a power cut came between the two renames
                return None
            answer, authority = self._pending / _ANSWER, self._pending / _EXPECTED_AUTHORITY
            return Pending(
                self._pending,
                IdentityRequest.model_validate_json(text),
                _load_key(self._pending / _KEY),
                authority.read_text() if authority.exists() else None,
                IdentityAnswer.model_validate_json(answer.read_text()) if answer.exists() else None,
            )
        except OSError as error:
            raise _unusable(error) from error
        except ValidationError as error:
            raise ConfigError(
                f"{self._pending}: isn't whole; remedy: delete it and ask again with `edge-agent enroll`"
            ) from error

    def begin(
        self,
        request: IdentityRequest,
        key: ec.EllipticCurvePrivateKey,
        signing_key: SigningKey | None,
        authority: str | None,
    ) -> None:
        """Keep what is about to be asked for, in place of what was asked before. `signing_key`: only if it is new."""
        files = {_KEY: private_pem(key), _REQUEST: request.to_json()}
        if signing_key is not None:
            files[_SIGNING] = private_pem(signing_key.private)
        if authority is not None:
            files[_EXPECTED_AUTHORITY] = authority.encode()
        try:
            new = self._make_directory("pending.new", files)
            shutil.rmtree(self._pending, ignore_errors=True)
            new.rename(self._pending)
            _sync(self.directory)
        except OSError as error:
            raise _unusable(error) from error

    def keep_answer(self, answer: IdentityAnswer) -> None:
        """Keep an answer that fits what is pending, until it is installed."""
        try:
            new = self._pending / f"{_ANSWER}.new"
            self._write(new, answer.to_json())
            new.rename(self._pending / _ANSWER)
            _sync(self._pending)
        except OSError as error:
            raise _unusable(error) from error

    def keep_order_keys(self, text: str, proof: str) -> None:
        """Keep the authority's statement of order keys in place of the one before."""
        try:
            new = self.directory / f"{_ORDER_KEYS}.new"
            self._write(new, json.dumps([text, proof]).encode())
            new.rename(self.directory / _ORDER_KEYS)
            _sync(self.directory)
        except OSError as error:
            raise _unusable(error) from error

    def order_keys(self) -> tuple[str, str] | None:
        """Return the authority's statement of order keys and its proof, as they are kept; None where there is none."""
        path = self.directory / _ORDER_KEYS
        try:
            text, proof = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unusable(error) from error
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{path}: isn't a statement of order keys") from error
        return str(text), str(proof)

    def staged(self) -> Path:
        """Write the kept answer's certificates beside their key, and return that directory, to be tried out."""
        pending = self.pending()
        assert pending is not None and pending.answer is not None
        assert pending.answer.certificate is not None and pending.answer.authority is not None
        try:
            self._write(self._pending / _CERTIFICATE, pending.answer.certificate.encode())
            self._write(self._pending / _AUTHORITY, pending.answer.authority.encode())
        except OSError as error:
            raise _unusable(error) from error
        return self._pending

    def install(self) -> None:
        """Put what is pending and answered into use."""
        staged = self.staged()
        number = max((int(v.name[1:]) for v in self.directory.glob("v[0-9]*")), default=0) + 1
        before = self.version
        try:
            names = (_KEY, _CERTIFICATE, _AUTHORITY, _REQUEST, _SIGNING)
            made = self._make_directory(
                "version.new",
                {name: (staged / name).read_bytes() for name in names if (staged / name).exists()},
            )
            self._carry_over_signing_key(made)
            version = made.rename(self.directory / f"v{number}")
            link = self.directory / "current.new"
            link.unlink(missing_ok=True)
            link.symlink_to(version.name)
            link.rename(self.current)
            _sync(self.directory)
            shutil.rmtree(self._pending)
            for old in self.directory.glob("v[0-9]*"):
                if old.name not in (version.name, before):
                    shutil.rmtree(old)
        except OSError as error:
            raise _unusable(error) from error

    def signing_keys(self) -> dict[str, Ed25519PublicKey]:
        """Return the public halves, by kid, of the page-signing keys that are kept here: in use, and the one before."""
        found: dict[str, Ed25519PublicKey] = {}
        for path in sorted(self.directory.glob(f"v[0-9]*/{_SIGNING}")):
            with suppress(ConfigError):  # an old key that can't be read any more is one that isn't known
                key = load_signing_key(path)
                found[key.kid] = key.private.public_key()
        return found

    def signing_key_made_at(self) -> datetime | None:
        """Return since when the page-signing key is in use; None where it isn't kept here."""
        path = self.current / _SIGNING
        return datetime.fromtimestamp(path.stat().st_mtime, UTC) if path.exists() else None

    def _carry_over_signing_key(self, made: Path) -> None:
        old, new = self.current / _SIGNING, made / _SIGNING
        if old.exists() and not new.exists():
            shutil.copy2(old, new)  # with its date: it tells the key's age
            _hand_over(new)
            _sync(new)
            _sync(made)

    def _make_directory(self, name: str, files: Mapping[str, bytes]) -> Path:
        """Write files into a new directory, all of it on disk when this returns."""
        made = self.directory / name
        if not self.directory.exists():
            self.directory.mkdir(mode=0o700)
            _hand_over(self.directory)
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(mode=0o700)
        _hand_over(made)
        for file, content in files.items():
            self._write(made / file, content)
        _sync(made)
        return made

    def _write(self, path: Path, content: bytes) -> None:
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _hand_over(path)

    def _load(self, path: Path) -> x509.Certificate | None:
        try:
            return x509.load_pem_x509_certificate(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unusable(error) from error
        except ValueError as error:
            raise ConfigError(
                f"{path}: isn't a certificate; remedy: enrol anew (docs/operations-keys.md)"
            ) from error


def load_pending_signing_key(pending: Pending) -> SigningKey | None:
    """Return the page-signing key that is kept with what was asked for, if one is."""
    path = pending.directory / _SIGNING
    return load_signing_key(path) if path.exists() else None


def private_pem(key: ec.EllipticCurvePrivateKey | Ed25519PrivateKey) -> bytes:
    """Return a private key of either kind as unencrypted PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise _unusable(error) from error
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"{path}: isn't a private key; remedy: enrol anew (docs/operations-keys.md)"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError(f"{path}: is a key of another kind; remedy: enrol anew (docs/operations-keys.md)")
    return key


def _hand_over(path: Path) -> None:
    """Give what root has made to whoever owns the directory that it is in: the agent."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unusable(error: OSError) -> ConfigError:
    return ConfigError(
        f"{error.filename}: can't be used ({error.strerror}); "
        "remedy: let the agent's user own the identity directory, and see that the disk isn't full"
    )
