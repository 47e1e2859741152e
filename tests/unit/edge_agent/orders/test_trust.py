"""Whose orders count: keys that the configuration names, and those that the identity's authority states."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from edge_agent.arrival import Arrival
from edge_agent.enrolling import accept_answer, applicant, ask_to_renew, ask_with_token, take_statement
from edge_agent.errors import AnswerRejected, UntrustedOrder
from edge_agent.identity import IdentityStore
from edge_agent.orders.trust import OrderTrust
from tests.support.order_issuer import FOREIGN_KEY, ORDER_KEY, PUBLIC_ORDER_KEY
from tests.unit.edge_agent.gateway import TOPICS
from tests.unit.edge_agent.identities import AT, Signer, identity_config
from wastelock.messages import IdentityAnswer
from wastelock.page import SigningKey, to_base64url

PUBLIC_FOREIGN_KEY = to_base64url(FOREIGN_KEY.private.public_key().public_bytes_raw())


class Enrolled:
    """An enrolled gateway whose authority has stated the order key."""

    def __init__(self, directory: Path) -> None:
        self.config = identity_config(directory)
        self.store = IdentityStore(directory / "identity")
        self.signer = Signer()
        request = ask_with_token(self.store, self.config, self.signer.token(), AT)
        self.take(self.signer.answer(request), self.signer.state_order_keys(PUBLIC_ORDER_KEY))
        self.store.install()
        self.trust = OrderTrust([], self.store)

    def take(self, answer: IdentityAnswer, stated: dict[str, str]) -> None:
        accept_answer(self.store, applicant(self.config), answer.model_copy(update=stated).to_json())

    def renew(self, stated: dict[str, str]) -> None:
        request = ask_to_renew(self.store, self.config, AT, new_signing_key=False)
        self.take(self.signer.answer(request), stated)

    def counts(self, key: SigningKey) -> bool:
        payload = b"an order"
        try:
            self.trust.check(
                Arrival(TOPICS.command, payload, False, key.kid, key.sign(TOPICS.command, payload))
            )
        except UntrustedOrder:
            return False
        return True


@pytest.fixture
def gateway(tmp_path: Path) -> Enrolled:
    return Enrolled(tmp_path)


def later(days: int) -> datetime:
    return AT + timedelta(days=days)


def test_the_keys_come_with_the_certificate(gateway: Enrolled) -> None:
    assert gateway.counts(ORDER_KEY) and not gateway.counts(FOREIGN_KEY)


def test_keys_that_a_renewal_brings_count_at_once_and_the_retired_no_more(gateway: Enrolled) -> None:
    gateway.renew(gateway.signer.state_order_keys(PUBLIC_FOREIGN_KEY, at=later(1)))
    assert gateway.counts(FOREIGN_KEY) and not gateway.counts(ORDER_KEY)


def test_an_older_statement_does_not_take_the_place_of_a_newer_one(gateway: Enrolled) -> None:
    gateway.renew(gateway.signer.state_order_keys(PUBLIC_FOREIGN_KEY, at=later(-1)))
    assert gateway.counts(ORDER_KEY) and not gateway.counts(FOREIGN_KEY)


def test_a_newer_statement_counts_also_where_nothing_was_asked_for(gateway: Enrolled) -> None:
    stated = gateway.signer.state_order_keys(PUBLIC_ORDER_KEY, PUBLIC_FOREIGN_KEY, at=later(1))
    told = IdentityAnswer(request="", at=AT).model_copy(update=stated)
    assert take_statement(gateway.store, told.to_json())
    assert gateway.counts(ORDER_KEY) and gateway.counts(FOREIGN_KEY)
    forged = told.model_copy(update=Signer().state_order_keys(PUBLIC_FOREIGN_KEY, at=later(2)))
    with pytest.raises(AnswerRejected, match="proof doesn't hold"):
        take_statement(gateway.store, forged.to_json())
    assert gateway.counts(ORDER_KEY)


def test_what_another_authority_states_is_refused_with_all_that_came_along(gateway: Enrolled) -> None:
    with pytest.raises(AnswerRejected, match="proof doesn't hold"):
        gateway.renew(Signer().state_order_keys(PUBLIC_FOREIGN_KEY, at=later(1)))
    pending = gateway.store.pending()
    assert pending is not None and pending.answer is None
    assert gateway.counts(ORDER_KEY) and not gateway.counts(FOREIGN_KEY)


def test_configured_keys_count_beside_those_of_the_authority(gateway: Enrolled) -> None:
    gateway.trust = OrderTrust([PUBLIC_FOREIGN_KEY], gateway.store)
    assert gateway.counts(ORDER_KEY) and gateway.counts(FOREIGN_KEY)


@pytest.mark.parametrize("content", [b"", b"{}", b'["text", "proof"]', b"\xff"])
def test_a_statement_that_is_damaged_on_the_disk_counts_nothing_and_says_what_to_do(
    gateway: Enrolled, content: bytes
) -> None:
    (gateway.store.directory / "order-keys.json").write_bytes(content)
    assert not gateway.counts(ORDER_KEY)
    assert "enroll --renew" in str(gateway.trust.trouble)
    gateway.renew(gateway.signer.state_order_keys(PUBLIC_ORDER_KEY, at=later(1)))
    assert gateway.counts(ORDER_KEY) and gateway.trust.trouble is None


def test_the_statement_is_a_file_for_the_agents_user_alone(gateway: Enrolled) -> None:
    assert (gateway.store.directory / "order-keys.json").stat().st_mode & 0o077 == 0
