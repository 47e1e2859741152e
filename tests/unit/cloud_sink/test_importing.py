"""`cloud-sink import` of archives: what came by hand is in the ledger exactly as if it had come over the broker."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from cloud_sink.cli import app
from cloud_sink.importing import Importing
from tests.support.archives import write_archive
from tests.support.fake_gateway import FakeGateway, FakeLock, SealedPage
from tests.support.ledger import Ledger
from wastelock.page import SigningKey
from wastelock.signed_file import Receipts, read_file

# What goes through the same statements needn't be tried on both databases.
ON_SQLITE = pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
STRANGER = SigningKey(Ed25519PrivateKey.from_private_bytes(b"\7" * 32))


@pytest.fixture
def config(ledger: Ledger, tmp_path: Path) -> str:
    path = tmp_path / "cloud-sink.toml"
    path.write_text(f'[ledger]\nurl = "{ledger.url}"\n')
    return str(path)


@pytest.fixture
def pages(gateway: FakeGateway, lock: FakeLock) -> list[SealedPage]:
    return [gateway.seal(lock.pours(3)) for _ in range(120)]


def run(config: str, *words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["import", "--config", config, *words])
    return result.exit_code, result.stdout, result.stderr


def told(config: str, *words: str, code: int = 0) -> list[dict[str, Any]]:
    found, out, err = run(config, *words, "--json")
    assert found == code, err
    items: list[dict[str, Any]] = json.loads(out)
    return items


def receipts_in(path: str | Path) -> Receipts:
    return Receipts.model_validate_json(read_file(Path(path).read_bytes(), "receipts").body)


def test_an_archive_is_taken_once_and_answered_with_receipts(
    config: str, ledger: Ledger, gateway: FakeGateway, pages: list[SealedPage], tmp_path: Path
) -> None:
    ledger.take(*pages[:20])
    file = write_archive(tmp_path / "gw.wlpages", gateway, pages)
    (first,) = told(config, str(file))
    assert (first["pages"], first["new"], first["known"], first["entries"]) == (120, 100, 20, 300)
    (receipt,) = receipts_in(first["receipts"]).receipts
    assert (receipt.journal, receipt.committed_through, receipt.head) == (
        gateway.journal,
        120,
        pages[-1].hash,
    )
    assert ledger.identities() == [("1f00a1", 1, n) for n in range(1, 361)]
    (again,) = told(config, str(file))
    assert (again["new"], again["known"], again["entries"]) == (0, 120, 0)
    assert receipts_in(again["receipts"]).receipts[0].committed_through == 120
    assert ledger.take(pages[5]).pages == 0, "the gateway sends it again over the broker"
    assert list(ledger.reader.disputes()) == []


@ON_SQLITE
def test_the_archives_of_a_directory_are_taken_in_any_order(
    config: str, ledger: Ledger, gateway: FakeGateway, pages: list[SealedPage], tmp_path: Path
) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    write_archive(stick / "a.wlpages", gateway, pages[60:])
    first = told(config, str(stick))[0]
    assert first["missing"] == {gateway.journal: [[1, 60]]}
    assert receipts_in(first["receipts"]).receipts[0].held == ((61, 120),)
    write_archive(stick / "b.wlpages", gateway, pages[:60])
    items = told(config, str(stick))
    assert [item["new"] for item in items] == [0, 60]
    assert [journal.committed_through for journal in ledger.reader.journals()] == [120]


@ON_SQLITE
def test_an_archive_that_was_changed_is_refused_and_its_whole_pages_can_be_salvaged(
    config: str, ledger: Ledger, gateway: FakeGateway, pages: list[SealedPage], tmp_path: Path
) -> None:
    file = write_archive(tmp_path / "gw.wlpages", gateway, pages)
    lines = file.read_bytes().splitlines(keepends=True)
    lines[50] = lines[50].replace(b'"page":"ey', b'"page":"eZ')
    file.write_bytes(b"".join(lines))
    code, _, err = run(config, str(file))
    assert code == 65
    assert "bytes were changed or lost: copy it once more" in err
    assert ledger.entries() == []
    (salvaged,) = told(config, str(file), "--salvage")
    assert (salvaged["new"], salvaged["missing"]) == (119, {gateway.journal: [[50, 50]]})
    assert list(ledger.reader.quarantine()) == []


@ON_SQLITE
@pytest.mark.parametrize("lines_kept", [1, 60, 121])
def test_an_archive_that_was_cut_off_is_refused(
    config: str,
    ledger: Ledger,
    gateway: FakeGateway,
    pages: list[SealedPage],
    tmp_path: Path,
    lines_kept: int,
) -> None:
    file = write_archive(tmp_path / "gw.wlpages", gateway, pages)
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:lines_kept]))
    code, _, err = run(config, str(file))
    assert (code, "the file was cut off" in err) == (65, True)
    assert ledger.entries() == []


@ON_SQLITE
def test_an_archive_of_a_stranger_is_refused(
    config: str, ledger: Ledger, gateway: FakeGateway, lock: FakeLock, pages: list[SealedPage], tmp_path: Path
) -> None:
    other = FakeGateway("gw-0666", seed=9)
    foreign = write_archive(tmp_path / "foreign.wlpages", other, [other.seal(lock.pours(1))])
    forged = write_archive(tmp_path / "forged.wlpages", gateway, pages, STRANGER)
    claimed = SigningKey(STRANGER.private)
    for file, said in ((foreign, "isn't known of gateway gw-0666"), (forged, f"key {claimed.kid}")):
        code, _, err = run(config, str(file))
        assert (code, said in err) == (65, True)
    assert ledger.entries() == []
    assert list(ledger.reader.quarantine()) == []


@ON_SQLITE
def test_a_page_in_it_that_is_not_its_gateways_goes_into_quarantine_and_stops_no_other(
    config: str, ledger: Ledger, gateway: FakeGateway, pages: list[SealedPage], tmp_path: Path
) -> None:
    broken = SealedPage(pages[4].topic, pages[4].payload, pages[4].kid, "A" * 86, pages[4].page)
    file = write_archive(tmp_path / "gw.wlpages", gateway, [*pages[:4], broken, *pages[5:]])
    (item,) = told(config, str(file), code=1)
    assert (item["new"], item["known"], item["refused"]) == (119, 0, {"bad signature": 1})
    assert [line.reason for line in ledger.reader.quarantine()] == ["bad signature"]
    receipt = receipts_in(item["receipts"]).receipts[0]
    assert receipt.committed_through == 4
    assert receipt.held == ((6, 120),)


@ON_SQLITE
def test_files_that_are_no_archives_say_so(config: str, ledger: Ledger, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not this one")
    for name, said in ((text, "isn't an archive of pages"), (tmp_path / "away", "can't be read")):
        code, _, err = run(config, str(name))
        assert (code, said in err) == (65, True)
    code, _, err = run(config, str(tmp_path / "empty-directory-that-is-not-there"))
    assert code == 65
    assert ledger.entries() == []


@ON_SQLITE
def test_whole_pages_are_salvaged_from_before_and_behind_what_a_pulled_stick_leaves(
    config: str, ledger: Ledger, gateway: FakeGateway, pages: list[SealedPage], tmp_path: Path
) -> None:
    file = write_archive(tmp_path / "gw.wlpages", gateway, pages)
    lines = file.read_bytes().splitlines(keepends=True)
    cut, zeros = b"".join(lines[:41]) + lines[41][:90], bytes(5 * 1024 * 1024)
    file.write_bytes(cut + zeros)
    (before,) = told(config, str(file), "--salvage")
    assert (before["new"], receipts_in(before["receipts"]).receipts[0].committed_through) == (40, 40)
    file.write_bytes(cut + zeros + b"".join(lines[42:]))
    (behind,) = told(config, str(file), "--salvage")
    assert (behind["new"], behind["missing"]) == (79, {gateway.journal: [[41, 41]]})
    assert receipts_in(behind["receipts"]).receipts[0].held == ((42, 120),)


@ON_SQLITE
def test_an_archive_whose_first_line_is_damaged_is_salvaged_by_its_pages_signatures(
    config: str, ledger: Ledger, gateway: FakeGateway, pages: list[SealedPage], tmp_path: Path
) -> None:
    file = write_archive(tmp_path / "gw.wlpages", gateway, pages)
    first, rest = file.read_bytes().split(b"\n", 1)
    file.write_bytes(bytes(len(first) + 1) + rest)
    (item,) = told(config, str(file), "--salvage")
    assert (item["site"], item["gateway"], item["new"]) == (gateway.topics.site, gateway.topics.gateway, 120)
    stranger = write_archive(tmp_path / "other.wlpages", FakeGateway("gw-0666", seed=9), [])
    stranger.write_bytes(bytes(8) + stranger.read_bytes())
    code, _, err = run(config, str(stranger), "--salvage")
    assert (code, "holds no page that a gateway known here has signed" in err) == (65, True)


@ON_SQLITE
def test_what_was_taken_before_a_file_could_not_be_read_any_more_is_told_and_receipted(
    ledger: Ledger, gateway: FakeGateway, pages: list[SealedPage], tmp_path: Path
) -> None:
    file = write_archive(tmp_path / "gw.wlpages", gateway, pages)

    def break_it(done: int, all_: int) -> None:
        if done > all_ // 2:  # it was checked, and the first pages are in the ledger
            lines = file.read_bytes().splitlines(keepends=True)
            with file.open("r+b") as opened:
                opened.truncate(len(b"".join(lines[:110])) + 30)

    importing = Importing(ledger.book, ledger.keys, ledger.clock)
    imported, receipts = importing.take(file, progress=break_it)
    assert imported.broken_off is not None and not imported.is_good
    assert 50 <= imported.new < 120
    assert receipts is not None and receipts.receipts[0].committed_through == imported.new
