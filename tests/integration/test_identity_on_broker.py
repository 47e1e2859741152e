"""Who may speak to the broker as whom: a real mosquitto over TLS, with the rules and lists that the authority makes."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge_agent.errors import CertificateRefused
from edge_agent.identity_trial import try_identity
from tests.support.certificates import Authority
from tests.support.mqtt import TestClient
from tests.support.trusted_site import GATEWAY, SITE, TrustedSite
from tests.support.waiting import wait_until
from wastelock.page import from_base64url, signature_holds

OWN = f"wl/1/{SITE}/{GATEWAY}"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[TrustedSite]:
    with TrustedSite(tmp_path) as running:
        running.enrol()
        yield running


def is_let_in(site: TrustedSite, identity: Path) -> bool:
    """True if the broker lets in who comes with the certificate in this directory."""
    try:
        try_identity("127.0.0.1", site.broker.port, identity)
    except CertificateRefused:
        return False
    return True


def test_a_gateway_renews_its_certificate_while_pages_flow_and_is_thrown_out_once_it_is_revoked(
    site: TrustedSite,
) -> None:
    site.start_authority()
    site.start_agent()
    for _ in range(5):
        site.controller.pour()
    site.wait_for_truth()
    first = json.loads(site.edge_agent("enroll", "--json"))
    for option in ("--renew", "--new-signing-key"):
        change_over(site, option)
    site.wait_for_truth()
    last = json.loads(site.edge_agent("enroll", "--json"))
    assert last["signing_key"] != first["signing_key"]
    told = json.loads(site.cloud_sink("ca", "show", GATEWAY, "--json"))["names"][0]
    assert [each["state"] for each in told["certificates"]] == ["valid"] * 3  # the old ones overlap
    assert [each["state"] for each in told["signing_keys"]] == ["in force", "in use"]
    assert "quarantine" not in site.sink.log.read_text()
    assert_pages_verify(site, {each["kid"]: each["public_key"] for each in told["signing_keys"]})
    assert_revoked_is_thrown_out(site)


def change_over(site: TrustedSite, option: str) -> None:
    """Have the running agent get another certificate while there is a pour each moment."""
    before, current = site.connections, site.identity / "current"
    version = current.readlink()
    site.edge_agent("enroll", option)
    wait_until(
        lambda: site.controller.pour() and current.readlink() != version,
        20,
        lambda: f"another certificate\n{site.agent.log_tail()}\n{site.authority.log_tail()}",
        poll_s=0.1,
    )
    wait_until(lambda: site.connections > before, 20, "the agent with its new certificate")
    site.controller.pour()


def assert_pages_verify(site: TrustedSite, keys: dict[str, str]) -> None:
    """Each page in the ledger is signed by a key of the register: by the old one or by the new one."""
    with closing(sqlite3.connect(site.directory / "ledger.sqlite")) as connection:
        pages = connection.execute("SELECT kid, sig, payload FROM pages").fetchall()
    kids = set()
    for kid, signature, payload in pages:
        public = Ed25519PublicKey.from_public_bytes(from_base64url(keys[kid]))
        assert signature_holds(public, f"{OWN}/up/page", payload, signature)
        kids.add(kid)
    assert kids == set(keys)


def test_foreign_certificate_client_id_topic_and_request_are_refused(
    site: TrustedSite, tmp_path: Path
) -> None:
    foreign = Authority(tmp_path / "foreign").issue(GATEWAY)  # the right name, signed by somebody else
    shutil.copy(site.identity / "current" / "ca.crt", tmp_path / "foreign" / "ca.crt")
    shutil.copy(foreign.certificate, tmp_path / "foreign" / "gateway.crt")
    shutil.copy(foreign.key, tmp_path / "foreign" / "gateway.key")
    assert is_let_in(site, site.identity / "current") and not is_let_in(site, tmp_path / "foreign")
    with (
        TestClient(site.broker.port, "sink-2", tls=site.tls("sink-1")) as sink,
        TestClient(site.broker.port, "gw-0002", tls=site.tls(GATEWAY)) as gateway,  # another's client id
    ):
        sink.subscribe("wl/1/#")
        gateway.subscribe("wl/1/+/+/down/receipt")
        wait_until(
            lambda: gateway.publish(f"{OWN}/up/telemetry", b"own") and bool(sink.received), 10, "own topic"
        )
        sink.publish(f"wl/1/{SITE}/gw-0002/down/receipt", b"another's")
        sink.publish(f"{OWN}/down/receipt", b"its own")
        wait_until(lambda: gateway.received, 10, "its own receipt")
        assert [message.payload for message in gateway.received] == [b"its own"]
        refused = gateway.publish(f"wl/1/{SITE}/gw-0002/up/page", b"another's")
        assert gateway.puback(refused).getName() == "Not authorized"
    assert f"as {GATEWAY} (" in site.broker.server.log.read_text()
    assert_tokens_arent_taken_over_the_broker(site)


def assert_revoked_is_thrown_out(site: TrustedSite) -> None:
    """Its session ends, it isn't let in again, nothing that it signs is taken, and a renewal doesn't help it."""
    taken, reloads = site.seqs(), site.sink.log.read_text().count("keys reloaded")
    site.cloud_sink("revoke", GATEWAY, "--reason", "stolen")
    site.reload_broker()
    site.controller.pour()
    out = "the broker ended the connection without an answer"  # at the first thing that it says, whatever that is
    wait_until(lambda: out in site.agent.log.read_text(), 20, site.agent.log_tail)
    assert not is_let_in(site, site.identity / "current")
    wait_until(
        lambda: site.sink.log.read_text().count("keys reloaded") > reloads, 10, "the sink without its keys"
    )
    assert site.seqs() == taken
    request = str(site.directory / "again")
    site.edge_agent("enroll", "--renew", "--request", request)
    assert "was revoked" in site.cloud_sink("renew", request, expect=1)


def assert_tokens_arent_taken_over_the_broker(site: TrustedSite) -> None:
    """They are for who has no certificate yet; and a request on another's topic doesn't come through."""
    site.start_authority()
    token = site.cloud_sink("enroll", "token", GATEWAY, "--site", SITE).splitlines()[0]
    site.edge_agent("enroll", "--token", token, "--request", str(site.directory / "token-request"))
    with TestClient(site.broker.port, "gateway", tls=site.tls(GATEWAY)) as gateway:
        gateway.subscribe(f"{OWN}/down/identity")
        request = (site.directory / "token-request").read_bytes()
        gateway.publish(f"{OWN}/up/identity", b"no request at all")
        wait_until(
            lambda: gateway.publish(f"{OWN}/up/identity", request) and gateway.received,
            10,
            "an answer",
            poll_s=0.2,
        )
        answer = json.loads(gateway.received[0].payload)
        assert "with a token gateways enrol by file" in answer["refused"] and "certificate" not in answer
        # Last, because mosquitto 2.0.11 ends the connection after it has refused a message.
        refused = gateway.publish(f"wl/1/{SITE}/gw-0002/up/identity", request)
        assert gateway.puback(refused).getName() == "Not authorized"
    told = json.loads(site.cloud_sink("ca", "show", GATEWAY, "--json"))["names"][0]
    assert len(told["certificates"]) == 1
