"""Asking for an identity, and judging the answer: what `edge-agent enroll` and the renewal have in common."""

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from edge_agent.config import AgentConfig
from edge_agent.config_rules import load_signing_key
from edge_agent.errors import AnswerRejected, ConfigError
from edge_agent.identity import IdentityStore, Pending, load_pending_signing_key
from edge_agent.orders.trust import adopt_order_keys
from wastelock.enrolment import Token, common_name, fingerprint, make_csr, make_request, request_id
from wastelock.messages import IdentityAnswer, IdentityBody, IdentityRequest
from wastelock.order_keys import InvalidOrderKeys
from wastelock.page import SigningKey, to_base64url

ANSWER_BYTES_MAX = 32 * 1024


@dataclass(frozen=True, slots=True)
class Applicant:
    """Who asks. `keeps_signing_key`: it lives in the identity's directory, so it can be replaced from here."""

    site: str
    gateway: str
    keeps_signing_key: bool


def applicant(config: AgentConfig) -> Applicant:
    """Return who this configuration describes."""
    kept = (
        config.identity is not None and config.gateway.signing_key == config.identity.current / "signing.pem"
    )
    return Applicant(config.gateway.site, config.gateway.id, kept)


def ask_with_token(
    store: IdentityStore, config: AgentConfig, token: Token, at: datetime, *, new_signing_key: bool = False
) -> IdentityRequest:
    """Return the request to enrol; asked again with the same token it is the same, so the answer fits, too."""
    pending = store.pending()
    if pending is not None and _body(pending.request).token == token.secret and not new_signing_key:
        return pending.request
    who = applicant(config)
    signing_key, is_new = _signing_key(config, pending, who)
    if new_signing_key and not is_new:
        signing_key, is_new = _new_signing_key(who), True
    return _ask(store, who, signing_key, is_new, at, token=token)


def ask_to_renew(
    store: IdentityStore, config: AgentConfig, at: datetime, *, new_signing_key: bool
) -> IdentityRequest:
    """Return the request for the next certificate, endorsed by the one in use, and keep it until it is answered."""
    certificate, who = store.certificate(), applicant(config)
    if certificate is None:
        raise ConfigError(
            "there is no certificate to renew; remedy: enrol with a token: `edge-agent enroll --token …`"
        )
    signing_key = _new_signing_key(who) if new_signing_key else load_signing_key(config.gateway.signing_key)
    return _ask(store, who, signing_key, new_signing_key, at, endorsed_by=certificate)


def accept_answer(store: IdentityStore, who: Applicant, payload: bytes) -> IdentityAnswer:
    """Keep the answer in these bytes if it is the one to what is pending; AnswerRejected says why it isn't."""
    pending, answer = store.pending(), _read_answer(payload)
    if pending is None:
        raise AnswerRejected("nothing was asked for; remedy: ask first: `edge-agent enroll`")
    if answer is None:
        raise AnswerRejected("isn't an answer; remedy: take the file that `cloud-sink enroll sign` wrote")
    if answer.request != request_id(pending.request):
        raise AnswerRejected("answers another request than the last one; remedy: have the last one signed")
    if answer.refused is not None:
        raise AnswerRejected(f"the authority says no: {answer.refused}")
    _keep_order_keys(store, answer, _check_certificate(store, who, pending, answer))
    store.keep_answer(answer)
    return answer


def take_statement(store: IdentityStore, payload: bytes) -> bool:
    """Keep the order keys that the authority states though nobody asked; False if these bytes answer a question.

    AnswerRejected: it wasn't the authority.
    """
    answer, known = _read_answer(payload), store.authority()
    if answer is None or answer.request or known is None:
        return False
    _keep_order_keys(store, answer, known)
    return True


def _ask(
    store: IdentityStore,
    who: Applicant,
    signing_key: SigningKey,
    signing_key_is_new: bool,
    at: datetime,
    token: Token | None = None,
    endorsed_by: x509.Certificate | None = None,
) -> IdentityRequest:
    key = ec.generate_private_key(ec.SECP256R1())
    body = IdentityBody(
        gateway=who.gateway,
        site=who.site,
        csr=make_csr(who.gateway, key),
        signing_key=to_base64url(signing_key.private.public_key().public_bytes_raw()),
        made_at=at,
        token=token.secret if token is not None else None,
        serial=f"{endorsed_by.serial_number:x}" if endorsed_by is not None else None,
    )
    request = make_request(body, signing_key, store.key() if endorsed_by is not None else None)
    store.begin(
        request,
        key,
        signing_key if signing_key_is_new else None,
        token.authority if token is not None else None,
    )
    return request


def _new_signing_key(who: Applicant) -> SigningKey:
    if not who.keeps_signing_key:
        raise ConfigError(
            "gateway.signing_key names a file of its own, which stays; remedy: take that line out, so that the key "
            "is kept in identity.directory, and enrol anew"
        )
    return SigningKey(Ed25519PrivateKey.generate())


def _signing_key(config: AgentConfig, pending: Pending | None, who: Applicant) -> tuple[SigningKey, bool]:
    """Return the key to enrol with, the one there is or one asked with before or a new one; and whether it is new."""
    if config.gateway.signing_key.exists():
        return load_signing_key(config.gateway.signing_key), False
    if not who.keeps_signing_key:
        raise ConfigError(
            f"gateway.signing_key: {config.gateway.signing_key} isn't there; remedy: take that line out, so that the "
            "key is kept in identity.directory, or make it with `edge-agent keygen`"
        )
    kept = load_pending_signing_key(pending) if pending is not None else None
    return kept or SigningKey(Ed25519PrivateKey.generate()), True


def _check_certificate(
    store: IdentityStore, who: Applicant, pending: Pending, answer: IdentityAnswer
) -> x509.Certificate:
    """Return the authority that we have reason to believe; AnswerRejected, also where it isn't our certificate."""
    try:
        certificate = x509.load_pem_x509_certificate((answer.certificate or "").encode())
        authority = x509.load_pem_x509_certificate((answer.authority or "").encode())
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        raise AnswerRejected("holds no certificate that its authority has signed") from None
    known = store.authority()
    if pending.authority is not None:
        is_known = fingerprint(authority) == pending.authority
    else:
        is_known = known is not None and authority == known
    if not is_known:
        raise AnswerRejected(
            "comes from another authority than the token or the present certificate names; don't trust it"
        )
    if (
        common_name(certificate.subject) != who.gateway
        or certificate.public_key() != pending.key.public_key()
    ):
        raise AnswerRejected("holds another gateway's certificate, or one for another key")
    return authority


def _read_answer(payload: bytes) -> IdentityAnswer | None:
    try:
        return IdentityAnswer.model_validate_json(payload[: ANSWER_BYTES_MAX + 1])
    except ValidationError:
        return None


def _keep_order_keys(store: IdentityStore, answer: IdentityAnswer, authority: x509.Certificate) -> None:
    try:
        adopt_order_keys(store, answer, authority)
    except InvalidOrderKeys as error:
        raise AnswerRejected(f"{error}; don't trust it") from error


def _body(request: IdentityRequest) -> IdentityBody:
    return IdentityBody.model_validate_json(request.body)
