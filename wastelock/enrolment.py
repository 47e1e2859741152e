"""How a gateway asks for its identity, and proves that the keys it names are its own. Pure: no files, no network.

A request is a body, fixed as text, and proofs over exactly that text. The private halves never leave the gateway:

    body          gateway, site, certificate request (P-256), page-signing key (Ed25519), token | serial
    proof         by the page-signing key named in it
    (in the csr)  by the certificate's key: a PKCS #10 request is signed by the key that it names
    endorsement   by the key of the certificate still in force, whose serial number is named: a renewal
    token         instead of that at the first time: single-use, made for this gateway, see `Token`
"""

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from wastelock.messages import IdentityBody, IdentityRequest
from wastelock.page import SigningKey, from_base64url, to_base64url
from wastelock.topics import GatewayTopics, InvalidTopic

_TOKEN_PREFIX = "wlt1"
_FINGERPRINT_BYTES = 12
_PROOF_PREFIX = b"wl1-identity\n"
RENEW_AFTER = (2, 3)  # of a certificate's life, so that a third is left to get the next one


class InvalidRequest(ValueError):
    """This isn't a request that its gateway can have made: the message says which proof doesn't hold."""


class InvalidToken(ValueError):
    """Not a token as `cloud-sink enroll token` prints it."""


@dataclass(frozen=True, slots=True)
class Token:
    """What allows one gateway to enrol once. `authority` tells the gateway whose answer it may believe."""

    secret: str
    authority: str

    def __str__(self) -> str:
        return f"{_TOKEN_PREFIX}.{self.secret}.{self.authority}"

    @classmethod
    def parse(cls, text: str) -> "Token":
        """Return the token in this text, or raise InvalidToken."""
        parts = text.strip().split(".")
        if len(parts) != 3 or parts[0] != _TOKEN_PREFIX or not all(parts):
            raise InvalidToken("isn't a token: expected wlt1.….… as `cloud-sink enroll token` prints it")
        return cls(parts[1], parts[2])


@dataclass(frozen=True, slots=True)
class CheckedRequest:
    """A request whose proofs hold. `id` names it: SHA-256 of its body, base64url."""

    id: str
    body: IdentityBody
    csr: x509.CertificateSigningRequest
    signing_key: Ed25519PublicKey
    signed: IdentityRequest


def fingerprint(certificate: x509.Certificate) -> str:
    """Return what a token says of its authority: base64url of the first 12 bytes of the certificate's SHA-256."""
    return to_base64url(certificate.fingerprint(SHA256())[:_FINGERPRINT_BYTES])


def request_id(request: IdentityRequest) -> str:
    """Return what an answer names its request by."""
    return to_base64url(sha256(request.body.encode()).digest())


def make_csr(gateway: str, key: ec.EllipticCurvePrivateKey) -> str:
    """Return a PKCS #10 request for a certificate with this common name, in PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, gateway)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, SHA256())
    return csr.public_bytes(Encoding.PEM).decode()


def make_request(
    body: IdentityBody, signing_key: SigningKey, endorser: ec.EllipticCurvePrivateKey | None
) -> IdentityRequest:
    """Return the body with its proofs. `endorser`: the key of the certificate in force, for a renewal."""
    text = body.to_json().decode()
    message = _PROOF_PREFIX + text.encode()
    endorsement = None
    if endorser is not None:
        endorsement = to_base64url(endorser.sign(message, ec.ECDSA(SHA256())))
    return IdentityRequest(
        body=text, proof=to_base64url(signing_key.private.sign(message)), endorsement=endorsement
    )


def check_request(request: IdentityRequest) -> CheckedRequest:
    """Return the request if both keys in it prove themselves, or raise InvalidRequest; no endorsement is looked at."""
    try:
        body = IdentityBody.model_validate_json(request.body)
        GatewayTopics(body.site, body.gateway)
    except ValidationError as error:
        raise InvalidRequest(
            f"the request's body can't be read: {error.error_count()} fields don't hold"
        ) from None
    except InvalidTopic as error:
        raise InvalidRequest(str(error)) from None
    try:
        signing_key = Ed25519PublicKey.from_public_bytes(from_base64url(body.signing_key))
        signing_key.verify(from_base64url(request.proof), _PROOF_PREFIX + request.body.encode())
    except (InvalidSignature, ValueError):
        raise InvalidRequest(
            "the page-signing key doesn't prove itself: its signature doesn't hold"
        ) from None
    if (body.token is None) == (body.serial is None):
        raise InvalidRequest("a request needs either a token or the serial number of a certificate in force")
    return CheckedRequest(request_id(request), body, _check_csr(body), signing_key, request)


def endorsement_holds(checked: CheckedRequest, certificate: x509.Certificate) -> bool:
    """True if the key of this certificate endorsed the request."""
    public = certificate.public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey) or checked.signed.endorsement is None:
        return False
    message = _PROOF_PREFIX + checked.signed.body.encode()
    try:
        public.verify(from_base64url(checked.signed.endorsement), message, ec.ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


def common_name(subject: x509.Name) -> str | None:
    """Return the one common name of a subject, None where there isn't exactly one."""
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if len(names) == 1 else None


def renewal_due_at(certificate: x509.Certificate) -> datetime:
    """Return when two thirds of a certificate's life are over."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return begin + (end - begin) * RENEW_AFTER[0] / RENEW_AFTER[1]


def _check_csr(body: IdentityBody) -> x509.CertificateSigningRequest:
    try:
        csr = x509.load_pem_x509_csr(body.csr.encode())
        public = csr.public_key()
        holds = csr.is_signature_valid
        name = common_name(csr.subject)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InvalidRequest("the certificate request isn't PKCS #10 in PEM") from None
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise InvalidRequest("the certificate request names a key of another kind than P-256")
    if not holds:
        raise InvalidRequest(
            "the certificate's key doesn't prove itself: the request's signature doesn't hold"
        )
    if name != body.gateway:
        raise InvalidRequest(f"the certificate request is for another name than {body.gateway}")
    return csr
