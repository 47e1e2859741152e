"""Whose orders gateways believe: stated in each answer, proven by the authority, never going back in time."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_sink.authority.order_keys import add_order_key, retire_order_key
from cloud_sink.authority.register import Register
from cloud_sink.errors import NotPossible
from cloud_sink.orders.signing_key import public_text
from tests.support.authority import BOSS, Applicant, Office
from wastelock.messages import IdentityAnswer
from wastelock.order_keys import check_order_keys
from wastelock.orders import OrderKeys
from wastelock.page import SigningKey


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def key() -> str:
    return public_text(SigningKey(Ed25519PrivateKey.generate()))


def stated(office: Office, answer: IdentityAnswer) -> OrderKeys:
    """Return what a gateway believes of an answer."""
    assert answer.order_keys is not None and answer.order_keys_proof is not None
    authority: x509.Certificate = office.authority.issuer.certificate
    return check_order_keys(answer.order_keys, answer.order_keys_proof, authority)


def test_without_order_keys_an_answer_says_nothing_of_them(office: Office) -> None:
    answer = office.answer(Applicant().request(office.token()))
    assert (answer.order_keys, answer.order_keys_proof) == (None, None)
    assert office.authority.order_keys()[0] is None


def test_each_answer_states_the_keys_in_force_and_the_same_request_the_newest_ones(office: Office) -> None:
    request, first, second = Applicant().request(office.token()), key(), key()
    kid = add_order_key(office.authority.register, first, BOSS, office.at)
    assert stated(office, office.answer(request)).keys == (first,)
    office.at += timedelta(days=1)
    add_order_key(office.authority.register, second, BOSS, office.at)
    retire_order_key(office.authority.register, kid, BOSS, office.at)
    assert stated(office, office.answer(request)).keys == (second,)


def test_a_statement_is_later_with_each_change_even_if_the_clock_is_set_back_and_the_same_without_one(
    office: Office,
) -> None:
    seen: list[OrderKeys] = []
    kids = []
    for step in range(3):
        kids.append(add_order_key(office.authority.register, key(), BOSS, office.at - timedelta(hours=step)))
        answer, _ = office.authority.order_keys()
        assert answer is not None
        seen.append(stated(office, answer))
    retire_order_key(office.authority.register, kids[0], BOSS, office.at - timedelta(days=1))
    for _ in range(2):
        answer, _ = office.authority.order_keys()
        assert answer is not None
        seen.append(stated(office, answer))
    assert [each.at for each in seen] == [*sorted({each.at for each in seen}), seen[-1].at]
    assert seen[-1] == seen[-2]


def test_what_is_stated_though_nobody_asked_is_for_gateways_in_force_only(office: Office) -> None:
    for name in ("gw-0001", "gw-0002"):
        office.answer(Applicant(name).request(office.token(name)))
    add_order_key(office.authority.register, key(), BOSS, office.at)
    office.authority.revoke("gw-0002", None, BOSS)
    answer, gateways = office.authority.order_keys()
    assert answer is not None and answer.request == "" and answer.certificate is None
    assert [each.id for each in gateways] == ["gw-0001"]


def test_a_key_is_added_once_and_one_that_was_retired_never_again(office: Office) -> None:
    text = key()
    kid = add_order_key(office.authority.register, text, BOSS, office.at)
    assert add_order_key(office.authority.register, text, BOSS, office.at) == kid
    retire_order_key(office.authority.register, kid, BOSS, office.at)
    retire_order_key(office.authority.register, kid, BOSS, office.at)
    with pytest.raises(NotPossible, match="was retired: make a new one"):
        add_order_key(office.authority.register, text, BOSS, office.at)
    with pytest.raises(NotPossible, match="there is no order key"):
        retire_order_key(office.authority.register, "nobody", BOSS, office.at)
    with pytest.raises(NotPossible, match="43 characters"):
        add_order_key(office.authority.register, "abc", BOSS, office.at)
    with office.authority.register.reading() as decision:
        assert [(what, reason) for _, _, what, reason in decision.deeds(kid)] == [
            ("order key added", "test"), ("order key retired", "test"),
        ]  # fmt: skip


def test_no_more_keys_than_a_gateway_takes(office: Office) -> None:
    for _ in range(16):
        add_order_key(office.authority.register, key(), BOSS, office.at)
    with pytest.raises(NotPossible, match="16 order keys are in force"):
        add_order_key(office.authority.register, key(), BOSS, office.at)


def test_a_register_of_the_release_before_is_brought_up_to_date(office: Office) -> None:
    gateway = Applicant()
    office.answer(gateway.request(office.token()))
    path = office.vault.register
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("DROP TABLE order_key; PRAGMA user_version = 1;")
    register = Register(path)
    add_order_key(register, key(), BOSS, office.at)
    with register.reading() as decision:
        assert [each.id for each in decision.gateways()] == ["gw-0001"]
        assert len(decision.order_keys()) == 1
