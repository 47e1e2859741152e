"""The command line: what it prints, and its exit codes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cloud_sink.cli import app
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.ledger import Ledger, message, write_keys

run = CliRunner().invoke


@pytest.fixture
def config(ledger: Ledger, tmp_path: Path) -> str:
    path = tmp_path / "cloud-sink.toml"
    path.write_text(f'[ledger]\nurl = "{ledger.url}"\n')
    return str(path)


def ask(config: str, *arguments: str) -> str:
    command, *options = arguments
    result = run(app, [command, "--config", config, *options])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_healthy_ledger_says_so(config: str, ledger: Ledger, gateway: FakeGateway, lock: FakeLock) -> None:
    ledger.take(gateway.seal(lock.pours(12)))
    assert ask(config, "gaps") == "nothing is missing\n"
    assert ask(config, "disputes") == "nothing is disputed\n"
    assert ask(config, "quarantine") == "the quarantine is empty\n"
    assert ask(config, "reconcile").startswith(
        "proven      lock 1f00a1 epoch 1 chamber 1: 12 pours, register 0 -> 12"
    )
    assert ask(config, "journals") == f"estate-1/gw-0001 {gateway.journal}: all pages up to 1\n"
    assert [json.loads(ask(config, name, "--json")) for name in ("gaps", "disputes", "quarantine")] == [
        [],
        [],
        [],
    ]
    assert "pages taken: 0" in ask(config, "reprocess")


def test_what_is_wrong_is_listed_for_people_and_for_programs(
    config: str, ledger: Ledger, gateway: FakeGateway, keyed_lock: FakeLock
) -> None:
    pages = [gateway.seal(keyed_lock.pours(2)) for _ in range(5)]
    forger = FakeLock(keyed_lock.serial, keyed_lock.epoch, key=b"x" * 16, seq=20)
    ledger.take(pages[0], pages[3], gateway.seal(forger.pours(1)), message(pages[1], sig="A" * 86))
    assert ask(config, "gaps").splitlines() == [
        "buffered  lock 1f00a2 epoch 3: records 3..6 (4): its gateway has pages that haven't come yet",
        f"buffered  estate-1/gw-0001 journal {gateway.journal}: pages 2..3 (2): sealed at the gateway, which hasn't "
        "reported its spool",
        f"buffered  estate-1/gw-0001 journal {gateway.journal}: pages 5: sealed at the gateway, which hasn't reported "
        "its spool",
    ]
    gaps = json.loads(ask(config, "gaps", "--json"))
    assert [(gap["what"], gap["first"], gap["last"], gap["state"]) for gap in gaps] == [
        ("records", 3, 6, "buffered"), ("pages", 2, 3, "buffered"), ("pages", 5, 5, "buffered"),
    ]  # fmt: skip
    assert "the MAC is wrong (lock 1f00a2 epoch 3 seq 21; no entry stands)" in ask(config, "disputes")
    assert "bad signature: wl/1/estate-1/gw-0001/up/page" in ask(config, "quarantine")
    assert "missing 2..3 (2), 5" in ask(config, "journals")
    [found] = json.loads(ask(config, "reconcile", "--json", "--lock", "1f00a2"))
    assert (found["verdict"], found["explained"], found["register_pours"]) == ("explained", 4, 8)
    assert "register moved by +4 pours" in ask(config, "reconcile")
    assert len(ask(config, "export", "--lock", "1f00a2").splitlines()) == 4


def test_bad_configuration_ends_with_exit_code_78_and_all_problems(tmp_path: Path) -> None:
    path = tmp_path / "cloud-sink.toml"
    path.write_text('[ledger]\nurl = "x"\n[mqtt]\nport = 99999\n')
    result = run(app, ["run", "--config", str(path)])
    assert result.exit_code == 78
    assert len(result.stderr.splitlines()) == 2
    path.write_text('[ledger]\nurl = "sqlite:///x.sqlite"\n')
    result = run(app, ["run", "--config", str(path)])
    assert result.exit_code == 78
    assert len(result.stderr.splitlines()) == 3, "one for each key file"


def test_a_ledger_that_is_not_there_is_an_error_not_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "cloud-sink.toml"
    path.write_text('[ledger]\nurl = "sqlite:///x.sqlite"\n')
    result = run(app, ["gaps", "--config", str(path)])
    assert result.exit_code == 70
    assert "x.sqlite" in result.stderr
    assert not (tmp_path / "x.sqlite").exists()


def test_keygen_makes_the_key_that_the_configuration_names(tmp_path: Path) -> None:
    path = tmp_path / "cloud-sink.toml"
    path.write_text('[ledger]\nurl = "sqlite:///x.sqlite"\n')
    assert run(app, ["keygen", "--config", str(path)]).exit_code == 0
    assert (tmp_path / "pseudonym.key").stat().st_mode & 0o777 == 0o600
    assert run(app, ["keygen", "--config", str(path)]).exit_code == 78


def test_an_instant_is_asked_for_in_its_own_words(config: str) -> None:
    result = run(app, ["export", "--config", config, "--since", "yesterday"])
    assert result.exit_code == 2
    assert "2026-11-22T09:31:01Z" in result.stderr.replace("\n", " ")


def test_reprocess_needs_the_ledgers_own_pseudonym_key(config: str, tmp_path: Path) -> None:
    write_keys(tmp_path, [])
    (tmp_path / "pseudonym.key").write_text("11" * 32)
    result = run(app, ["reprocess", "--config", config])
    assert result.exit_code == 78
    assert "another pseudonym key" in result.stderr
