"""Whose orders count: what the authority stated holds, and nothing that anybody else stated or changed."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from wastelock.order_keys import InvalidOrderKeys, check_order_keys, load_order_key, sign_order_keys
from wastelock.orders import OrderKeys
from wastelock.page import key_id, to_base64url

AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


def _certificate(key: ec.EllipticCurvePrivateKey | Ed25519PrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(AT)
        .not_valid_after(AT + timedelta(days=1))
    )
    return builder.sign(key, None if isinstance(key, Ed25519PrivateKey) else SHA256())


@pytest.fixture(scope="module")
def authority_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def authority(authority_key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    return _certificate(authority_key)


@pytest.fixture(scope="module")
def order_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture(scope="module")
def stated(order_key: Ed25519PrivateKey) -> OrderKeys:
    return OrderKeys(at=AT, keys=(to_base64url(order_key.public_key().public_bytes_raw()),))


def test_what_the_authority_stated_is_believed(
    authority_key: ec.EllipticCurvePrivateKey, authority: x509.Certificate, stated: OrderKeys
) -> None:
    text, proof = sign_order_keys(authority_key, stated)
    assert check_order_keys(text, proof, authority) == stated


def test_a_statement_of_another_authority_is_not_believed(
    authority: x509.Certificate, stated: OrderKeys
) -> None:
    text, proof = sign_order_keys(ec.generate_private_key(ec.SECP256R1()), stated)
    with pytest.raises(InvalidOrderKeys, match="proof doesn't hold"):
        check_order_keys(text, proof, authority)


def test_a_statement_changed_by_one_character_is_not_believed(
    authority_key: ec.EllipticCurvePrivateKey, authority: x509.Certificate, stated: OrderKeys
) -> None:
    text, proof = sign_order_keys(authority_key, stated)
    with pytest.raises(InvalidOrderKeys, match="proof doesn't hold"):
        check_order_keys(text.replace("2026", "2027"), proof, authority)


@pytest.mark.parametrize("proof", ["", "?", "ä", "AAAA", "A" * 96])
def test_a_proof_that_is_none_says_so(authority: x509.Certificate, stated: OrderKeys, proof: str) -> None:
    with pytest.raises(InvalidOrderKeys, match="proof doesn't hold"):
        check_order_keys(stated.to_json().decode(), proof, authority)


def test_a_certificate_with_a_key_of_another_kind_is_no_authority(
    authority_key: ec.EllipticCurvePrivateKey, stated: OrderKeys
) -> None:
    text, proof = sign_order_keys(authority_key, stated)
    with pytest.raises(InvalidOrderKeys, match="another kind"):
        check_order_keys(text, proof, _certificate(Ed25519PrivateKey.generate()))


def test_text_that_the_authority_signed_but_that_states_no_keys_is_refused(
    authority_key: ec.EllipticCurvePrivateKey, authority: x509.Certificate
) -> None:
    proof = to_base64url(authority_key.sign(b'wl1-order-keys\n{"v":1}', ec.ECDSA(SHA256())))
    with pytest.raises(InvalidOrderKeys, match="can't be read"):
        check_order_keys('{"v":1}', proof, authority)


def test_no_keys_at_all_can_be_stated_too(
    authority_key: ec.EllipticCurvePrivateKey, authority: x509.Certificate
) -> None:
    text, proof = sign_order_keys(authority_key, OrderKeys(at=AT, keys=()))
    assert check_order_keys(text, proof, authority).keys == ()


def test_a_key_is_known_by_the_same_id_as_page_signing_keys(
    order_key: Ed25519PrivateKey, stated: OrderKeys
) -> None:
    kid, public = load_order_key(stated.keys[0])
    assert kid == key_id(order_key.public_key())
    public.verify(order_key.sign(b"order"), b"order")


@pytest.mark.parametrize("text", ["", "not base64!", "AAAA"])
def test_text_that_is_no_key_says_what_was_expected(text: str) -> None:
    with pytest.raises(InvalidOrderKeys, match="43 characters"):
        load_order_key(text)
