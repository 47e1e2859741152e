"""Damaged spool files: whatever is wrong with the bytes, the spool opens, and every page that is intact is kept."""

import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.alarms import Alarms
from edge_agent.errors import SpoolCorrupt
from edge_agent.spool import Spool, SpoolLimits
from edge_agent.spool_opening import to_salvage
from edge_agent.spool_pages import Sealer
from edge_agent.spool_reader import JournalView, SpoolReader
from edge_agent.spool_salvage import salvage_pages
from edge_agent.spool_schema import PAGE_BYTES
from tests.support.waiting import wait_until
from tests.unit.edge_agent.gateway import (
    KEY,
    MIB,
    START,
    TOPICS,
    active,
    all_pages,
    assert_chain,
    make_spool,
    opened,
    visit,
)
from wastelock.messages import Receipt
from wastelock.page import SigningKey, page_hash, parse_page, signature_holds


class Template:
    """A spool's file, and for each of its pages the blocks in which it lies."""

    def __init__(self, data: bytes, payloads: dict[int, bytes]) -> None:
        self.data = data
        self.payloads = payloads
        self.blocks = {page: _blocks_of(data, payload) for page, payload in payloads.items()}

    def write(self, path: Path, data: bytes | None = None) -> None:
        path.write_bytes(self.data if data is None else data)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """Forty pages in the file: small ones, ones that fill a block and large ones that need many."""
    path = tmp_path_factory.mktemp("template") / "spool.db"
    with opened(make_spool(path)) as spool:
        seq = 1
        for count in (1, 5, 17, 500, 1, 60, 2, 3, 19, 20) * 4:
            spool.seal(visit(seq=seq, count=count))
            seq += count
    data = path.read_bytes()
    return Template(data, {page.page: page.payload for page in all_pages(path)})


def _blocks_of(data: bytes, payload: bytes) -> set[int]:
    """Return which blocks of the file hold a payload, found by its bytes and the pointers behind them."""
    start = data.find(payload[:120])
    assert start >= 0
    end = start
    while end - start < len(payload) and data[end] == payload[end - start]:
        end += 1  # a pointer's first byte is 0, which no payload holds
    blocks, left = {start // PAGE_BYTES}, len(payload) - (end - start)
    while left > 0:
        follower = int.from_bytes(data[end : end + 4], "big")
        blocks.add(follower - 1)
        end = (follower - 1) * PAGE_BYTES
        left -= PAGE_BYTES - 4
    return blocks


def readable(path: Path) -> dict[int, bytes]:
    """Return every page that can be read, over all journals."""
    reader = SpoolReader(path)
    found: dict[int, bytes] = {}
    try:
        for journal in reader.journals():
            for number in reader.pages_after(journal.id, 0, 10_000):
                try:
                    page = reader.page(journal.id, number)
                except SpoolCorrupt:
                    continue
                assert page is not None
                if parse_page(page.payload).records[0].lock == "1f00a1":
                    found[number] = page.payload
    finally:
        reader.close()
    return found


def open_and_wait(path: Path) -> dict[int, bytes]:
    """Open the damaged spool, go on working with it until the salvage is done, and return what it holds."""
    with opened(make_spool(path)) as spool:
        spool.seal(visit(lock=0x1F00A2))
        wait_until(lambda: not to_salvage(path), 20, "the salvage")
        return readable(path)


changes = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=200)), min_size=1, max_size=6
)


@settings(max_examples=20)
@given(changes=changes)
def test_bytes_overwritten_anywhere_cost_no_page_that_they_do_not_lie_in(
    template: Template, tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[float, bytes]]
) -> None:
    data = bytearray(template.data)
    for where, what in changes:
        at = int(where * len(data))
        data[at : at + len(what)] = what[: len(data) - at]
    damaged = {n for n in range(len(data) // PAGE_BYTES) if _block(data, n) != _block(template.data, n)}
    path = tmp_path_factory.mktemp("damage") / "spool.db"
    template.write(path, bytes(data))
    assert_intact_pages_kept(template, open_and_wait(path), damaged)


@settings(max_examples=20)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, 4 * PAGE_BYTES), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4
    )
)
def test_a_few_bytes_wrong_in_header_or_schema_are_survived_like_any_others(
    template: Template, tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, bytes]]
) -> None:
    data = bytearray(template.data)
    for at, what in changes:
        data[at : at + len(what)] = what
    damaged = {n for n in range(5) if _block(data, n) != _block(template.data, n)}
    path = tmp_path_factory.mktemp("schema") / "spool.db"
    template.write(path, bytes(data))
    assert_intact_pages_kept(template, open_and_wait(path), damaged)


@settings(max_examples=10)
@given(share=st.floats(0, 1))
def test_a_truncated_file_costs_only_the_pages_behind_the_cut(
    template: Template, tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    cut = int(share * len(template.data))
    path = tmp_path_factory.mktemp("cut") / "spool.db"
    template.write(path, template.data[:cut])
    damaged = set(range(cut // PAGE_BYTES, len(template.data) // PAGE_BYTES))
    assert_intact_pages_kept(template, open_and_wait(path), damaged)


def _block(data: bytes | bytearray, number: int) -> bytes:
    return bytes(data[number * PAGE_BYTES : (number + 1) * PAGE_BYTES])


def assert_intact_pages_kept(template: Template, found: dict[int, bytes], damaged: set[int]) -> None:
    intact = {page for page, blocks in template.blocks.items() if not blocks & damaged}
    assert intact <= found.keys()
    assert all(template.payloads[page] == payload for page, payload in found.items()), (
        "nothing wrong gets through"
    )


@settings(max_examples=10)
@given(changes=changes)
def test_whatever_is_damaged_in_file_and_log_of_a_power_cut_nothing_wrong_gets_through(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[float, bytes]]
) -> None:
    directory = tmp_path_factory.mktemp("log")
    path, copy = directory / "spool.db", directory / "copy.db"
    with opened(make_spool(path, reserve_bytes=MIB)) as spool:
        for seq in range(1, 31):
            spool.seal(visit(seq=seq * 40, count=1 + seq % 40))
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
        truth = {page.page: page.payload for page in all_pages(path)}
    files = [copy, copy.with_name("copy.db-wal")]
    sizes = [file.stat().st_size for file in files]
    for where, what in changes:
        at = int(where * sum(sizes))
        file, at = (files[0], at) if at < sizes[0] else (files[1], at - sizes[0])
        with file.open("r+b") as handle:
            handle.seek(at)
            handle.write(what)
    found = open_and_wait(copy)
    assert all(truth[page] == payload for page, payload in found.items())


def test_pages_that_are_only_in_the_log_are_salvaged_too(tmp_path: Path) -> None:
    path, copy = tmp_path / "spool.db", tmp_path / "copy.db"
    with opened(make_spool(path, reserve_bytes=16 * MIB)) as spool:  # which lets the log hold them all
        for seq in range(1, 31):
            spool.seal(visit(seq=seq))
        for suffix in ("", "-wal"):  # as a power cut leaves them
            shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    copy.write_bytes(b"\xff" * copy.stat().st_size)
    assert {page.page for page in salvage_pages(copy)} == set(range(1, 31))


def test_a_damaged_spool_begins_a_new_journal_and_the_rings_are_read_again(
    template: Template, tmp_path: Path
) -> None:
    path = tmp_path / "spool.db"
    template.write(path)
    old = active(path)
    path.write_bytes(b"\0" * PAGE_BYTES + template.data[PAGE_BYTES:])
    alarms = Alarms()
    spool = make_spool(path, alarms=alarms)
    with opened(spool):
        assert spool.cursor("1f00a1") is None
        assert active(path).uuid != old.uuid
        wait_until(lambda: not alarms.texts(), 20, "the alarm to be over")
        retired = all_pages(path, "retired")
        assert {page.page: page.payload for page in retired} == template.payloads
        assert all(
            signature_holds(KEY.private.public_key(), TOPICS.page, p.payload, p.signature) for p in retired
        )
        assert [file.name for file in tmp_path.iterdir() if ".salvaged-" in file.name] != []


def test_a_salvaged_journal_leaves_when_its_pages_are_held_though_its_watermark_never_moves(
    tmp_path: Path,
) -> None:
    path = tmp_path / "spool.db"
    with opened(make_spool(path)) as spool:
        for seq in range(1, 8):
            spool.seal(visit(seq=seq))
        journal = active(path).uuid
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE page SET payload = x'00' WHERE page = 3")
    connection.close()
    with opened(make_spool(path, keep_days=0)) as spool:
        wait_until(lambda: not to_salvage(path), 20, "the salvage")
        assert [page.page for page in all_pages(path, "retired")] == [1, 2, 4, 5, 6, 7]
        first = next(p for p in all_pages(path, "retired") if p.page == 2)
        held = Receipt(
            journal=journal,
            committed_through=2,
            head=page_hash(first.payload),
            held=((4, 7),),
            at=START,
        )
        spool.apply_receipt(held)
        wait_until(
            lambda: [p.page for p in all_pages(path, "retired")] == [], 20, "the retired pages to be pruned"
        )


def test_damage_found_while_the_agent_runs_is_salvaged_at_the_next_start(
    template: Template, tmp_path: Path
) -> None:
    path = tmp_path / "spool.db"
    with opened(make_spool(path)) as spool:
        for seq in range(1, 40):
            spool.seal(visit(seq=seq))
        spool.report_damage("page 5 isn't what was sealed")
    with opened(make_spool(path)) as spool:
        assert spool.cursor("1f00a1") is None
        wait_until(lambda: not to_salvage(path), 20, "the salvage")
        assert len(all_pages(path, "retired")) == 39
    with opened(make_spool(path)) as spool:
        assert len(all_pages(path, "retired")) == 39, "noted once, done once"


def test_a_log_left_alone_by_a_kill_between_two_renames_is_put_to_its_file(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    with opened(make_spool(path)) as spool:
        spool.seal(visit())
        shutil.copy(path, tmp_path / "spool.db.damaged-20261122T090000")
        shutil.copy(f"{path}-wal", tmp_path / "log")
    for file in ("spool.db", "spool.db.lock"):
        (tmp_path / file).unlink()
    (tmp_path / "log").rename(f"{path}-wal")
    with opened(make_spool(path)):
        wait_until(lambda: len(all_pages(path, "retired")) == 1, 20, "the page from the log")


def test_a_journal_with_more_gaps_than_a_receipt_can_name_is_sealed_anew(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    with opened(make_spool(path)) as spool:
        for seq in range(1, 1101):
            spool.seal(visit(seq=seq))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE page SET hash = 'damaged' WHERE page % 2 = 0")
    connection.close()
    with opened(make_spool(path)):
        wait_until(lambda: active(path).newest_page == 550, 30, "550 pages sealed anew")
        assert_chain(all_pages(path, "active"))
        assert all_pages(path, "forked") == []


def test_another_gateways_pages_are_not_taken_over(template: Template, tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    data = template.data.replace(b'"gateway":"gw-0001"', b'"gateway":"gw-0002"')
    path.with_name("spool.db.damaged-20261122T090000").write_bytes(data)
    with opened(make_spool(path)):
        wait_until(lambda: not to_salvage(path), 20, "the salvage")
        assert all_pages(path) == []


STRANGER = SigningKey(Ed25519PrivateKey.from_private_bytes(b"\7" * 32))


def write_foreign(path: Path, key: SigningKey, pages: int = 1) -> None:
    """Write a spool of this gateway's name with pages that somebody with this key has sealed."""
    limits = SpoolLimits(64 * MIB, 14 * 86_400_000, 4096)
    with opened(Spool(path, limits, Sealer(TOPICS, key), lambda: START, lambda: "ntp")) as spool:
        for seq in range(1, pages + 1):
            spool.seal(visit(seq=100 + seq))


def change_kid(path: Path, kid: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE page SET kid = ?", (kid,))
    connection.close()


def test_pages_that_somebody_made_up_on_a_card_are_never_signed_by_this_gateway(tmp_path: Path) -> None:
    path, card = tmp_path / "spool.db", tmp_path / "spool.db.brought-20261122T090000000000"
    write_foreign(card, STRANGER)
    with opened(make_spool(path)) as spool:
        wait_until(lambda: len(all_pages(path)) == 1, 20, "the page, for the ledger to judge")
        (page,) = all_pages(path)
        assert page.kid == STRANGER.kid
        assert signature_holds(STRANGER.private.public_key(), TOPICS.page, page.payload, page.signature)
        (journal,) = (view for view in _views(path) if view.state == "retired")
        other = Receipt(journal=journal.uuid, committed_through=1, head="x" * 43, at=START)
        spool.apply_receipt(other)  # the ledger has another page in its place: the journal is given up
        spool.seal(visit())
        wait_until(lambda: not to_salvage(path), 20, "the housekeeping")
        assert [len(parse_page(p.payload).records) for p in all_pages(path, "active")] == [1]
        spool.report_damage("so that it is salvaged itself")
    with opened(make_spool(path)):
        wait_until(lambda: not to_salvage(path), 20, "the salvage")
        kids = sorted(page.kid for page in all_pages(path))
        assert kids == sorted([KEY.kid, STRANGER.kid])


def test_pages_that_name_this_gateways_key_are_not_taken_from_a_card_without_its_signature(
    tmp_path: Path,
) -> None:
    path, card = tmp_path / "spool.db", tmp_path / "spool.db.brought-20261122T090000000000"
    write_foreign(card, STRANGER)
    change_kid(card, KEY.kid)
    with opened(make_spool(path)):
        wait_until(lambda: not to_salvage(path), 20, "the card to be looked through")
        assert all_pages(path) == []


def test_a_signature_that_was_damaged_in_the_gateways_own_spool_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    write_foreign(path.with_name("spool.db.damaged-20261122T090000"), KEY)
    with sqlite3.connect(path.with_name("spool.db.damaged-20261122T090000")) as connection:
        connection.execute("UPDATE page SET signature = 'AAAA'")
    connection.close()
    with opened(make_spool(path)):
        wait_until(lambda: not to_salvage(path), 20, "the salvage")
        (page,) = all_pages(path)
        assert signature_holds(KEY.private.public_key(), TOPICS.page, page.payload, page.signature)


def test_copies_that_a_power_cut_left_half_made_are_cleared_away(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    left = [
        tmp_path / name
        for name in (".spool.db.brought-1.part", ".spool.db.receipts-1.part", "spool.db.brought-2-wal")
    ]
    for file in left:
        file.write_bytes(b"half")
    (tmp_path / "rehearsal-abc").mkdir()
    fresh = tmp_path / ".spool.db.brought-3.part"
    fresh.write_bytes(b"being written")
    for file in (*left, tmp_path / "rehearsal-abc"):
        os.utime(file, (START.timestamp() - 7200,) * 2)
    os.utime(fresh, (START.timestamp() - 60,) * 2)
    with opened(make_spool(path)):
        assert not any(file.exists() for file in (*left, tmp_path / "rehearsal-abc"))
        assert fresh.exists()


def _views(path: Path) -> list[JournalView]:
    reader = SpoolReader(path)
    try:
        return reader.journals()
    finally:
        reader.close()
