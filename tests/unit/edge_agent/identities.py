"""What the tests of a gateway's identity need: a configuration that has one, and an authority as design 3 wants it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from edge_agent.config import AgentConfig
from edge_agent.config_rules import load_config
from tests.unit.edge_agent.configurations import GOOD, write
from wastelock.enrolment import Token, check_request, fingerprint
from wastelock.messages import IdentityAnswer, IdentityRequest
from wastelock.order_keys import sign_order_keys
from wastelock.orders import OrderKeys

AT = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
SECRET = "c2VjcmV0LXNlY3JldC1zZQ"


def identity_config(directory: Path, more: str = "") -> AgentConfig:
    """Return a good configuration with an identity, whose keys are kept in it."""
    text = GOOD.replace('signing_key = "gateway.pem"\n', "") + f'[identity]\ndirectory = "identity"\n{more}'
    return load_config(write(directory, text), key_must_exist=False)


class Signer:
    """Stands for any authority, not for `cloud_sink` (which these tests must not need)."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign("authority", self._key.public_key(), AT, timedelta(days=3650))

    def token(self) -> Token:
        return Token(SECRET, fingerprint(self.certificate))

    def answer(
        self, request: IdentityRequest, begin: datetime = AT, name: str | None = None, grace_s: float = 0
    ) -> IdentityAnswer:
        """Return the answer to a request whose proofs hold: a certificate for 90 days."""
        checked = check_request(request)
        public = checked.csr.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)
        made = self._sign(name or checked.body.gateway, public, begin, timedelta(days=90))
        return IdentityAnswer(
            request=checked.id,
            at=begin,
            certificate=made.public_bytes(Encoding.PEM).decode(),
            authority=self.certificate.public_bytes(Encoding.PEM).decode(),
            sign_from=begin + timedelta(seconds=grace_s),
        )

    def state_order_keys(self, *keys: str, at: datetime = AT) -> dict[str, str]:
        """Return what an answer says of order keys."""
        text, proof = sign_order_keys(self._key, OrderKeys(at=at, keys=keys))
        return {"order_keys": text, "order_keys_proof": proof}

    def _sign(
        self, name: str, public: ec.EllipticCurvePublicKey, begin: datetime, life: timedelta
    ) -> x509.Certificate:
        def subject(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

        return (
            x509.CertificateBuilder()
            .subject_name(subject(name))
            .issuer_name(subject("authority"))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(begin + life)
            .sign(self._key, SHA256())
        )
