"""What has to be true of certificates and page-signing keys after a day on which they were renewed."""

import json
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.acceptance.trusted_chain import TrustedLayout
from wastelock.page import from_base64url, parse_instant, signature_holds
from wastelock.topics import GatewayTopics


@dataclass(frozen=True, slots=True)
class Renewals:
    """`overlaps`: how long each certificate but the last was valid beside its successor. `pages`: by signing key."""

    certificates: int
    overlaps: tuple[timedelta, ...]
    pages: Counter[str]
    shortcomings: list[str]


def look_at_renewals(layout: TrustedLayout, certificates: int, signing_keys: int) -> Renewals:
    """Ask register, gateway and ledger. `certificates`, `signing_keys`: as many there must be, at least."""
    gateway = layout.estate.gateway
    told = json.loads(layout.cloud_sink("ca", "show", gateway, "--json"))["names"][0]
    known = sorted(told["certificates"], key=lambda each: parse_instant(each["issued_at"]))
    overlaps = tuple(_at(one["expires_at"]) - _at(other["issued_at"]) for one, other in pairwise(known))
    short = [f"certificate {n} ended {-gap} before the next one was made" for n, gap in enumerate(overlaps, 1)
             if gap <= timedelta()]  # fmt: skip
    if len(known) < certificates:
        short.append(f"{len(known)} certificates were made: expected {certificates} at least")
    in_use = x509.load_pem_x509_certificate((layout.identity / "current" / "gateway.crt").read_bytes())
    if f"{in_use.serial_number:x}" != known[-1]["serial"]:
        short.append(
            f"the gateway uses certificate {in_use.serial_number:x}, the newest is {known[-1]['serial']}"
        )
    keys = {key["kid"]: key["public_key"] for key in told["signing_keys"]}
    pages, unproven = _pages_by_key(layout, keys)
    short += unproven
    if len(pages) < signing_keys:
        short.append(f"pages are signed by {len(pages)} keys: expected {signing_keys} at least")
    return Renewals(len(known), overlaps, pages, short)


def _pages_by_key(layout: TrustedLayout, keys: dict[str, str]) -> tuple[Counter[str], list[str]]:
    """Verify each page of the ledger by the register, and count them by key."""
    topic = GatewayTopics(layout.estate.site, layout.estate.gateway).page
    public = {kid: Ed25519PublicKey.from_public_bytes(from_base64url(text)) for kid, text in keys.items()}
    with closing(sqlite3.connect(layout.directory / "ledger.db")) as connection:
        pages = connection.execute("SELECT kid, sig, payload FROM pages").fetchall()
    bad = [kid for kid, sig, payload in pages
           if kid not in public or not signature_holds(public[kid], topic, payload, sig)]  # fmt: skip
    return Counter(kid for kid, _, _ in pages), [
        f"{len(bad)} pages of the ledger don't verify"
    ] if bad else []


def _at(text: str) -> datetime:
    return parse_instant(text)
