"""Messages: what goes onto the wire comes back equal; what the contract forbids is refused."""

import json
import tracemalloc
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from wastelock.messages import GatewayState, LockState, Message, Receipt, ResendRequest

JOURNAL = "0d3c8c5e-7f3b-4f0a-9c61-2f6f0b1f8a11"
instants = st.integers(0, 4_000_000_000_000).map(
    lambda ms: datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms)
)
page_numbers = st.integers(1, 2**63 - 1)
ranges = st.tuples(page_numbers, page_numbers).map(lambda pair: (min(pair), max(pair)))
u32 = st.integers(0, 2**32 - 1)

receipts = st.builds(
    Receipt, journal=st.uuids().map(str), committed_through=st.integers(0, 2**63 - 1),
    head=st.none() | st.text("abcXYZ019_-", min_size=43, max_size=43), held=st.lists(ranges, max_size=5).map(tuple),
    quarantined=st.lists(st.tuples(page_numbers, st.text(max_size=20)), max_size=3).map(tuple), at=instants,
)  # fmt: skip
lock_states = st.builds(
    LockState, lock=st.just("1f00a3"), driver=st.just("wlc-1"), at=instants, reachable=st.booleans(),
    unreachable_since=st.none() | instants, epoch=st.none() | u32, newest_seq=st.none() | u32,
    faults=st.lists(st.text(max_size=9), max_size=3).map(tuple), temperature_dc=st.none() | st.integers(-500, 900),
)  # fmt: skip


@given(st.one_of(receipts, lock_states))
def test_message_survives_the_wire(message: Message) -> None:
    payload = message.to_json()
    assert type(message).model_validate_json(payload) == message
    assert json.loads(payload)["v"] == 1
    assert None not in json.loads(payload).values()


def test_instants_are_written_as_the_contract_says() -> None:
    at = datetime(2026, 11, 22, 9, 31, 1, 210_999, UTC)
    assert (
        json.loads(Receipt(journal=JOURNAL, committed_through=0, at=at).to_json())["at"]
        == "2026-11-22T09:31:01.210Z"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"at": "2026-11-22T09:31:01.210"},
        {"committed_through": -1},
        {"committed_through": 2**63},
        {"held": [[5, 4]]},
        {"held": [[0, 4]]},
        {"held": [[1, 2]] * 1001},
        {"journal": "x"},
        {"quarantined": [[1, "why"]] * 101},
    ],
)
def test_receipt_against_the_contract_is_refused(change: dict[str, Any]) -> None:
    good = json.loads(Receipt(journal=JOURNAL, committed_through=7, at=datetime.now(UTC)).to_json())
    assert Receipt.model_validate_json(json.dumps(good))
    with pytest.raises(ValidationError):
        Receipt.model_validate_json(json.dumps({**good, **change}))


@given(st.binary(max_size=100))
def test_garbage_is_a_validation_error_and_nothing_else(payload: bytes) -> None:
    for model in (Receipt, ResendRequest, GatewayState):
        with pytest.raises(ValidationError):
            model.model_validate_json(payload)


def test_deeply_nested_payload_is_a_validation_error() -> None:
    with pytest.raises(ValidationError):
        Receipt.model_validate_json(b'{"x":' + b"[" * 100_000)


def test_resend_request_names_at_least_one_page_and_no_range_backwards() -> None:
    for pages in ((), ((9, 8),)):
        with pytest.raises(ValidationError):
            ResendRequest(journal=JOURNAL, pages=pages)


def test_messages_cannot_be_changed() -> None:
    receipt = Receipt(journal=JOURNAL, committed_through=7, at=datetime.now(UTC))
    with pytest.raises(ValidationError):
        setattr(receipt, "committed_through", 8)  # noqa: B010 - a type checker would see the mistake


def test_nothing_is_kept_of_messages_that_were_read() -> None:
    receipts = [
        Receipt(
            journal=JOURNAL, committed_through=n, head=f"{n:043}", at=datetime.fromtimestamp(n, UTC)
        ).to_json()
        for n in range(1, 4_000)
    ]
    Receipt.model_validate_json(receipts[0])
    tracemalloc.start()
    try:
        for receipt in receipts:
            Receipt.model_validate_json(receipt)
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept_bytes < 20_000
