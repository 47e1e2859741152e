"""The authority's decisions: who gets a certificate, whose page-signing key is put in force, and who loses both.

A request is judged and answered in one transaction. The same request always gets the same certificate, so that an
answer that was lost can be asked for again; another one with the same token gets none.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from cloud_sink.authority.certificates import Issuer, issue
from cloud_sink.authority.order_keys import signed_statement
from cloud_sink.authority.register import CertificateRow, Decision, Gateway, Register
from cloud_sink.errors import NotPossible
from cloud_sink.operating import Author
from wastelock.enrolment import (
    CheckedRequest,
    InvalidRequest,
    Token,
    check_request,
    endorsement_holds,
    fingerprint,
)
from wastelock.messages import IdentityAnswer, IdentityRequest
from wastelock.page import key_id
from wastelock.topics import GatewayTopics, InvalidTopic

GATEWAY = "gateway"
ROLES = ("broker", "sink", "feed", "backend", "authority")  # of those that get their key here, too
_A_DAY = timedelta(days=1)
_CERTIFICATES_A_DAY = 20  # a gateway that asks for more is broken or isn't itself


@dataclass(frozen=True, slots=True)
class Terms:
    """How long things last. `grace`: until every sink has read a new page-signing key."""

    certificate_life: timedelta = timedelta(days=90)
    key_overlap: timedelta = timedelta(days=90)
    grace: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key, both in PEM-ready form, made for a program of the cloud."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


class Authority:
    """Every decision goes through here. NotPossible says why not, and what to do."""

    def __init__(
        self, issuer: Issuer, register: Register, terms: Terms, clock: Callable[[], datetime]
    ) -> None:
        self.issuer = issuer
        self.register = register
        self._terms = terms
        self._clock = clock

    def make_token(self, gateway: str, site: str, life: timedelta, author: Author) -> tuple[Token, datetime]:
        """Return a new token for this gateway, and when it expires; an unused one of before no longer holds."""
        try:
            GatewayTopics(site, gateway)
        except InvalidTopic as error:
            raise NotPossible(str(error)) from None
        now = self._clock()
        token = Token(secrets.token_urlsafe(16), fingerprint(self.issuer.certificate))
        with self.register.deciding() as decision:
            known = decision.gateway(gateway)
            if known is not None and known.site != site and known.state == "active":
                raise NotPossible(
                    f"gateway {gateway} belongs to site {known.site}: `cloud-sink revoke {gateway}` comes first"
                )
            if any(row.role != GATEWAY for row in decision.certificates(gateway)):
                raise NotPossible(
                    f"{gateway} is the name of another program's certificate: choose another id"
                )
            decision.drop_tokens(gateway)
            decision.add_token(hash_secret(token.secret), gateway, site, now, now + life)
            decision.note(now, author.actor, "token made", gateway, author.reason)
        return token, now + life

    def answer(
        self, request: IdentityRequest, actor: str, renewal_of: tuple[str, str] | None = None
    ) -> IdentityAnswer:
        """Return the answer with the certificate. `renewal_of`: (site, gateway) of the topic that it came on."""
        try:
            checked = check_request(request)
        except InvalidRequest as error:
            raise NotPossible(f"the request is refused: {error}") from None
        body = checked.body
        if renewal_of is not None and (body.site, body.gateway) != renewal_of:
            raise NotPossible("the request is refused: it came on another gateway's topic")
        if renewal_of is not None and body.token is not None:
            raise NotPossible(
                "the request is refused: with a token gateways enrol by file, not over the broker"
            )
        now = self._clock()
        with self.register.deciding() as decision:
            row = decision.certificate_for(checked.id)
            if row is None:
                row = self._decide(decision, checked, actor, now)
            elif row.revoked_at is not None or row.expires_at <= now:
                raise NotPossible(
                    "the request is refused: its certificate has expired or is revoked: make a new request"
                )
            order_keys, proof = signed_statement(decision, self.issuer)
        return IdentityAnswer(
            request=checked.id,
            at=now,
            certificate=row.pem,
            authority=self.issuer.certificate.public_bytes(Encoding.PEM).decode(),
            sign_from=row.sign_from,
            order_keys=order_keys,
            order_keys_proof=proof,
        )

    def order_keys(self) -> tuple[IdentityAnswer | None, list[Gateway]]:
        """Return what is stated of order keys though nobody asked, and to whom; None while there are no keys."""
        with self.register.reading() as decision:
            keys, proof = signed_statement(decision, self.issuer)
            gateways = [each for each in decision.gateways() if each.state == "active"]
        if keys is None:
            return None, gateways
        return IdentityAnswer(request="", at=self._clock(), order_keys=keys, order_keys_proof=proof), gateways

    def issue(self, name: str, role: str, hosts: tuple[str, ...], life: timedelta, author: Author) -> Issued:
        """Return a key and a certificate for a program of the cloud; its former ones stay valid until they expire."""
        if (role == "broker") != bool(hosts):
            raise NotPossible(
                "a broker needs the names or addresses that it is reached by, nobody else has any"
            )
        key, now = ec.generate_private_key(ec.SECP256R1()), self._clock()
        with self.register.deciding() as decision:
            others = {row.role for row in decision.certificates(name)} - {role}
            if others or decision.gateway(name) is not None:
                raise NotPossible(f"{name} is a name in use: {', '.join(others) or GATEWAY}: choose another")
            certificate = issue(self.issuer, name, key.public_key(), now, life, hosts)
            decision.add_certificate(_row(certificate, name, role, now, None), None)
            decision.note(now, author.actor, f"{role} certificate issued", name, author.reason)
        return Issued(certificate, key)

    def revoke(self, name: str, serial: str | None, author: Author) -> int:
        """Revoke a name's certificates and take a gateway's page-signing keys out of force; or only one certificate.

        Returns how many certificates were revoked.
        """
        now = self._clock()
        with self.register.deciding() as decision:
            rows = [row for row in decision.certificates(name) if serial in (None, row.serial)]
            gateway = decision.gateway(name)
            if not rows:
                raise NotPossible(
                    f"there is no such certificate of {name}: `cloud-sink ca show {name}` lists them"
                )
            valid = [row for row in rows if row.revoked_at is None and row.expires_at > now]
            for row in valid:
                decision.revoke_certificate(row.serial, now)
            if gateway is not None and serial is None:
                decision.put_gateway(Gateway(name, gateway.site, "revoked"), now)
                decision.revoke_signing_keys(name, now)
                decision.drop_tokens(name)
            what = "revoked" if serial is None else f"certificate {serial} revoked"
            decision.note(now, author.actor, what, name, author.reason)
        return len(valid)

    def _decide(
        self, decision: Decision, checked: CheckedRequest, actor: str, now: datetime
    ) -> CertificateRow:
        """Judge a request that is new; keep its certificate and its page-signing key."""
        body = checked.body
        if body.token is not None:
            self._spend_token(decision, checked, now)
        else:
            _check_endorsement(decision, checked, now)
        recent = [row for row in decision.certificates(body.gateway) if row.issued_at > now - _A_DAY]
        if len(recent) >= _CERTIFICATES_A_DAY:
            raise NotPossible(
                f"{body.gateway} got {len(recent)} certificates in a day: no more before tomorrow"
            )
        is_new = self._put_signing_key(decision, checked, now)
        public = checked.csr.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)  # check_request has seen to it
        certificate = issue(self.issuer, body.gateway, public, now, self._terms.certificate_life)
        row = _row(certificate, body.gateway, GATEWAY, now, now + self._terms.grace if is_new else now)
        decision.add_certificate(row, checked.id)
        decision.put_gateway(Gateway(body.gateway, body.site, "active"), now)
        decision.note(now, actor, "enrolled" if body.token else "renewed", body.gateway, None)
        return row

    def _spend_token(self, decision: Decision, checked: CheckedRequest, now: datetime) -> None:
        body = checked.body
        hash_ = hash_secret(body.token or "")
        token = decision.token(hash_)
        again = f"make another with `cloud-sink enroll token {body.gateway} --site {body.site}`"
        if token is None:
            raise NotPossible(f"the token isn't known here, or a newer one has taken its place: {again}")
        if token.used_by is not None:
            raise NotPossible(
                f"the token has been used already, by another request: if that wasn't you, revoke the gateway; {again}"
            )
        if (token.gateway, token.site) != (body.gateway, body.site):
            raise NotPossible(f"the token was made for another gateway or site: {again}")
        if token.expires_at <= now:
            raise NotPossible(f"the token has expired: {again}")
        decision.spend_token(hash_, checked.id, now)

    def _put_signing_key(self, decision: Decision, checked: CheckedRequest, now: datetime) -> bool:
        """Put the key in force beside those before it; True if it is a new one."""
        body, kid = checked.body, key_id(checked.signing_key)
        known = next((row for row in decision.signing_keys() if row.kid == kid), None)
        if known is not None and known.gateway != body.gateway:
            raise NotPossible(
                "this page-signing key is another gateway's: was its disk copied? Make a key of its own"
            )
        if known is not None and known.revoked:
            raise NotPossible(
                "this page-signing key was revoked: make a new one: `edge-agent enroll --new-signing-key`"
            )
        decision.put_signing_key(kid, body.gateway, body.site, body.signing_key, now)
        decision.end_signing_keys(body.gateway, kid, now + self._terms.key_overlap)
        return known is None


def hash_secret(secret: str) -> str:
    """Return what is kept of a token: it has 128 random bits, so that no slow hash is needed."""
    return sha256(b"wl1-token\n" + secret.encode()).hexdigest()


def _check_endorsement(decision: Decision, checked: CheckedRequest, now: datetime) -> None:
    body = checked.body
    again = f"enrol anew: `cloud-sink enroll token {body.gateway} --site {body.site}`"
    gateway, row = decision.gateway(body.gateway), decision.certificate(body.serial or "")
    if gateway is None or gateway.site != body.site or gateway.state != "active":
        raise NotPossible(
            f"gateway {body.gateway} of site {body.site} isn't enrolled, or was revoked: {again}"
        )
    if row is None or row.name != body.gateway:
        raise NotPossible(f"the certificate that endorses the request isn't this gateway's: {again}")
    if row.revoked_at is not None or row.expires_at <= now:
        raise NotPossible(f"the certificate that endorses the request has expired or is revoked: {again}")
    if not endorsement_holds(checked, x509.load_pem_x509_certificate(row.pem.encode())):
        raise NotPossible(
            "the endorsement doesn't hold: it wasn't made with the key of the certificate in force"
        )


def _row(
    certificate: x509.Certificate, name: str, role: str, at: datetime, sign_from: datetime | None
) -> CertificateRow:
    return CertificateRow(
        serial=f"{certificate.serial_number:x}",
        name=name,
        role=role,
        pem=certificate.public_bytes(Encoding.PEM).decode(),
        issued_at=at,
        expires_at=certificate.not_valid_after_utc,
        sign_from=sign_from,
        revoked_at=None,
    )
