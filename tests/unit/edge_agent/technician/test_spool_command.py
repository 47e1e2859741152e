"""`edge-agent spool`: the spool in a technician's hand, while the agent works and while it doesn't."""

import json
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edge_agent.commands import app
from edge_agent.spool_pages import Sealer
from edge_agent.spool_reader import SpoolReader
from edge_agent.technician.exporting import Export, Selection
from tests.support.ports import free_port
from tests.unit.edge_agent.gateway import (
    KEY,
    START,
    TOPICS,
    Clock,
    all_pages,
    make_spool,
    opened,
    receipt_for,
    visit,
)
from tests.unit.edge_agent.installation import Installation
from wastelock.archive import archived_pages, check_archive, read_lines
from wastelock.page import signature_holds
from wastelock.record import Kind, Record, encode_record

UID = 0xE004015012345678
SPELLINGS = [f"{UID:x}", f"{UID:X}", str(UID), UID.to_bytes(8, "big").hex(":")]


@pytest.fixture
def gateway(tmp_path: Path) -> Installation:
    return Installation(tmp_path, free_port())


def run(gateway: Installation, *words: str) -> tuple[int, str, str]:
    command, *more = words
    result = CliRunner().invoke(app, ["spool", command, *more, "--config", str(gateway.config)])
    return result.exit_code, result.stdout, result.stderr


def told(gateway: Installation, *words: str) -> Any:
    code, out, err = run(gateway, *words, "--json")
    assert code == 0, err
    return json.loads(out)


def receive(gateway: Installation, through: int, **more: Any) -> None:
    receipt = receipt_for(gateway.spool, through, **more)
    with opened(make_spool(gateway.spool)) as spool:
        spool.apply_receipt(receipt)


def checked(file: str | Path) -> Any:
    with Path(file).open("rb") as lines:
        return check_archive(
            read_lines(lines), lambda _, kid: KEY.private.public_key() if kid == KEY.kid else None
        )


def test_pages_are_listed_with_who_has_custody_of_them(gateway: Installation) -> None:
    gateway.seal(1, 6)
    receive(gateway, 2, held=((4, 5),))
    listing = told(gateway, "ls")
    custody = {line["page"]: line["custody"] for line in listing["lines"]}
    assert custody == {1: "received", 2: "received", 3: "waits", 4: "received", 5: "received", 6: "waits"}
    assert [line["page"] for line in told(gateway, "ls", "--unreceived")["lines"]] == [3, 6]
    assert [line["page"] for line in told(gateway, "ls", "--most", "2")["lines"]] == [5, 6]
    assert (listing["journals"][0]["pages"], listing["journals"][0]["waiting"]) == (6, 4)
    assert "1f00a1" in run(gateway, "ls")[1]


def test_a_page_is_shown_with_what_proves_it_but_without_transponders(gateway: Installation) -> None:
    record = Record(
        1, 1_795_000_000, 1, Kind.POUR, chamber=2, flags=1, uid=UID, volume_ml=20000, register_after=7
    )
    raw = encode_record(record, 0x1F00A1, 1)
    template = visit(seq=1)
    with opened(make_spool(gateway.spool)) as spool:
        spool.seal(
            type(template)(
                template.lock, template.driver, 1, (type(template.records[0])(1, raw),), template.read_at, -2
            )
        )
        spool.seal(visit(seq=2))
        shown = told(gateway, "show", "2")
        assert (shown["chain"], shown["signature"]) == ("holds", "holds")
        code, out, _ = run(gateway, "show", "1")
        assert code == 0
    assert "pour" in out
    assert "20000" in out
    assert "(withheld)" in out
    assert not any(spelling in out + json.dumps(told(gateway, "show", "1")) for spelling in SPELLINGS)
    assert f"{UID:016x}" in run(gateway, "show", "1", "--raw")[1]


def test_what_is_asked_for_and_is_not_there_is_answered_with_what_is(gateway: Installation) -> None:
    code, _, err = run(gateway, "ls")
    assert (code, "isn't there yet" in err) == (1, True)
    gateway.seal(1, 3)
    code, _, err = run(gateway, "show", "9")
    assert (code, "it holds 1 to 3" in err) == (1, True)
    code, _, err = run(gateway, "show", "1", "--journal", "zzz")
    assert (code, "has no journal zzz" in err) == (1, True)


def test_a_spool_is_verified_beside_the_agent_that_writes_it(gateway: Installation) -> None:
    with opened(make_spool(gateway.spool)) as spool:
        spool.seal(visit(seq=1))
        assert told(gateway, "verify")["signatures"] == 1
        spool.seal(visit(seq=2))
    assert "2 records in 2 pages" in run(gateway, "verify")[1]


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE page SET payload = x'00' WHERE page = 2", "isn't what was sealed"),
        ("UPDATE page SET signature = 'AAAA' WHERE page = 2", "page 2 wasn't signed"),
        ("DELETE FROM page WHERE page = 2", "doesn't follow page 1"),
    ],
)
def test_what_was_changed_in_a_spool_is_found(gateway: Installation, statement: str, said: str) -> None:
    gateway.seal(1, 3)
    connection = sqlite3.connect(gateway.spool)
    connection.execute(statement)
    connection.commit()
    connection.close()
    code, _, err = run(gateway, "verify")
    assert code == 1
    assert said in err


def test_an_export_holds_the_pages_as_they_were_sealed_and_is_signed(
    gateway: Installation, tmp_path: Path
) -> None:
    gateway.seal(1, 5)
    receive(gateway, 2)
    stick = tmp_path / "stick"
    stick.mkdir()
    exported = told(gateway, "export", "--to", str(stick), "--unreceived")
    assert exported["pages"] == 3
    (file,) = exported["files"]
    manifest = checked(file)
    assert (manifest.gateway, manifest.page_count) == (TOPICS.gateway, 3)
    with Path(file).open("rb") as lines:
        pages = list(archived_pages(read_lines(lines)))
    sealed = {page.page: page for page in all_pages(gateway.spool)}
    assert [page.header.page for page in pages] == [3, 4, 5]
    for page in pages:
        assert page.payload == sealed[page.header.page].payload
        assert signature_holds(KEY.private.public_key(), TOPICS.page, page.payload, page.signature)


def test_the_same_export_again_writes_only_what_is_new(gateway: Installation, tmp_path: Path) -> None:
    gateway.seal(1, 3)
    stick = tmp_path / "stick"
    stick.mkdir()
    assert told(gateway, "export", "--to", str(stick))["pages"] == 3
    again = told(gateway, "export", "--to", str(stick))
    assert (again["files"], again["already"]) == ([], 3)
    gateway.seal(4, 5)
    assert told(gateway, "export", "--to", str(stick))["pages"] == 2
    for file in stick.iterdir():
        checked(file)
    half = stick / ".site-1_gw-0001_20261122T090000_01.wlpages.part"
    half.write_bytes(b"the stick was pulled out here")
    first = min(stick.glob("*.wlpages"))
    first.write_bytes(first.read_bytes().replace(b'"kid"', b'"kiD"', 1))
    mended = told(gateway, "export", "--to", str(stick))
    assert (mended["pages"], mended["spoilt"]) == (3, [str(first)])
    assert not half.exists()


def test_an_export_that_was_interrupted_goes_on_where_it_was(gateway: Installation, tmp_path: Path) -> None:
    gateway.seal(1, 40)
    stick = tmp_path / "stick"
    stick.mkdir()
    small = 4 * 1024 * 1024 + 2 * 256 * 1024 + 4000  # room for a few pages only

    def interrupt(done: int, _of: int) -> None:
        if done >= 20:
            raise KeyboardInterrupt

    class Short(SpoolReader):
        def pages_after(self, journal: int, after: int, limit: int) -> list[int]:
            return super().pages_after(journal, after, min(limit, 5))

    reader = Short(gateway.spool)
    export = Export(reader, Sealer(TOPICS, KEY), stick, lambda: START)
    with pytest.raises(KeyboardInterrupt):
        export.run(Selection(), small, interrupt)
    done = export.done
    assert 0 < done.pages < 40
    assert len(done.files) == len(list(stick.iterdir())) > 1, "nothing half-written is left"
    rest = Export(reader, Sealer(TOPICS, KEY), stick, lambda: START).run(Selection(), small)
    reader.close()
    assert (rest.already, rest.pages) == (done.pages, 40 - done.pages)
    spans = [span for file in stick.iterdir() for span in checked(file).journals[0].pages]
    numbers = [number for first, last in spans for number in range(first, last + 1)]
    assert sorted(numbers) == list(range(1, 41))


def test_only_pages_since_an_instant_are_exported_where_that_is_asked(
    gateway: Installation, tmp_path: Path
) -> None:
    clock = Clock()
    with opened(make_spool(gateway.spool, clock)) as spool:
        spool.seal(visit(seq=1))
        clock.move(hours=2)
        spool.seal(visit(seq=2))
    exported = told(
        gateway, "export", "--to", str(tmp_path / "late.wlpages"), "--since", "2026-11-22T10:00:00Z"
    )
    assert exported["pages"] == 1


def test_a_page_that_is_damaged_is_left_out_and_the_others_are_saved(
    gateway: Installation, tmp_path: Path
) -> None:
    gateway.seal(1, 5)
    connection = sqlite3.connect(gateway.spool)
    connection.execute("UPDATE page SET payload = x'00' WHERE page = 3")
    connection.commit()
    connection.close()
    exported = told(gateway, "export", "--to", str(tmp_path / "all.wlpages"))
    assert exported["pages"] == 4
    assert "page 3 isn't what was sealed" in exported["left_out"][0]


def test_a_medium_that_can_not_be_written_is_told_with_what_to_do(
    gateway: Installation, tmp_path: Path
) -> None:
    gateway.seal(1, 1)
    code, _, err = run(gateway, "export", "--to", str(tmp_path / "away" / "file.wlpages"))
    assert (code, "is the stick mounted" in err) == (1, True)


def test_a_stick_that_is_full_is_told_and_nothing_half_written_stays_on_it(
    gateway: Installation, tmp_path: Path
) -> None:
    gateway.seal(1, 60)
    stick = tmp_path / "stick"
    stick.mkdir()
    export = shlex.join(
        [
            sys.executable,
            "-m",
            "edge_agent.cli",
            "spool",
            "export",
            "--config",
            str(gateway.config),
            "--to",
            str(stick),
        ]
    )
    # A file can't grow beyond 8 KiB: to the program it is the same as a medium without room.
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 8; {export}"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "is full: make room or take another stick" in done.stderr
    assert list(stick.iterdir()) == []


def test_a_card_that_was_not_closed_in_order_and_can_not_be_written_is_told_with_what_to_do(
    gateway: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = tmp_path / "card"
    card.mkdir()
    with opened(make_spool(tmp_path / "old.db")) as spool:
        spool.seal(visit(seq=1))
        for suffix in ("", "-wal"):  # as a power cut leaves them
            shutil.copy(f"{tmp_path / 'old.db'}{suffix}", f"{card / 'spool.db'}{suffix}")
    # To root only a medium that is mounted for reading says so.
    monkeypatch.setattr(os, "access", lambda path, _how: Path(path) != card)
    code, _, err = run(gateway, "ls", "--spool", str(card / "spool.db"))
    assert (code, f"cp {card / 'spool.db'}* /var/tmp/" in err) == (1, True)
    shutil.copy(card / "spool.db", tmp_path / "copy.db")
    shutil.copy(card / "spool.db-wal", tmp_path / "copy.db-wal")
    assert told(gateway, "ls", "--spool", str(tmp_path / "copy.db"))["pages"] == 1
