"""Whoever can publish to the broker can send pages: twice, in any order, forged. The ledger takes each event once."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from demo.chain import Chain
from demo.keys import new_signing_key, public_key
from demo.layout import Layout, Settings
from tests.acceptance.conftest import QUICK_SINK, StartChain
from tests.acceptance.deeds import pour
from tests.acceptance.estates import small_estate
from tests.acceptance.ledger import disputes, export, journals, quarantine
from tests.acceptance.oracle import assert_ledger_is_truth, assert_ledger_sees_no_fault
from tests.acceptance.wire import WirePage, bystander, gateway_key, page_topic, signing_key
from tests.support.calendar import QUIET_NIGHT
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from wastelock.page import PageRecord, SigningKey, format_instant, seal_page, to_base64url
from wastelock.record import Kind, Record, encode_record

QUICK = Settings(poll_interval_s=0.1, sink=QUICK_SINK)


def test_pages_sent_twice_and_in_any_order_count_once(start_chain: StartChain) -> None:
    chain = start_chain(small_estate(rtu=False), QUICK, leave_out=("edge-agent",))
    with bystander(chain) as wire:
        chain.agent.start()
        for _ in range(4):
            pour(chain, 4)
            chain.wait_drained(60)
        chain.wait_equal(60)
        pages = wire.pages()
        assert len(pages) >= 6
        for page in [*reversed(pages), *pages[::2], *pages]:
            wire.send(page)
        pour(chain, 2)
        assert_ledger_is_truth(chain, at_least=18)
    assert_ledger_sees_no_fault(chain)


def test_pages_that_come_in_reverse_order_all_reach_the_ledger(start_chain: StartChain) -> None:
    chain = start_chain(small_estate(rtu=False), QUICK, leave_out=("edge-agent", "cloud-sink"))
    with bystander(chain) as wire:
        chain.agent.start()
        for _ in range(5):
            pour(chain, 4)
            chain.wait_drained(60)
        wait_until(lambda: len(wire.pages()) >= 6, 60, "pages on the wire")
        chain.agent.stop()  # from here on nobody has the pages but we
        pages = {page.number: page for page in wire.pages()}
        chain.sink.start()
        wait_until(lambda: "connected to the broker" in chain.sink.log_tail(), 60, "the sink to listen")
        for number in sorted(pages, reverse=True):
            wire.send(pages[number])
        assert_ledger_is_truth(chain, at_least=20)
    assert [through for _, through in journals(chain).values()] == [max(pages)]


@pytest.fixture(scope="module")
def pestered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """One chain for all forgeries: the ledger grows from test to test, and so does the quarantine."""
    layout = Layout(tmp_path_factory.mktemp("forged") / "chain", small_estate(rtu=False), free_port)
    with Chain(layout, QUICK, backlog_days=2, export=export, calendar_at=QUIET_NIGHT) as chain:
        assert_ledger_is_truth(chain)
        yield chain


@pytest.mark.parametrize(
    "forgery", ["altered", "unknown key", "no signature", "another gateway's topic", "no page at all"]
)
def test_forged_page_changes_nothing(pestered: Chain, forgery: str) -> None:
    chain = pestered
    in_quarantine = len(quarantine(chain))
    with bystander(chain) as wire:
        pour(chain, 2)
        wait_until(wire.pages, 60, "a page on the wire")
        chain.wait_equal(60)
        genuine = wire.pages()[-1]
        # The number that the gateway's next page will have: a forged page must not take its place.
        wire.send(forge(genuine, forgery, chain))
        wait_until(lambda: len(quarantine(chain)) > in_quarantine, 60, "the message in quarantine")
        before = len(chain.ledger())
        pour(chain, 4)
        assert_ledger_is_truth(chain, at_least=before + 4)
    assert disputes(chain) == 0


def test_page_of_another_registered_gateway_moves_nothing_of_ours(start_chain: StartChain) -> None:
    chain = start_chain(small_estate(rtu=False), QUICK, backlog_days=2, leave_out=("cloud-sink",))
    other = new_signing_key()
    ours = public_key(chain.layout.signing_key.read_bytes())
    chain.layout.write_gateways({chain.layout.estate.gateway: [ours], "gw-0099": [public_key(other)]})
    with bystander(chain) as wire:
        chain.sink.start()
        chain.wait_equal(60)
        pour(chain, 2)
        wait_until(wire.pages, 60, "a page on the wire")
        page = wire.pages()[-1]
        wire.send(page.signed_anew(signing_key(other)))
        wait_until(lambda: quarantine(chain), 60, "the message in quarantine")
        pour(chain, 2)
        assert_ledger_is_truth(chain, at_least=4)


def test_stolen_gateway_cannot_make_up_a_pour(start_chain: StartChain) -> None:
    chain = start_chain(small_estate(rtu=False), QUICK, backlog_days=2)
    lock = chain.layout.estate.locks[0]
    chain.wait_equal(60)
    next_seq = int(chain.rings()[lock.name]["newest"]) + 1
    invented = Record(
        seq=next_seq, began_clock_s=1_790_000_000, boot=1, kind=Kind.POUR, chamber=1, flags=1, uid=0x04112233,
        volume_ml=5000, register_after=4711,
    )  # fmt: skip
    raw = encode_record(invented, lock.serial, lock.epoch, key=bytes(16))  # the thief hasn't the lock's key
    now = datetime.now(UTC)
    record = PageRecord(lock.name, "wlc-1", lock.epoch, next_seq, to_base64url(raw), format_instant(now))
    gateway = chain.layout.estate.gateway
    payload = seal_page(gateway, str(uuid4()), 1, "", now, "ntp", [record])
    with bystander(chain) as wire:
        wire.send(WirePage(page_topic(chain), payload, {}).signed_anew(gateway_key(chain)))
        wait_until(lambda: disputes(chain), 60, "the ledger to notice")
        # Its identity is still free for the true record.
        pour(chain, 2)
        assert_ledger_is_truth(chain, at_least=next_seq)


def forge(genuine: WirePage, forgery: str, chain: Chain) -> WirePage:
    """Return a message that pretends to be the gateway's next page, or a changed copy of its last one."""
    header = f'"page":{genuine.number}'.encode()
    following = replace(
        genuine, payload=genuine.payload.replace(header, f'"page":{genuine.number + 1}'.encode())
    )
    match forgery:
        case "altered":
            return following
        case "unknown key":
            return following.signed_anew(SigningKey(Ed25519PrivateKey.generate()))
        case "no signature":
            return replace(following, user={})
        case "another gateway's topic":
            return replace(genuine, topic=page_topic(chain, gateway="gw-0666"))
        case _:
            return WirePage(genuine.topic, b'{"v":1,"page":' + b"[" * 500, genuine.user)
