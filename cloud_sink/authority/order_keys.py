"""Whose orders gateways believe: the authority keeps the list of keys, and states it in each identity answer.

    add ──▶ believed by each gateway from its next answer on ──▶ retire ──▶ no longer, from its next answer on

So a new key is added, every gateway gets a new answer, then sinks begin to sign with it, and the old one is retired.
"""

from datetime import datetime, timedelta

from cloud_sink.authority.certificates import Issuer
from cloud_sink.authority.register import Decision, Register
from cloud_sink.errors import NotPossible
from cloud_sink.operating import Author
from wastelock.order_keys import InvalidOrderKeys, load_order_key, sign_order_keys
from wastelock.orders import OrderKeys

_KEYS_MAX = 16  # as the wire contract has it


def add_order_key(register: Register, public: str, author: Author, now: datetime) -> str:
    """Have gateways believe orders signed by this key (base64url); return its kid. NotPossible if they can't."""
    try:
        kid, _ = load_order_key(public)
    except InvalidOrderKeys as error:
        raise NotPossible(str(error)) from None
    with register.deciding() as decision:
        rows = decision.order_keys()
        known = next((row for row in rows if row.kid == kid), None)
        if known is not None and known.retired_at is not None:
            raise NotPossible(f"order key {kid} was retired: make a new one: `cloud-sink orders-key make`")
        if known is None:
            if sum(row.retired_at is None for row in rows) >= _KEYS_MAX:
                raise NotPossible(f"{_KEYS_MAX} order keys are in force: retire one first")
            decision.put_order_key(kid, public, _later(decision, now))
            decision.note(now, author.actor, "order key added", kid, author.reason)
    return kid


def retire_order_key(register: Register, kid: str, author: Author, now: datetime) -> None:
    """Have gateways no longer believe orders signed by this key; for ever."""
    with register.deciding() as decision:
        known = next((row for row in decision.order_keys() if row.kid == kid), None)
        if known is None:
            raise NotPossible(f"there is no order key {kid}: `cloud-sink orders-key show` lists them")
        if known.retired_at is None:
            decision.retire_order_key(kid, _later(decision, now))
            decision.note(now, author.actor, "order key retired", kid, author.reason)


def signed_statement(decision: Decision, issuer: Issuer) -> tuple[str | None, str | None]:
    """Return what the authority states now, and its proof; None as long as no key was ever added."""
    rows = decision.order_keys()
    if not rows:
        return None, None
    keys = tuple(row.public for row in rows if row.retired_at is None)
    return sign_order_keys(issuer.key, OrderKeys(at=_changed_at(decision), keys=keys))


def _changed_at(decision: Decision) -> datetime:
    rows = decision.order_keys()
    return max(at for row in rows for at in (row.since, row.retired_at) if at is not None)


def _later(decision: Decision, now: datetime) -> datetime:
    """Return now, or just after the last change: gateways ignore a statement that isn't later than one they have."""
    return max(now, _changed_at(decision) + timedelta(milliseconds=1)) if decision.order_keys() else now
