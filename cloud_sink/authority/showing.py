"""The register for people and programs: who has which certificates and page-signing keys, now and in the past."""

from datetime import datetime
from typing import Any

from cloud_sink.authority.certificates import Issuer
from cloud_sink.authority.enrolling import GATEWAY
from cloud_sink.authority.register import CertificateRow, Decision, SigningKeyRow
from wastelock.enrolment import common_name, fingerprint
from wastelock.page import format_instant

_SOON_DAYS = 30


def describe(decision: Decision, issuer: Issuer, name: str | None, at: datetime) -> dict[str, Any]:
    """Return all of it, or what concerns one name, as plain values. `state` says how things are at this instant."""
    gateways = {gateway.id: gateway for gateway in decision.gateways()}
    rows = decision.certificates(name)
    names = sorted({row.name for row in rows} | {each for each in gateways if name in (None, each)})
    return {
        "authority": {
            "name": common_name(issuer.certificate.subject),
            "fingerprint": fingerprint(issuer.certificate),
            "expires_at": format_instant(issuer.certificate.not_valid_after_utc),
        },
        "names": [
            {
                "name": each,
                "role": next((row.role for row in rows if row.name == each), GATEWAY),
                "site": gateways[each].site if each in gateways else None,
                "state": gateways[each].state if each in gateways else None,
                "certificates": [_certificate(row, at) for row in rows if row.name == each],
                "signing_keys": [_signing_key(row, at) for row in decision.signing_keys(each)],
                "history": [
                    {
                        "at": format_instant(deed[0]),
                        "actor": deed[1],
                        "what": deed[2],
                        "reason": deed[3] or None,
                    }
                    for deed in decision.deeds(each)
                ],
            }
            for each in names
        ],
    }


def show_authority(told: dict[str, Any]) -> str:
    """Return what `describe` found as text."""
    authority = told["authority"]
    lines = [f"authority  {authority['name']}  {authority['fingerprint']}  until {authority['expires_at']}"]
    for each in told["names"]:
        title = [each["name"], each["role"], *(value for value in (each["site"], each["state"]) if value)]
        lines += ["", "  ".join(title)]
        lines += [
            f"  certificate {row['serial']}  until {row['expires_at']}  {row['state']}"
            for row in each["certificates"]
        ]
        lines += [
            f"  signing key {row['kid']}  since {row['since']}  {row['state']}"
            for row in each["signing_keys"]
        ]
        lines += [
            f"  {deed['at']}  {deed['what']} by {deed['actor']}"
            + (f": {deed['reason']}" if deed["reason"] else "")
            for deed in each["history"]
        ]
    return "\n".join(lines)


def _certificate(row: CertificateRow, at: datetime) -> dict[str, Any]:
    left = (row.expires_at - at).days
    if row.revoked_at is not None:
        state = "revoked"
    elif row.expires_at <= at:
        state = "expired"
    else:
        state = f"expires in {left} days" if left < _SOON_DAYS else "valid"
    return {
        "serial": row.serial,
        "issued_at": format_instant(row.issued_at),
        "expires_at": format_instant(row.expires_at),
        "state": state,
    }


def _signing_key(row: SigningKeyRow, at: datetime) -> dict[str, Any]:
    if row.revoked:
        state = "revoked"
    elif row.until is None:
        state = "in use"
    else:
        state = "in force" if row.until > at else "out of force"
    return {
        "kid": row.kid,
        "public_key": row.public,
        "since": format_instant(row.since),
        "until": None if row.until is None else format_instant(row.until),
        "state": state,
    }
