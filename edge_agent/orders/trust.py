"""Whose orders count: keys from the configuration, and what the identity's authority states of the cloud's order keys.

An order is signed over its topic and payload, so one that was meant for another gateway doesn't hold here.
"""

from collections.abc import Mapping, Sequence

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge_agent.arrival import Arrival
from edge_agent.errors import ConfigError, UntrustedOrder
from edge_agent.identity import IdentityStore
from wastelock.messages import IdentityAnswer
from wastelock.order_keys import InvalidOrderKeys, check_order_keys, load_order_key
from wastelock.orders import OrderKeys
from wastelock.page import signature_holds

_NO_KEYS = (
    "an order came, but this gateway knows no key of the cloud's: renew its identity (`edge-agent enroll --renew`), or "
    "name the key in [orders] keys"
)


class OrderTrust:
    """Used by one thread. A statement that is renewed while the agent runs counts from then on."""

    def __init__(self, configured: Sequence[str], store: IdentityStore | None) -> None:
        self._configured = dict(load_order_key(key) for key in configured)
        self._store = store
        self._stated: dict[str, Ed25519PublicKey] = {}
        self._seen: tuple[str, str] | None = None
        self.trouble: str | None = None

    def check(self, arrival: Arrival) -> None:
        """Return if this is an order of the cloud's to this gateway, or raise UntrustedOrder with its alarm."""
        keys = self.keys()
        if not keys:
            raise UntrustedOrder("orders without keys", _NO_KEYS)
        key = keys.get(arrival.kid)
        if key is None:
            raise UntrustedOrder(
                "order forged",
                f"an order on {arrival.topic} is signed by a key that isn't one of the cloud's order keys: if it "
                "has a new one, renew the identity (`edge-agent enroll --renew`); else somebody forges orders",
            )
        if not signature_holds(key, arrival.topic, arrival.payload, arrival.signature):
            raise UntrustedOrder(
                "order forged",
                f"the signature of an order on {arrival.topic} doesn't hold: it was forged, altered, or meant for "
                "another gateway",
            )

    def keys(self) -> Mapping[str, Ed25519PublicKey]:
        """Return the keys in force by their names."""
        self._look_at_statement()
        return self._configured | self._stated

    def _look_at_statement(self) -> None:
        if self._store is None:
            return
        try:
            statement = self._store.order_keys()
            if statement != self._seen:
                self._stated = self._read(statement)
                self._seen = statement
            self.trouble = None
        except (ConfigError, InvalidOrderKeys) as error:
            self._stated, self._seen = {}, None
            self.trouble = f"{error}; remedy: renew the identity (`edge-agent enroll --renew`)"

    def _read(self, statement: tuple[str, str] | None) -> dict[str, Ed25519PublicKey]:
        assert self._store is not None
        authority = self._store.authority()
        if statement is None or authority is None:
            return {}
        return dict(load_order_key(key) for key in check_order_keys(*statement, authority).keys)


def adopt_order_keys(store: IdentityStore, answer: IdentityAnswer, authority: x509.Certificate) -> bool:
    """Keep what an answer of the authority states of order keys, if it is newer; True if it was kept.

    Raises InvalidOrderKeys where the authority didn't state it.
    """
    if answer.order_keys is None or answer.order_keys_proof is None:
        return False
    stated = check_order_keys(answer.order_keys, answer.order_keys_proof, authority)
    kept = _kept(store, authority)
    if kept is not None and kept.at >= stated.at:
        return False
    store.keep_order_keys(answer.order_keys, answer.order_keys_proof)
    return True


def _kept(store: IdentityStore, authority: x509.Certificate) -> OrderKeys | None:
    """Return the statement that is kept, None where there is none of this authority, or a damaged one."""
    try:
        statement = store.order_keys()
        return check_order_keys(*statement, authority) if statement is not None else None
    except (InvalidOrderKeys, ConfigError):
        return None
