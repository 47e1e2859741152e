"""`cloud-sink import` of archives: what came by hand is in the ledger exactly as if it had come over the broker."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from cloud_sink.cli import app
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
