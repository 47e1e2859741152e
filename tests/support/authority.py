"""An authority without commands and processes, its clock moved by hand, and gateways without an edge agent."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_sink.authority.certificates import make_issuer
from cloud_sink.authority.enrolling import Authority, Terms
from cloud_sink.authority.publications import Publications
from cloud_sink.authority.register import Register
from cloud_sink.authority.vault import Vault
from cloud_sink.errors import NotPossible
from cloud_sink.keys import KeyFiles
from cloud_sink.operating import Author
from tests.support.ledger import write_keys
from wastelock.enrolment import (
    make_csr,
    make_request,
)
from wastelock.messages import IdentityAnswer, IdentityBody, IdentityRequest
from wastelock.page import SigningKey, to_base64url

START = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
BOSS = Author("boss", "test")


class Applicant:
    """A gateway's keys, without an edge agent."""

    def __init__(self, gateway: str = "gw-0001", site: str = "lindenhof") -> None:
        self.gateway, self.site = gateway, site
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.signing = SigningKey(Ed25519PrivateKey.generate())

    def request(
        self, token: str | None = None, serial: str | None = None, endorser: ec.EllipticCurvePrivateKey | None = None,
        signing: SigningKey | None = None, csr_for: str | None = None,
    ) -> IdentityRequest:  # fmt: skip
        signing = signing or self.signing
        body = IdentityBody(
            gateway=self.gateway,
            site=self.site,
            csr=make_csr(csr_for or self.gateway, self.key),
            signing_key=to_base64url(signing.private.public_key().public_bytes_raw()),
            made_at=START,
            token=token,
            serial=serial,
        )
        return make_request(body, signing, endorser)


class Office:
    """An authority with its files in a directory, and a clock that is moved by hand."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.at = START
        self.vault = Vault(directory / "ca")
        self.vault.create(make_issuer("Test", START))
        self.files = Publications(directory / "enrolled.toml", directory / "ca.crl", directory / "acl.conf")
        self.authority = Authority(self.vault.open(), Register(self.vault.register), Terms(), lambda: self.at)
        self.publish()

    def publish(self) -> None:
        self.files.write(self.authority.register, self.authority.issuer, self.at)

    def token(self, gateway: str = "gw-0001", site: str = "lindenhof", hours: float = 72) -> str:
        return self.authority.make_token(gateway, site, timedelta(hours=hours), BOSS)[0].secret

    def answer(self, request: IdentityRequest) -> IdentityAnswer:
        return self.authority.answer(request, "boss")

    def refuses(self, request: IdentityRequest, why: str) -> None:
        with pytest.raises(NotPossible, match=why):
            self.answer(request)

    def kids(self, site: str = "lindenhof", gateway: str = "gw-0001") -> set[str]:
        """Return the keys that a sink takes pages by."""
        self.publish()
        write_keys(self.directory, [])
        files = KeyFiles(
            self.directory / "gateways.toml", self.directory / "lock-keys.csv", self.directory / "pseudonym.key",
            self.files.enrolled,
        )  # fmt: skip
        return set(files.load().gateways.get((site, gateway), {}))

    def revoked(self) -> set[int]:
        self.publish()
        found = x509.load_pem_x509_crl(self.files.revocation_list.read_bytes())
        assert found.is_signature_valid(self.authority.issuer.key.public_key())
        return {each.serial_number for each in found}


def certificate(answer: IdentityAnswer) -> x509.Certificate:
    return x509.load_pem_x509_certificate((answer.certificate or "").encode())


def serial(answer: IdentityAnswer) -> str:
    return f"{certificate(answer).serial_number:x}"
