"""A message -> a page, or the reason why not."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from cloud_sink.checking import CheckedPage, Message, Reason, Rejected, check_message
from cloud_sink.keys import KeyRing
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.ledger import load_keys, message, write_keys

JOURNAL = "00000000-0000-4000-8000-000000000001"


@pytest.fixture
def keys(tmp_path: Path, gateway: FakeGateway) -> KeyRing:
    write_keys(tmp_path, [gateway, FakeGateway("gw-0002", seed=2)])
    return load_keys(tmp_path)


def rejected(item: Message, keys: KeyRing) -> Rejected:
    result = check_message(item, keys)
    assert isinstance(result, Rejected)
    return result


def header(**changes: object) -> bytes:
    fields = {"v": 1, "gateway": "gw-0001", "journal": JOURNAL, "page": 1, "prev": "", **changes}
    return msgspec.json.encode(fields)


def test_a_good_page_passes_with_its_records(gateway: FakeGateway, lock: FakeLock, keys: KeyRing) -> None:
    page = gateway.seal(lock.pours(3))
    result = check_message(message(page), keys)
    assert isinstance(result, CheckedPage)
    assert (result.page, result.prev, result.hash, result.clock) == (1, "", page.hash, "ntp")
    assert (result.key.site, result.key.gateway, result.key.journal) == (
        "estate-1",
        "gw-0001",
        gateway.journal,
    )
    assert [row[2] for row in result.decoded.groups[0].rows] == [1, 2, 3]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sig": None}, Reason.NO_SIGNATURE),
        ({"kid": None}, Reason.NO_SIGNATURE),
        ({"kid": "someone"}, Reason.UNKNOWN_KEY),
        ({"sig": ""}, Reason.BAD_SIGNATURE),
        ({"sig": "A" * 86}, Reason.BAD_SIGNATURE),
        ({"sig": "\0" * 90}, Reason.BAD_SIGNATURE),
        ({"topic": "wl/1/estate-2/gw-0001/up/page"}, Reason.UNKNOWN_GATEWAY),
        ({"topic": "wl/1/estate-1/gw-0002/up/page"}, Reason.UNKNOWN_KEY),
        ({"topic": "wl/1/estate-1/up/page"}, Reason.UNKNOWN_GATEWAY),
        ({"payload": b"x" * 300_000}, Reason.TOO_LARGE),
    ],
)
def test_whatever_is_wrong_with_a_message_has_its_reason(
    gateway: FakeGateway, lock: FakeLock, keys: KeyRing, changes: dict[str, Any], reason: Reason
) -> None:
    assert rejected(message(gateway.seal(lock.pours(1)), **changes), keys).reason is reason


def test_a_signature_with_anything_else_in_it_is_none(
    gateway: FakeGateway, lock: FakeLock, keys: KeyRing
) -> None:
    page = gateway.seal(lock.pours(1))
    spoiled = f"{page.sig[:40]}\0!{page.sig[40:]}"
    assert rejected(message(page, sig=spoiled), keys).reason is Reason.BAD_SIGNATURE


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"[]", b"\xff", b'{"v":1}', '{"v":1,"gateway":"gw-0001","journal":"ü","page":1,"prev":""}'.encode(),
    ],
)  # fmt: skip
def test_signed_rubbish_is_not_a_page(gateway: FakeGateway, keys: KeyRing, payload: bytes) -> None:
    result = rejected(message(gateway.sign(payload)), keys)
    assert (result.reason, result.key) == (Reason.NOT_A_PAGE, None)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"page": 0}, Reason.NOT_A_PAGE),
        ({"page": 2**62}, Reason.NOT_A_PAGE),
        ({"page": 2, "prev": ""}, Reason.NOT_A_PAGE),
        ({"prev": "short"}, Reason.NOT_A_PAGE),
        ({"v": -1}, Reason.NOT_A_PAGE),
        ({"journal": "my-journal"}, Reason.NOT_A_PAGE),
        ({"gateway": "gw-0002"}, Reason.FOREIGN_PAGE),
    ],
)
def test_a_signed_page_with_an_impossible_header_is_refused(
    gateway: FakeGateway, keys: KeyRing, changes: dict[str, object], reason: Reason
) -> None:
    assert rejected(message(gateway.sign(header(**changes))), keys).reason is reason


def test_custody_is_taken_of_a_page_whose_header_alone_can_be_read(
    gateway: FakeGateway, keys: KeyRing
) -> None:
    for payload in (header(v=2), header(records="none")):
        result = check_message(message(gateway.sign(payload)), keys)
        assert isinstance(result, CheckedPage)
        assert (result.clock, [slot for slot, _ in result.decoded.unread]) == (None, [-1])


def test_a_rejected_page_of_a_known_gateway_is_named_so_that_it_can_be_told(
    gateway: FakeGateway, lock: FakeLock, keys: KeyRing
) -> None:
    page = gateway.seal(lock.pours(1))
    told = rejected(message(page, sig="A" * 86), keys)
    assert told.key is not None
    assert (told.key.journal, told.page) == (gateway.journal, 1)
    assert rejected(message(page, topic="wl/1/estate-1/gw-0002/up/page"), keys).key is None
