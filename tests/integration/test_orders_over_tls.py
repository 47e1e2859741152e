"""From an order in the cloud to a lock and back: every program real, every certificate and key the authority's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_sink.orders.signing_key import public_text
from edge_agent.identity import IdentityStore
from tests.support.trusted_site import TrustedSite
from tests.support.waiting import wait_until
from wastelock.orders import OrderKeys
from wastelock.page import SigningKey

LOCK = "1f00a1"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[TrustedSite]:
    made = TrustedSite(tmp_path)
    cloud = made.cloud.read_text().replace("[limits]", "[limits]\nreport_interval_s = 0.2")
    made.cloud.write_text(f'{cloud}\n[orders]\nsigning_key = "orders.pem"\n')
    made.field.write_text(f'{made.field.read_text()}\nclock = {{ source = "ntp" }}\n')
    made.cloud_sink("orders-key", "make")
    with made as running:
        running.enrol()
        running.start_authority()
        running.start_agent()
        yield running


def test_an_order_is_carried_out_once_the_authority_has_said_whose_it_is_and_not_after_it_took_that_back(
    site: TrustedSite,
) -> None:
    wait_until(lambda: LOCK in site.cloud_sink("lock", "list"), 20, "the lock to be known", poll_s=0.1)
    mine, kid = site.cloud_sink("orders-key", "public").split()
    next_one = public_text(SigningKey(Ed25519PrivateKey.generate()))
    site.cloud_sink("command", "send", LOCK, "read_now", "--ttl", "10s")
    wait_until(lambda: "orders without keys" in site.agent.log.read_text(), 20, site.agent.log_tail)
    for key in (mine, next_one):
        site.cloud_sink("orders-key", "add", key)
    wait_until(lambda: believed(site) == {mine, next_one}, 20, "the statement to reach the gateway")
    assert site.cloud_sink("command", "send", LOCK, "read_now", "--wait").startswith("done")
    site.cloud_sink("orders-key", "retire", kid, "--reason", "lost")
    wait_until(lambda: believed(site) == {next_one}, 20, "the statement to reach the gateway")
    site.cloud_sink("command", "send", LOCK, "read_now")
    wait_until(lambda: "order forged" in site.agent.log.read_text(), 20, site.agent.log_tail)


def believed(site: TrustedSite) -> set[str]:
    """Return the keys whose orders the gateway carries out, as it has been told and keeps it."""
    kept = IdentityStore(site.identity).order_keys()
    return set() if kept is None else set(OrderKeys.model_validate_json(kept[0]).keys)
