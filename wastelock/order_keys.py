"""How a gateway learns whose orders count: the authority states the cloud's order keys, and proves it with its own key.

The statement is fixed as text; the proof is over exactly that text, by the key of the authority's certificate: whoever
trusts the authority trusts the keys. Pure: no files, no network.
"""

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from pydantic import ValidationError

from wastelock.orders import OrderKeys
from wastelock.page import from_base64url, key_id, to_base64url

_PROOF_PREFIX = b"wl1-order-keys\n"


class InvalidOrderKeys(ValueError):
    """This isn't what the authority says of order keys: the message says what doesn't hold."""


def sign_order_keys(authority_key: ec.EllipticCurvePrivateKey, stated: OrderKeys) -> tuple[str, str]:
    """Return the statement as text, and the authority's proof of it: ECDSA with SHA-256, base64url of DER."""
    text = stated.to_json().decode()
    proof = authority_key.sign(_PROOF_PREFIX + text.encode(), ec.ECDSA(SHA256()))
    return text, to_base64url(proof)


def check_order_keys(text: str, proof: str, authority: x509.Certificate) -> OrderKeys:
    """Return what the authority with this certificate stated, or raise InvalidOrderKeys."""
    try:
        public = authority.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidOrderKeys("the authority's certificate holds no key that could prove anything") from None
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise InvalidOrderKeys("the authority's certificate holds a key of another kind than ECDSA")
    try:
        public.verify(from_base64url(proof), _PROOF_PREFIX + text.encode(), ec.ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        raise InvalidOrderKeys(
            "the order keys weren't stated by this authority: its proof doesn't hold"
        ) from None
    try:
        stated = OrderKeys.model_validate_json(text)
    except ValidationError as error:
        raise InvalidOrderKeys(
            f"the order keys can't be read: {error.error_count()} fields don't hold"
        ) from None
    for key in stated.keys:
        load_order_key(key)
    return stated


def load_order_key(text: str) -> tuple[str, Ed25519PublicKey]:
    """Return the `kid` and the key that are meant by base64url text as in OrderKeys, or raise InvalidOrderKeys."""
    try:
        public = Ed25519PublicKey.from_public_bytes(from_base64url(text))
    except ValueError:
        raise InvalidOrderKeys(
            "not an order key: expected an Ed25519 public key, base64url (43 characters)"
        ) from None
    return key_id(public), public
